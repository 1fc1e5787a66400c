"""Decoded values as text: what is set is named, and nothing is left out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit import (
    ApicIcr,
    CallingArea,
    DoorbellHead,
    DoorbellPage,
    EventInj,
    ExtIntDescriptor,
    Vmsa,
)
from vmgexit.layout.naming import label
from vmgexit.layout.subjects import published
from vmgexit.schema import Bits, Record, Structure, array, bits, leaves, reserved, structure, u8
from vmgexit.show.line import describe
from vmgexit.show.values import render
from vmgexit.wire.registry import structures


@structure("test-item", size=1)
class Item(Bits):
    """Half a byte."""

    half: int = bits(4, "Half")
    reserved_7_4: int = reserved(4)


@structure("test-list", size=21)
class List(Record):
    """A long array."""

    count: int = u8("How many")
    items: list[Item] = array(Item, 20, "Items")


def lines_of(value: Structure, base: int = 0) -> dict[str, tuple[str, str]]:
    """Path to place and the rest of the line."""
    found = {}
    for line in render(value, base=base).split("\n\n")[1].splitlines():
        place, path, *rest = re.split(r"  +", line, maxsplit=2)
        found[path] = (place, rest[0] if rest else "")
    return found


def test_the_doorbell_of_the_draft_reads_clearly() -> None:
    shown = lines_of(DoorbellHead.decode(bytes.fromhex("61810102") + bytes(252)))
    assert shown["vector"][0] == "0x000"
    assert shown["vector"][1].startswith("0x61 ")
    assert shown["flags.nmi_pending"][0] == "0x001[0]"
    assert "An NMI is pending" in shown["flags.nmi_pending"][1]
    assert shown["flags.no_further_signal"][0] == "0x001[7]"
    assert "1" in shown["flags.no_further_signal"][1].split()
    assert "NoFurtherSignal: Set when the host signals" in shown["flags.no_further_signal"][1]
    assert "NoEoiRequired" in shown["no_eoi_required"][1]
    assert shown["per_vmpl_events.vmpl2"][0] == "0x003[1]"
    assert "The descriptor of VMPL 2 changed" in shown["per_vmpl_events.vmpl2"][1]
    assert shown["reserved_0x004"] == ("0x004", "0 (60 bytes)")
    # What is zero says no more than that.
    quiet = [path for path, (_, rest) in shown.items() if rest in ("0", "none", "0 (60 bytes)")]
    assert len(quiet) == len(shown) - 5


def test_places_of_bit_fields_count_from_the_base() -> None:
    value = DoorbellPage()
    assert lines_of(value)["vmpl2.status.reserved_13_11"][0] == "0x080[13:11]"
    assert lines_of(value, 0x7F000)["vmpl2.status.reserved_13_11"][0] == "0x7f080[13:11]"
    assert lines_of(value, 0x7F000)["reserved_0x100"][0] == "0x7f100"


def test_bitmaps_are_ranges_of_their_numbers() -> None:
    value = ExtIntDescriptor(irr=0b1111 | 1 << 33 | 1 << 223, isr=1)
    shown = lines_of(value)
    assert shown["irr"][1].startswith("0x20-0x23, 0x41, 0xff  ")
    assert shown["isr"][1].startswith("0x0  ")


def test_codes_have_names_and_unknown_ones_stay_numbers() -> None:
    shown = lines_of(ApicIcr.of(4 << 8 | 2 << 18))
    assert shown["message_type"][1].startswith("0x4 NMI  ")
    assert shown["shorthand"][1].startswith("0x2 ALL  ")
    unknown = render(ApicIcr.of(3 << 8))
    assert "! message_type: 0x3: not a known MessageType" in unknown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (bytes(4088), "0 (4088 bytes)"),
        (b"\1" + bytes(4087), "01, 0 (4087 bytes)"),
        (bytes(4087) + b"\1", "0 (4087 bytes), 01"),
        (bytes(1000) + b"\1\0\2" + bytes(3085), "0 (1000 bytes), 01 00 02, 0 (3085 bytes)"),
        (b"\xff" * 4088, " ".join(["ff"] * 32) + " ... (+4056 bytes)"),
    ],
)
def test_long_bytes_are_shown_from_where_they_are_not_zero(data: bytes, shown: str) -> None:
    assert re.split(r"  +", lines_of(CallingArea(buffer=data))["buffer"][1])[0] == shown


def test_empty_elements_of_long_arrays_are_one_line() -> None:
    value = List.decode(bytes(6) + b"\x21" + bytes(14))
    shown = {path: (place, rest.split("  ")[0]) for path, (place, rest) in lines_of(value).items()}
    assert shown == {
        "count": ("0x000", "0"),
        "items[0-4]": ("0x001", "0 (5 elements)"),
        "items[5].half": ("0x006[3:0]", "0x1"),
        "items[5].reserved_7_4": ("0x006[7:4]", "0x2"),
        "items[6-19]": ("0x007", "0 (14 elements)"),
    }


def test_notes_and_problems_follow() -> None:
    value = ExtIntDescriptor()
    value.status.reserved_13_11 = 5
    text = render(value)
    assert text.endswith("\n  ! status.reserved_13_11: 0x5: reserved, must be zero [DESC-1]\n")
    draft = structures()["doorbell-events"]["2024-05-16"]
    assert "\nNotes\n  interrupt work for VMPL 1 by bits 1 to 3" in render(draft.decode(b"\2\0"))
    assert "Problems" not in render(draft.decode(b"\2\0"))


def covered(path: str, shown: set[str]) -> bool:
    """Whether a leaf has a line, of its own or of a run of elements."""
    if path in shown:
        return True
    for name in shown:
        run = re.fullmatch(r"(.*)\[(\d+)-(\d+)\]", name)
        at = run and re.match(re.escape(run[1]) + r"\[(\d+)\]", path)
        if run and at and int(run[2]) <= int(at[1]) <= int(run[3]):
            return True
    return False


@pytest.mark.parametrize("cls", [*published(), List], ids=label)
@given(data=st.data())
def test_every_leaf_is_named_whatever_the_bytes(cls: type[Structure], data: st.DataObject) -> None:
    content = data.draw(st.binary(max_size=min(cls.size or 300, 300)))
    size = max(cls.size, len(content))
    at = data.draw(st.integers(0, size - len(content)))
    value = cls.decode(content.rjust(at + len(content), b"\0").ljust(size, b"\0"))
    shown = set(lines_of(value))
    for leaf in leaves(type(value)):
        assert covered(leaf.path, shown), leaf.path


def test_a_name_is_not_said_twice() -> None:
    value = Vmsa()
    value.cs.selector, value.cs.attributes, value.cs.limit = 0x9900, 0x9A, 0xFFFF
    told = {path: rest for path, (_, rest) in lines_of(value).items()}
    assert told["cs.selector"].split(maxsplit=1) == ["0x9900", "Selector"]
    assert told["cs.attributes"].split(maxsplit=1)[1].startswith("Attributes: bits 15:8")
    assert told["cs.limit"].split(maxsplit=1) == ["0xffff", "Limit: Limit in bytes"]
    assert describe(EventInj(vector=0x0D)).startswith("Vector = 0xd, ")
