"""What somebody writes by mistake: it is refused by name, or means what it says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vmgexit import (
    AttestServices,
    DoorbellFlags,
    DoorbellHead,
    DoorbellPage,
    EncodeError,
    ExtIntStatus,
    FeaturesResponse,
    GhcbInfo,
    GuestMessageHeader,
    PscEntry,
    PscRequest,
    RunVmplRequest,
    ServicesManifest,
    VtpmRequest,
)
from vmgexit.schema import Bits, Record, bits, structure, u8


# Literal values: COCONUT-SVSM kernel/src/sev/msr_protocol.rs and kernel/src/protocols/attest.rs, Linux
# include/uapi/linux/psp-sev.h and drivers/virt/coco/sev-guest, drivers/char/tpm/tpm_svsm.c.
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (RunVmplRequest(vmpl=2), "1600000002000000"),
        (FeaturesResponse(snp=True), "8110000000000000"),
        (GuestMessageHeader(), "00" * 48 + "01016000 0000 0000" + "00" * 40),
        (AttestServices(), "00" * 24 + "4000" + "00" * 38),
        (ServicesManifest(), "bb9e846392 3d7046 a1ff58f9c94b87bb" + "00" * 8),
        (VtpmRequest(), "08000000" + "00" * 4092),
    ],
)
def test_what_has_one_right_value_has_it(data: Any, expected: str) -> None:
    assert bytes(data) == bytes.fromhex(expected)


def test_zeros_are_zeros() -> None:
    word = RunVmplRequest.decode(bytes(8))
    assert word.info is GhcbInfo.GHCB_GPA
    assert eval(repr(word), {"RunVmplRequest": RunVmplRequest, "GhcbInfo": GhcbInfo}) == word  # noqa: S307


def test_a_right_value_that_does_not_fit_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match=r"^Wrong\.code: value: 256 does not fit 8 bits$"):

        @structure("test-wrong", size=1)
        class Wrong(Record):
            """A code of nine bits in eight."""

            code: int = u8("Code", value=256)


def in_constructor(value: Any) -> bytes:
    return DoorbellHead(flags=value).encode()


def in_assignment(value: Any) -> bytes:
    head = DoorbellHead()
    head.flags = value
    return head.encode()


def in_view(value: Any) -> bytes:
    buffer = bytearray(256)
    DoorbellHead.view(buffer).flags = value
    return bytes(buffer)


def in_construct(value: Any) -> bytes:
    head = DoorbellHead()
    head.flags = value
    built: bytes = DoorbellHead.construct.build(head)
    return built


WAYS = pytest.mark.parametrize("way", [in_constructor, in_assignment, in_view, in_construct])


@WAYS
@pytest.mark.parametrize("value", [0x81, np.uint8(0x81), DoorbellFlags.of(0x81)])
def test_a_word_may_be_given_by_its_integer(way: Callable[[Any], bytes], value: Any) -> None:
    assert way(value) == b"\0\x81" + bytes(254)


@pytest.mark.parametrize("way", [in_constructor, in_assignment, in_view])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (256, "flags: 256 does not fit 8 bits"),
        (-1, "flags: -1 does not fit 8 bits"),
        (1.0, "flags: 1.0 is not a DoorbellFlags"),
        (None, "flags: None is not a DoorbellFlags"),
        ("0x81", "flags: '0x81' is not a DoorbellFlags"),
        (b"\x81", "flags: b'\\x81' is not a DoorbellFlags"),
    ],
)
def test_what_is_no_word_is_refused(way: Callable[[Any], bytes], value: Any, message: str) -> None:
    with pytest.raises(EncodeError) as caught:
        way(value)
    assert str(caught.value) == message
    assert caught.value.path == "flags"


def test_the_constructor_reads_the_integer_of_a_word() -> None:
    head = DoorbellHead(flags=0x81, per_vmpl_events=0x02)  # type: ignore[arg-type]
    assert head.flags.no_further_signal
    assert head.per_vmpl_events.vmpl2
    assert head == DoorbellHead.decode(b"\0\x81\0\x02" + bytes(252))


def test_elements_of_an_array_may_be_integers() -> None:
    request = PscRequest(entries=[PscEntry(), PscEntry()])
    request.entries[1] = 0x1000  # type: ignore[call-overload]
    data = bytes.fromhex("0000010000000000 0000000000000000 0010000000000000")
    assert request.encode() == data
    buffer = bytearray(data[:16] + bytes(8))
    PscRequest.view(buffer).entries[1] = 0x1000  # type: ignore[call-overload]
    assert buffer == request.encode()


@pytest.mark.parametrize("value", [-257, -300, -512, -(1 << 40), 256, 1 << 40])
def test_no_number_wraps_around(value: int) -> None:
    with pytest.raises(EncodeError, match=rf"^pending_vector: {value} does not fit 8 bits$"):
        ExtIntStatus(pending_vector=value).encode()


@pytest.mark.parametrize("value", [1.0, 1 + 0j, np.float64(1), "1", None, b"\1"])
@pytest.mark.parametrize(
    "name", ["pending_vector", "nmi_pending", "reserved_13_11", "reserved_26_15", "vector_31"]
)
def test_what_equals_a_number_is_not_one(name: str, value: Any) -> None:
    status = ExtIntStatus()
    setattr(status, name, value)
    with pytest.raises(EncodeError, match=rf"^{name}: .* is not an integer$"):
        status.encode()


@pytest.mark.parametrize("value", [-1, -4096, 4096, 1 << 40])
def test_reserved_bits_hold_no_more_than_they_have(value: int) -> None:
    with pytest.raises(EncodeError, match=rf"^reserved_26_15: {value} does not fit 12 bits$"):
        ExtIntStatus(reserved_26_15=value).encode()


def test_reserved_bits_may_be_set() -> None:
    small: Any = np.uint8(0xBC)
    assert ExtIntStatus(reserved_26_15=0xABC).encode() == bytes.fromhex("00005e05")
    assert ExtIntStatus(reserved_26_15=small, vector_31=True).encode() == bytes.fromhex("00005e80")
    assert ExtIntStatus(reserved_26_15=False).encode() == bytes(4)
    assert PscEntry(operation=1, reserved_63_57=0x7F).encode() == bytes.fromhex("00000000000010fe")


def test_narrow_integers_of_numpy_are_not_cut() -> None:
    frame: Any = np.uint32(0xFFFFF)
    rest: Any = np.uint8(0x7F)
    assert PscEntry(frame=frame, reserved_63_57=rest).encode() == bytes.fromhex("00f0ffff000000fe")


def test_integers_of_any_type_are_written() -> None:
    class Seven:
        def __index__(self) -> int:
            return 7

    @structure("test-many", size=8)
    class Many(Bits):
        """Fields of every width that the encoder treats apart."""

        narrow: int = bits(3, "In a shared table")
        listed: int = bits(8, "In a table of its own")
        wide: int = bits(33, "Shifted")
        top: int = bits(20, "Shifted, and bounded by the word")

    seven: Any = Seven()
    word = Many(narrow=seven, listed=seven, wide=seven, top=seven)
    assert int(word) == 7 | 7 << 3 | 7 << 11 | 7 << 44
    assert repr(word) == "Many(narrow=0x7, listed=0x7, wide=0x7, top=0x7)"


def test_a_page_is_its_bytes() -> None:
    data = bytes(range(256)) * 16
    page = DoorbellPage.decode(data)
    assert bytes(page) == data
    assert bytes(DoorbellPage.view(bytearray(data))) == data
    assert bytes(page.flags) == b"\1"
