"""What type checkers and editors see of a structure: mypy checks this file, a run the values."""

from typing import assert_type

import pytest

from vmgexit import (
    ApicIcr,
    DoorbellHead,
    DoorbellPage,
    EncodeError,
    ExtIntDescriptor,
    ExtIntStatus,
    PscEntry,
    PscRequest,
    SvsmResult,
)
from vmgexit.schema import Problem, Structure
from vmgexit.wire.doorbell import DoorbellFlags


def test_decode_gives_the_structure_asked_for() -> None:
    page = DoorbellPage.decode(bytes(4096))
    assert_type(page, DoorbellPage)
    assert_type(DoorbellHead.decode(bytearray(256)), DoorbellHead)
    assert_type(ApicIcr.decode(memoryview(bytes(8)), strict=True), ApicIcr)
    assert type(page) is DoorbellPage


def test_fields_have_their_own_types() -> None:
    page = DoorbellPage.decode(bytes(4096))
    assert_type(page.vector, int)
    assert_type(page.flags, DoorbellFlags)
    assert_type(page.flags.no_further_signal, bool)
    assert_type(page.vmpl1, ExtIntDescriptor)
    assert_type(PscRequest().entries, list[PscEntry])
    assert_type(page.vmpl1.status.pending_vector, int)
    assert_type(page.vmpl1.irr, int)
    assert_type(page.reserved_0x100, bytes)
    assert_type(page.descriptor(1), ExtIntDescriptor)
    assert type(page.flags.no_further_signal) is bool
    assert type(page.vmpl1) is ExtIntDescriptor
    assert type(PscRequest().entries) is list
    assert type(page.vmpl1.status.pending_vector) is int
    assert type(page.reserved_0x100) is bytes


def test_methods_have_their_own_types() -> None:
    result = SvsmResult(rax=0x80000001)
    assert_type(result.encode(), bytes)
    assert_type(result.problems(), list[Problem])
    assert_type(result.size, int)
    assert_type(ExtIntDescriptor().numbers("irr"), list[int])
    assert isinstance(result, Structure)


def test_wrong_types_are_seen_by_the_type_checker_and_refused_by_encode() -> None:
    # each ignore is one that mypy would call unused if it did not see the error
    wrong = ExtIntStatus(pending_vector="0x61")  # type: ignore[arg-type]
    with pytest.raises(EncodeError, match=r"^pending_vector: '0x61' is not an integer$"):
        wrong.encode()
    with pytest.raises(TypeError, match=r"^ExtIntStatus has no field pending$"):
        ExtIntStatus(pending=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        ExtIntStatus(0x61)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        ExtIntStatus().vector32 = True  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        ExtIntStatus.decode("61810102")  # type: ignore[arg-type]
