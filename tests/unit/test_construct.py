"""`DoorbellPage.construct` and all others: alone, and inside constructs of the user's own.

The bytes here are written by hand: a doorbell page begins with the vector, then the flags, of which
bit 0 is NmiPending and bit 7 NoFurtherSignal.
"""

import io
import subprocess
import sys
from typing import Any

import pytest
from construct import (
    Array,
    Bytes,
    Computed,
    Construct,
    ConstructError,
    GreedyRange,
    Int8ul,
    Pointer,
    Prefixed,
    Struct,
    Switch,
    Terminated,
    ValidationError,
    this,
)

from tests.structures import declared, name_of
from vmgexit import DoorbellHead, ExtIntStatus, IoioInfo, PscEntry, PscRequest
from vmgexit.schema import Structure
from vmgexit.wire.doorbell_history import DoorbellPage2023

HEAD = bytes([0x61, 0x81]) + bytes(254)


@pytest.mark.parametrize("cls", declared(), ids=name_of)
def test_every_structure_has_one(cls: type[Structure]) -> None:
    made = cls.construct
    assert isinstance(made, Construct)
    assert made is cls.construct
    assert made.sizeof() == cls.size
    data = bytes(range(256)) * 64
    assert made.build(made.parse(data[: cls.size])) == data[: cls.size]
    stream = io.BytesIO(data)
    assert made.parse_stream(stream) == cls.decode(data[: cls.size])
    assert stream.tell() == cls.size
    compiled = made.compile()
    assert compiled.build(compiled.parse(data)) == data[: cls.size]


def test_it_parses_to_the_structure() -> None:
    head = DoorbellHead.construct.parse(HEAD)
    assert type(head) is DoorbellHead
    assert (head.vector, head.flags.nmi_pending, head.flags.no_further_signal) == (0x61, True, True)
    assert repr(PscEntry.construct.parse(bytes([0, 0, 0, 0, 0, 0, 0x10, 0]))) == (
        "PscEntry(operation=PageOperation.PRIVATE)"
    )


def test_a_revision_has_its_own() -> None:
    assert type(DoorbellPage2023.construct.parse(bytes(4096))) is DoorbellPage2023


def test_a_field_is_reached_by_its_name_in_brackets() -> None:
    head = DoorbellHead.decode(HEAD)
    assert head["flags"]["no_further_signal"] is True
    for name in ("flag", "decode", "size"):
        with pytest.raises(KeyError, match=name):
            head[name]


COMPILED = pytest.mark.parametrize("ready", [lambda made: made, lambda made: made.compile()])


@COMPILED
def test_in_a_struct_whose_other_fields_look_into_it(ready: Any) -> None:
    made = ready(
        Struct(
            "count" / Int8ul,
            "head" / DoorbellHead.construct,
            "vector" / Computed(this.head.vector),
            "signalled" / Computed(this.head.flags.no_further_signal),
            "rest" / Bytes(this.head.vector - 0x5F),
        )
    )
    data = b"\x01" + HEAD + b"ab"
    found = made.parse(data)
    assert found.head == DoorbellHead.decode(HEAD)
    assert (found.vector, found.signalled, found.rest) == (0x61, True, b"ab")
    assert made.build(found) == data
    found.head.vector = 0x60
    assert made.build({"count": 1, "head": found.head, "rest": b"a"})[1:3] == b"\x60\x81"


@COMPILED
def test_in_arrays(ready: Any) -> None:
    three = ready(Array(3, ExtIntStatus.construct))
    data = bytes([0x31, 0, 0, 0, 0x41, 1, 0, 0, 0, 0, 0, 0x80])
    found = three.parse(data)
    assert [status.pending_vector for status in found] == [0x31, 0x41, 0]
    assert [status.vector_31 for status in found] == [False, False, True]
    assert three.build(found) == data
    assert ready(ExtIntStatus.construct[3]).parse(data) == found
    listed = ready(
        Struct("all" / ExtIntStatus.construct[3], "of" / Computed(this.all[1].pending_vector))
    )
    assert listed.parse(data).of == 0x41
    assert GreedyRange(ExtIntStatus.construct).parse(data + b"\0") == found


@COMPILED
def test_in_a_switch(ready: Any) -> None:
    made = ready(
        Struct(
            "kind" / Int8ul,
            "body" / Switch(this.kind, {1: ExtIntStatus.construct, 2: IoioInfo.construct}),
        )
    )
    status = made.parse(b"\x01\x61\x01\0\0").body
    assert (type(status), status.pending_vector, status.nmi_pending) == (ExtIntStatus, 0x61, True)
    # bits 31:16 are the port
    info = made.parse(b"\x02\x10\0\xf8\x03\0\0\0\0").body
    assert (type(info), info.port) == (IoioInfo, 0x3F8)
    assert made.build({"kind": 1, "body": ExtIntStatus(vector_31=True)}) == b"\x01\0\0\0\x80"


def test_in_what_moves_and_cuts_the_stream() -> None:
    assert Pointer(2, ExtIntStatus.construct).parse(b"..\x61\0\0\0").pending_vector == 0x61
    sized = Prefixed(Int8ul, Struct("status" / ExtIntStatus.construct, Terminated))
    assert sized.parse(b"\x04\x61\0\0\0").status.pending_vector == 0x61


def test_a_view_is_built_as_it_stands_in_its_buffer() -> None:
    buffer = bytearray(HEAD)
    view = DoorbellHead.view(buffer)
    view.vector = 0x33
    assert DoorbellHead.construct.build(view) == b"\x33" + HEAD[1:]
    assert view.construct is DoorbellHead.construct


def test_mappings_are_built_from_as_well() -> None:
    built = DoorbellHead.construct.build({"vector": 0x61, "flags": {"no_further_signal": True}})
    assert built == bytes([0x61, 0x80]) + bytes(254)
    assert DoorbellHead.construct.build({"vector": 0x61, "flags": 0x80}) == built
    entries = [{"frame": 1}, PscEntry(frame=2), 0]
    request = PscRequest.construct.build({"entries": entries})
    assert request[:8] == b"\0\0\2\0\0\0\0\0"
    assert request[8:24] == b"\0\x10\0\0\0\0\0\0" + b"\0\x20\0\0\0\0\0\0"
    with pytest.raises(TypeError, match=r"^DoorbellHead has no field vektor$"):
        DoorbellHead.construct.build({"vektor": 1})


@pytest.mark.parametrize(
    ("wrong", "path", "message"),
    [
        (DoorbellHead(vector=300), "", "vector: 300 does not fit 8 bits"),
        ({"vector": "1"}, "", "vector: '1' is not an integer"),
        ({"flags": {"nmi_pending": 2}}, " -> flags", "nmi_pending: 2 does not fit 1 bit"),
        ({"flags": 256}, "", "flags: 256 does not fit 8 bits"),
        ({"flags": "1"}, "", "flags: '1' is not a DoorbellFlags"),
        (ExtIntStatus(), "", "ExtIntStatus() is not a DoorbellHead"),
        (b"", "", "b'' is not a DoorbellHead"),
    ],
)
def test_what_does_not_fit_is_an_error_of_construct(wrong: object, path: str, message: str) -> None:
    outer = Struct("head" / DoorbellHead.construct)
    with pytest.raises(ValidationError) as caught:
        outer.build({"head": wrong})
    assert str(caught.value) == f"Error in path (building) -> head{path}\n{message}"
    with pytest.raises(ConstructError, match="path \\(parsing\\) -> head -> "):
        outer.parse(bytes(255))


def test_construct_is_imported_by_the_attribute_alone() -> None:
    program = """
import sys
from vmgexit import DoorbellPage
from vmgexit.wire.registry import structures
structures()
page = DoorbellPage.decode(bytes(4096))
page.problems(), page.encode(), DoorbellPage.view(bytes(4096)).flags
print("construct" in sys.modules)
DoorbellPage.construct
print("construct" in sys.modules)
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "True"]
