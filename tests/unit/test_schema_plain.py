"""Structures as plain values and back: every wrong input is named by its place."""

from typing import Any

import numpy as np
import pytest

from vmgexit import (
    DoorbellFlags,
    DoorbellHead,
    EncodeError,
    ExtIntStatus,
    GhcbInfo,
    PscEntry,
    PscRequest,
    RunVmplRequest,
)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The plain form of a doorbell head with `value` at `path`."""
    plain = DoorbellHead().as_dict()
    *outer, last = path.split(".")
    at = plain
    for name in outer:
        at = at[name]
    at[last] = value
    return plain


def test_a_value_comes_back_with_its_types() -> None:
    head = DoorbellHead(vector=0x61, flags=DoorbellFlags(no_further_signal=True))
    head.vmpl2.status.vector_31 = True
    plain = head.as_dict()
    assert plain["flags"]["no_further_signal"] is True
    assert plain["reserved_0x004"] == "00" * 60
    assert DoorbellHead.from_dict(plain) == head
    word = RunVmplRequest.from_dict({"info": 0x16, "vmpl": 1}, partial=True)
    assert word.info is GhcbInfo.RUN_VMPL_REQUEST


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("vector", 256, "vector: 256 does not fit 8 bits"),
        ("vector", -1, "vector: -1 does not fit 8 bits"),
        ("vector", "0x61", "vector: '0x61' found, an integer expected"),
        ("vector", None, "vector: None found, an integer expected"),
        ("vector", 1.0, "vector: 1.0 found, an integer expected"),
        ("vector", True, "vector: True found, an integer expected"),
        ("flags.nmi_pending", 2, "flags.nmi_pending: 2 does not fit 1 bit"),
        ("flags.nmi_pending", "no", "flags.nmi_pending: 'no' found, true, false, 0 or 1 expected"),
        ("flags", 256, "flags: 256 does not fit 8 bits"),
        ("flags", True, "flags: True found, an object expected"),
        ("flags", [], "flags: [] found, an object expected"),
        ("vmpl1", 5, "vmpl1: 5 found, an object expected"),
        (
            "vmpl2.status.vector_32",
            1,
            "vmpl2.status.vector_32: ext-int-status has no field vector_32",
        ),
        ("vmpl2.irr", 1 << 224, f"vmpl2.irr: {1 << 224} does not fit 224 bits"),
        ("reserved_0x004", "00", "reserved_0x004: 1 bytes found, 60 expected"),
        (
            "reserved_0x004",
            b"0" * 60,
            "reserved_0x004: b'00",
        ),
        ("reserved_0x004", "xy", "reserved_0x004: 'xy' found, hex expected"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(EncodeError) as caught:
        DoorbellHead.from_dict(changed(path, value))
    assert str(caught.value).startswith(message)
    assert caught.value.path == path


def test_missing_fields_are_named_unless_part_is_enough() -> None:
    plain = DoorbellHead().as_dict()
    del plain["vmpl3"]["status"]["vector_31"], plain["vmpl3"]["status"]["ipi_requested"]
    with pytest.raises(EncodeError) as caught:
        DoorbellHead.from_dict(plain)
    names = "vmpl3.status.ipi_requested, vmpl3.status.vector_31"
    assert str(caught.value) == f"{names}: missing"
    assert caught.value.path == "vmpl3.status.ipi_requested"
    assert DoorbellHead.from_dict(plain, partial=True) == DoorbellHead()
    assert RunVmplRequest.from_dict({}, partial=True).info is GhcbInfo.RUN_VMPL_REQUEST


@pytest.mark.parametrize("values", [None, [], "{}", 5])
def test_only_a_mapping_is_a_structure(values: Any) -> None:
    with pytest.raises(EncodeError, match=r"^doorbell-head: .* found, an object expected$"):
        DoorbellHead.from_dict(values)


def test_an_element_is_named_by_its_index() -> None:
    plain = PscRequest(entries=[PscEntry()] * 8).as_dict()
    plain["entries"][7]["frame"] = -1
    with pytest.raises(EncodeError, match=r"^entries\[7\]\.frame: -1 does not fit 40 bits$"):
        PscRequest.from_dict(plain)
    plain["entries"] = plain["entries"][:7]
    shape = PscRequest.shape(8)
    with pytest.raises(EncodeError, match=r"^entries: 7 items found, a list of 8 expected$"):
        shape.from_dict(plain)


def test_a_word_may_be_its_integer() -> None:
    head = DoorbellHead.from_dict({"flags": 0x81, "vmpl1": {"status": 0x4061}}, partial=True)
    assert head.flags == DoorbellFlags(nmi_pending=True, no_further_signal=True)
    assert head.vmpl1.status == ExtIntStatus(pending_vector=0x61, multiple_vectors=True)
    request = PscRequest.from_dict({"entries": [0x1000] * 253}, partial=True)
    assert {entry.frame for entry in request.entries} == {1}


def test_what_does_not_fit_has_no_plain_form() -> None:
    head = DoorbellHead()
    head.vmpl1.irr = 1.5  # type: ignore[assignment]
    with pytest.raises(EncodeError, match=r"^vmpl1\.irr: 1\.5 is not an integer$"):
        head.as_dict()


def test_other_integers_are_plain_ones() -> None:
    head = DoorbellHead(vector=np.uint8(0x61), flags=0x80)  # type: ignore[arg-type]
    head.vmpl1.status = np.uint32(0x4061)  # type: ignore[assignment]
    plain = head.as_dict()
    assert type(plain["vector"]) is int
    assert plain["flags"]["no_further_signal"] is True
    assert plain["vmpl1"]["status"]["multiple_vectors"] is True
    assert DoorbellHead.from_dict(plain).encode() == head.encode()


def test_leaves_are_in_the_order_of_the_bits() -> None:
    head = DoorbellHead(vector=0x61, flags=0x81)  # type: ignore[arg-type]
    assert list(head.leaves())[:3] == [
        ("vector", 0x61),
        ("flags.nmi_pending", True),
        ("flags.mc_pending", False),
    ]
    assert dict(PscRequest(entries=[0, 0x1000]).leaves())["entries[1].frame"] == 1  # type: ignore[list-item]


def test_a_structure_is_no_sequence() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        iter(DoorbellHead())  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="has no len"):
        len(DoorbellHead())  # type: ignore[arg-type]
