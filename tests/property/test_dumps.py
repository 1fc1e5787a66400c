"""Every structure, in every form in which people have it, is read back as it was."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dumps import WRITERS, word_size
from tests.structures import declared, name_of
from vmgexit.errors import DecodeError
from vmgexit.read import given as door
from vmgexit.read.hexdump import read
from vmgexit.schema import Structure

WORDS = [cls for cls in declared() if cls.size <= 8]


def opened(size: int, **given: str) -> bytes:
    with door.given(size=size, **given) as found:  # type: ignore[arg-type]
        data: bytes = found.stream.read()
        return data


@pytest.mark.parametrize("cls", WORDS, ids=name_of)
@given(data=st.data())
@settings(max_examples=20)
def test_the_forms_of_a_word_agree(cls: type[Structure], data: st.DataObject) -> None:
    size = cls.size
    value = data.draw(st.integers(0, (1 << 8 * size) - 1))
    memory = value.to_bytes(size, "little")
    number = f"0x{value:0{2 * size}x}"
    forms = {
        "number": opened(size, text=number),
        "shortest number": opened(size, text=hex(value)),
        "longer number": opened(size, text=f"{value:#018x}"),
        "bytes": opened(size, text=memory.hex()),
        "bytes as numbers": opened(size, text=" ".join(f"{byte:#04x}" for byte in memory)),
        "place of FILE": opened(size, file=number),
        "decimal": opened(size, file=str(value)),
        "--value": opened(size, value=number),
        "--value, decimal": opened(size, value=str(value)),
        "gdb x/b": opened(size, text=WRITERS["gdb x/xb"](memory, 0x7FFE1000)),
        "xxd": opened(size, text=WRITERS["xxd"](memory, 0)),
    }
    if size in (2, 4, 8):
        letter = {2: "h", 4: "w", 8: "g"}[size]
        forms[f"gdb x/{letter}"] = opened(size, text=f"0x7ffe1000 <word>:\t{number}\n")
    assert forms == dict.fromkeys(forms, memory)
    assert all(cls.decode(found) == cls.decode(memory) for found in forms.values())


def contents(size: int) -> list[bytes]:
    """Noise; mostly zeros, as pages are; text."""
    made = random.Random(size)
    sparse = bytearray(size)
    for _ in range(max(1, size // 64)):
        sparse[made.randrange(size)] = made.randrange(256)
    return [made.randbytes(size), bytes(sparse), bytes(made.choices(b"abcXYZ 0189", k=size))]


def check(cls: type[Structure], form: str, data: bytes) -> None:
    """Fail unless `data`, written in this form, are read back, or told to be in either order."""
    dump = read(WRITERS[form](data, 0x7FFF12345000), cls.size)
    assert not dump.gaps
    if dump.data != data:  # where nothing tells the order, both are there, and this is said
        assert dump.other == data, (name_of(cls), data[:64].hex(" "), dump.notes)
        assert any("might be" in note for note in dump.notes)


@pytest.mark.parametrize("form", WRITERS)
def test_every_structure_in_every_form_is_read_back(form: str) -> None:
    """Of structures larger than 1 KiB one in eight, each time others; the test below has them all."""
    turn = list(WRITERS).index(form)
    for at, cls in enumerate(cls for cls in declared() if not cls.size % word_size(form)):
        if cls.size <= 1024 or (at + turn) % 8 == 0:
            check(cls, form, contents(cls.size)[(at + turn) % 3])


@pytest.mark.long
@pytest.mark.parametrize("form", WRITERS)
def test_every_structure_with_every_content_in_every_form(form: str) -> None:
    for cls in declared():
        if not cls.size % word_size(form):
            for data in contents(cls.size):
                check(cls, form, data)


ADDRESSED = [
    form
    for form in WRITERS
    if form.startswith(("xxd", "gdb x/x", "lldb", "WinDbg", "crash", "QEMU", "od -Ax"))
    and not form.endswith("-p")
    and "-e" not in form
] + [form for form in WRITERS if "offset, rows of 16" in form]


@pytest.mark.parametrize("form", ADDRESSED)
@given(data=st.data())
@settings(max_examples=25)
def test_lines_lost_doubled_or_moved_are_never_silent(form: str, data: st.DataObject) -> None:
    memory = bytes(data.draw(st.lists(st.integers(0, 255), min_size=96, max_size=96)))
    lines = WRITERS[form](memory, 0x7FFF12345000).splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    match data.draw(st.sampled_from(("lose", "double", "move"))):
        case "lose":
            changed = lines[:at] + lines[at + 1 :]
        case "double":
            changed = lines[: at + 1] + lines[at:]
        case _:
            changed = [lines[at], *lines[:at], *lines[at + 1 :]]
    try:
        dump = read("\n".join(changed), len(memory))
    except DecodeError:
        return
    start = (dump.address or 0) % 0x1000  # the base is that of a page
    missing = {place for gap in dump.gaps for place in gap}
    for held in (dump.data, dump.other or dump.data):  # where nothing tells the order, one of two
        known = [place for place in range(len(held)) if place not in missing]
        if all(held[place] == memory[start + place] for place in known):
            break
    else:
        pytest.fail(f"{dump} is not what was written")
    assert not missing or any("a gap" in note or "not in the dump" in note for note in dump.notes)
