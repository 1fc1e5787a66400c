"""Formats: all of them in one command, the same bytes twice, and text that is never markup."""

import csv
import html.parser
import io
import json
import re
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.test_layout import Hostile
from vmgexit import ApicIcr, DoorbellPage, ExtIntDescriptor, Vmsa
from vmgexit.errors import UsageError
from vmgexit.layout import pages
from vmgexit.layout.formats import adoc, latex, md, rst
from vmgexit.layout.parts import alignment, camel, is_packed, snake
from vmgexit.layout.references import references
from vmgexit.layout.subjects import every, subject
from vmgexit.schema import (
    Bits,
    Record,
    Structure,
    bit,
    bits,
    nested,
    reserved,
    structure,
    u8,
    u16,
    u64,
)
from vmgexit.wire.calls import calls, former_calls
from vmgexit.wire.exits import exits


def page_of(format: str, *classes: type[Structure]) -> str:
    return pages.rendered(format, classes).decode()


@pytest.mark.slow
def test_everything_in_every_format_in_20_seconds_and_the_same_twice(tmp_path: Path) -> None:
    start = time.process_time()
    first = pages.all_pages(tuple(pages.FORMATS))
    assert time.process_time() - start < 20
    assert {Path(name).suffix for name in first} == {f.suffix for f in pages.FORMATS.values()}
    assert all(first.values())
    assert pages.all_pages(tuple(pages.FORMATS)) == first
    # 17 formats: five of one file for all, six that have structures alone.
    structures = sum(not name.startswith("README") for name in first if name.endswith(".svg"))
    references = len(every()) - structures
    joined = sum(format.joined for format in pages.FORMATS.values())
    assert len(first) == joined + 1 + 12 * structures + 6 * references


def test_every_call_and_exit_has_a_layout() -> None:
    found = references()
    for call in calls():
        assert found[call.name].document.sections[0].grids[0].columns[0] == "Register"
    assert {f"{call.name}@{call.revision}" for call in former_calls()} <= set(found)
    assert {exit.name for exit in exits()} <= set(found)


def test_the_registers_of_a_call() -> None:
    # AMD #58019, SVSM_CORE_CREATE_VCPU: RCX the VMSA, RDX the calling area, R8 the APIC ID.
    rows = list(csv.reader(io.StringIO(rows_of("SVSM_CORE_CREATE_VCPU"))))
    assert [row[2:6] for row in rows] == [
        ["Register", "Size (Bytes)", "Alignment", "In/Out"],
        ["RAX", "8", "-", "In"],
        ["RCX", "8", "4096", "In"],
        ["RDX", "8", "4096", "In"],
        ["R8", "8", "-", "In"],
        ["RAX", "8", "-", "Out"],
    ]
    assert rows[1][6].startswith("0x2: ")


def rows_of(name: str) -> str:
    return pages.rendered("csv", [subject(name)]).decode()


def test_what_must_be_valid_for_an_exit() -> None:
    # Linux arch/x86/coco/sev/vc-handle.c: WRMSR passes RCX, RAX and RDX.
    rows = [row[2:5] for row in csv.reader(io.StringIO(rows_of("MSR")))]
    assert ["RCX", "In", "always"] in rows
    assert ["RAX", "In", "write"] in rows
    assert ["RDX", "In", "write"] in rows
    assert ["RDX", "Out", "read"] in rows


def test_result_codes_and_msr_words() -> None:
    assert "Result codes,0x80000007,BUSY," in rows_of("result-codes")
    assert "GHCB MSR words,0x016,RUN_VMPL_REQUEST,2," in rows_of("ghcb-msr-words")
    assert "Reason sets,15,LINUX_SVSM,linux-svsm" in rows_of("termination-reasons")


def test_names_of_calls_take_any_spelling() -> None:
    assert subject("svsm-core-pvalidate") is subject("SVSM_CORE_PVALIDATE")
    with pytest.raises(UsageError, match="nothing is called ghcb-exists; nearest: ghcb-exits"):
        subject("ghcb-exists")


# --- Hostile text ---------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b",
    "*x* _y_ `z` ~q~ **w**",
    "[link](http://example.org) http://example.org a@example.org",
    "*/ int x; /*",
    "{{ 7 * 7 }} {% raw %}",
    r"\input{/etc/passwd} $x$ %c & ~ ^ # \\",
    "|=== ++++ pass:[x] {counter:x} <<x>> image::x[]",
    ".. include:: /etc/passwd",
    ":ref:`x` |x| x_ `x <y>`__",
    '"; DROP \' "quoted" "',
    "<% system('id') %> `include",
    "=cmd()",
    "\u202egnitirw thgir\u202c \x00\x1b[31m",
    "- item",
    "1. first",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_of_hostile_text_has_no_markup(text: str) -> None:
    shown = md.escape(text)
    assert not re.search(r"(?<!\\)[*`|~\[\]]|<|>", shown)
    assert "\n" not in shown


class Elements(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not {name for name, _ in attrs} & {"onload", "onerror", "onclick"}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_of_hostile_text_has_no_more_elements() -> None:
    pytest.importorskip("jinja2")
    usual, hostile = Elements(), Elements()
    usual.feed(page_of("html", DoorbellPage))
    hostile.feed(page_of("html", Hostile))
    assert hostile.tags <= usual.tags
    assert "<script>alert(1)</script>" in hostile.text


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_of_hostile_text_has_no_commands_but_ours(text: str) -> None:
    shown = latex.escape(text)
    left = re.sub(r"\\text\w+\{\}|\\allowbreak\{\}|\\[#$%&{}_]", "", shown)
    assert "\\" not in left
    assert not set("#$%&^_~<>|") & set(left)
    assert left.isascii()


@pytest.mark.parametrize("text", HOSTILE)
def test_asciidoc_of_hostile_text_has_only_references(text: str) -> None:
    left = re.sub(r"&#\d+;", "", adoc.escape(text))
    assert not set("*`|~[]{}<>+#^\\\"'@%$!?") & set(left)
    assert "://" not in left


@pytest.mark.parametrize("text", HOSTILE)
def test_rst_of_hostile_text_is_escaped(text: str) -> None:
    shown = rst.escape(text)
    assert not re.search(r"(?<!\\)[*`|@<>]", shown.replace(r"\\", ""))
    assert not re.search(r"(?<!\\)://", shown)


def test_programs_of_hostile_text_hold_it_in_comments_and_strings() -> None:
    @structure("test-code", size=2, source="*/ int evil; /* ??/")
    class Code(Bits):
        """*/ #include <evil> /*"""

        low: int = bits(8, "x */ int evil; //")
        high: bool = bit("\nint evil;\n")
        reserved_15_9: int = reserved(7)

    without = re.sub(r"/\*.*?\*/", "", page_of("c", Code))
    assert "evil" not in without
    for format, comment in (("rust", "//"), ("imhex", "//"), ("ksy", "#")):
        for line in page_of(format, Code).splitlines():
            before = re.sub(r'"(?:[^"\\]|\\.)*"', "", line).partition(comment)[0]
            assert "evil" not in before, format
    assert "<%" not in page_of("systemrdl", Hostile)
    for format in ("bytefield", "wavedrom"):
        assert "\n" not in re.findall(r'"((?:[^"\\]|\\.)*)"', page_of(format, Hostile))
    assert "<" not in page_of("wavedrom", Hostile)


def test_csv_of_hostile_text_is_no_formula() -> None:
    @structure("test-sheet", size=1, clause="+1")
    class Sheet(Record):
        """A sheet."""

        plain: int = u8("=cmd()", access="@x")

    [row] = list(csv.DictReader(io.StringIO(page_of("csv", Sheet))))
    assert (row["Description"], row["Access"], row["Clause"]) == ("'=cmd()", "'@x", "'+1")


# --- Languages ------------------------------------------------------------------------------------


def test_names_of_other_languages() -> None:
    assert snake("doorbell-page@2024-05-16") == "doorbell_page_20240516"
    assert snake("ExtIntStatus") == "ext_int_status"
    assert camel("event-inj") == "EventInj"
    assert snake("9 <x>") == "_9_x"
    assert snake("") == "_"


def test_the_masks_of_the_status_word() -> None:
    # DESC-1: the vector in bits 7:0, more than one in bit 14, vector 31 in bit 31.
    header = page_of("c", ExtIntDescriptor)
    for line in (
        "#define VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR_MASK UINT32_C(0x000000ff)",
        "#define VMGEXIT_EXT_INT_STATUS_MULTIPLE_VECTORS_SHIFT 14",
        "#define VMGEXIT_EXT_INT_STATUS_VECTOR_31_MASK UINT32_C(0x80000000)",
        "#define VMGEXIT_EXT_INT_DESCRIPTOR_IRR_FIRST 32",
        "VMGEXIT_ASSERT(offsetof(struct vmgexit_ext_int_descriptor, isr) == 0x020,",
        "VMGEXIT_ASSERT(sizeof(struct vmgexit_ext_int_descriptor) == 64,",
    ):
        assert line in header
    module = page_of("rust", ExtIntDescriptor)
    assert "pub const MULTIPLE_VECTORS_SHIFT: u32 = 14;" in module
    assert "assert!(core::mem::offset_of!(ExtIntDescriptor, isr) == 0x20);" in module


def test_structures_are_packed_only_where_they_must_be() -> None:
    @structure("test-odd", size=3)
    class Odd(Record):
        """Not aligned."""

        first: int = u8("One")
        second: int = u16("Two")

    @structure("test-tail", size=12)
    class Tail(Record):
        """Eight bytes, then four."""

        first: int = u64("Eight")
        second: int = u16("Two")
        third: int = u16("Two")

    @structure("test-outer", size=4)
    class Outer(Record):
        """A packed structure is aligned by one byte."""

        first: int = u8("One")
        inner: Odd = nested(Odd, "Three")

    assert (is_packed(Odd), is_packed(Tail), is_packed(Outer)) == (True, True, False)
    assert (alignment(Outer), alignment(DoorbellPage)) == (1, 4)
    assert "__attribute__((packed))" in page_of("c", Odd)
    assert "#[repr(C, packed)]" in page_of("rust", Odd)


def test_two_names_that_would_be_one_are_refused() -> None:
    @structure("test-twice", size=1)
    class One(Bits):
        """One."""

        a_b: int = bits(4, "One")
        aB: int = bits(4, "Two")

    for format in ("c", "rust", "ksy", "imhex", "systemrdl"):
        with pytest.raises(UsageError, match="would both be called"):
            page_of(format, One)


def test_json_says_every_bit_once() -> None:
    made = json.loads(page_of("json", DoorbellPage))
    page = made["structures"][-1]
    assert (page["name"], page["size"]) == ("doorbell-page", 4096)
    assert sum(field["width"] for field in page["fields"]) == 8 * 4096
    assert [each["name"] for each in made["structures"][:2]] == ["doorbell-flags", "vmpl-events"]


# --- Word -----------------------------------------------------------------------------------------


def test_word_has_tables_with_styles_and_captions() -> None:
    docx = pytest.importorskip("docx")
    made = pages.rendered("docx", [ExtIntDescriptor])
    assert made == pages.rendered("docx", [ExtIntDescriptor])
    word = docx.Document(io.BytesIO(made))
    descriptor, status = word.tables
    assert descriptor.style.name == status.style.name == "Table Grid"
    assert [cell.text for cell in descriptor.rows[0].cells] == [
        "Offset",
        "Size (Bytes)",
        "Description",
    ]
    assert [cell.text for cell in status.rows[-1].cells][:2] == [
        "7:0",
        "PendingVector pending_vector",
    ]
    captions = [p.text for p in word.paragraphs if p.style.name == "Caption"]
    assert [re.sub(r"\d+", "1", text) for text in captions] == [
        "Table : Layout of ext-int-descriptor",
        "Table : Bits of ext-int-status",
    ]
    headings = [(p.style.name, p.text) for p in word.paragraphs if p.style.name.startswith("Head")]
    assert headings == [("Heading 1", "ext-int-descriptor"), ("Heading 2", "ext-int-status")]


def test_word_holds_hostile_text_as_text() -> None:
    docx = pytest.importorskip("docx")
    made = pages.rendered("docx", [Hostile])
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert "<script>" not in archive.read("word/document.xml").decode()
    word = docx.Document(io.BytesIO(made))
    assert any("<script>alert(1)</script>" in paragraph.text for paragraph in word.paragraphs)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'docx'", name="docx")

    monkeypatch.setattr(pages, "import_module", missing)
    with pytest.raises(
        UsageError, match=r"docx needs the Python package docx; pip install 'vmgexit\[l"
    ):
        pages.rendered("docx", [ApicIcr])


# --- Drawings -------------------------------------------------------------------------------------


def drawing(cls: type[Structure], **options: object) -> str:
    return pages.rendered("svg", [cls], options).decode()


def height(text: str) -> int:
    return int(re.findall(r'height="(\d+)"', text)[0])


def test_a_page_of_many_fields_is_drawn_compact() -> None:
    assert height(drawing(Vmsa)) < 4000
    assert height(drawing(DoorbellPage, compact=True)) < height(drawing(DoorbellPage))


def test_themes_and_plain_drawings() -> None:
    assert "prefers-color-scheme" in drawing(ApicIcr)
    light, dark = drawing(ApicIcr, theme="light"), drawing(ApicIcr, theme="dark")
    assert "prefers-color-scheme" not in light + dark
    assert ".paper { fill: #ffffff }" in light
    assert ".paper { fill: #0d1117 }" in dark
    plain = drawing(DoorbellPage, plain=True)
    assert "COCONUT-SVSM" not in plain
    assert "Clause" not in plain
    assert "NoEoiRequired" in plain
