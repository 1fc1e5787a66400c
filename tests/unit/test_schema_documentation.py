"""What `help` shows of a structure: every field with its place, its type and its meaning."""

import pydoc
import re

import pytest

from tests.structures import declared, name_of
from vmgexit import DoorbellHead, DoorbellPage, PscRequest, RunVmplRequest
from vmgexit.schema import Structure


@pytest.mark.parametrize("cls", declared(), ids=name_of)
def test_every_field_has_its_line(cls: type[Structure]) -> None:
    text = " ".join((cls.__doc__ or "").split())
    assert text.startswith(cls.declaration.title)
    for field in cls.declaration.fields:
        bits = f"bits? {field.bits}" if cls.declaration.is_bits else f"0x{field.byte_offset:03x}"
        meaning = re.escape(" ".join(field.meaning.split()))
        assert re.search(rf"{bits} {field.name} .*? {meaning}", text), field.name


def test_help_shows_place_type_and_meaning() -> None:
    shown = pydoc.plain(pydoc.render_doc(DoorbellPage))
    for line in (
        "0x000  vector           int, 8 bits       Pending vector for the executing VMPL; 0 = none",
        "0x001  flags            DoorbellFlags     Other events of the executing VMPL",
        "0x080  vmpl2            ExtIntDescriptor  Extended interrupt descriptor of VMPL 2",
        "0x100  reserved_0x100   bytes, 3840       Reserved; must be zero",
    ):
        assert line in shown
    shown = pydoc.plain(pydoc.render_doc(RunVmplRequest))
    assert "bits 11:0   info            GhcbInfo, 12 bits  What the word is; always 0x16, " in shown
    assert "list of any PscEntry  Pages to change" in (PscRequest.__doc__ or "")


def test_values_have_the_text_of_their_class() -> None:
    assert DoorbellHead().__doc__ == DoorbellHead.__doc__
    assert DoorbellHead.__doc__ != DoorbellPage.__doc__
