"""Foreign drafts beside the declarations: a right one, in three forms, and mistakes put into it."""

import dataclasses
import io
import sys
import zipfile
from pathlib import Path

import pytest

from vmgexit.drafts.checked import check
from vmgexit.drafts.document import Block, Heading, Paragraph, Table, read
from vmgexit.drafts.report import Remark
from vmgexit.errors import UsageError
from vmgexit.layout.pages import rendered
from vmgexit.layout.subjects import Subject, every, name_of

docx = pytest.importorskip("docx")
markdown = pytest.importorskip("vmgexit.drafts.forms.markdown")
rst = pytest.importorskip("vmgexit.drafts.forms.rst")

RIGHT = Path(__file__).parents[1] / "conformance" / "drafts" / "alternate-injection.md"

# What the thread of May and June 2024 found by eye: what is right, what the draft said, what is told.
OF_THE_THREAD = {
    "bits 1 to 3 for 8 to 10": (
        "8, 9, or 10 in the second",
        "1, 2, or 3 in the second",
        "bits 1, 2, or 3 of the second 16-bit word of doorbell-head found, 8, 9, 10 are vmpl-events's",
        "DESC-2",
    ),
    "a stray call 5": (
        "| Allow or disallow vectors |",
        "| Allow or disallow vectors |\n| 5 | 1 | Configure Alternate Injection | |",
        "call 5, 'Configure Alternate Injection': APIC has calls 0 to 4",
        "REG-8",
    ),
    "three inputs where the text says two": (
        "one of three requests, register, deregister, and align",
        "one of two requests, register and unregister",
        "two requests found, ConfigureRequest has 3: ALIGN, DEREGISTER, REGISTER",
        "REG-2",
    ),
}

IN_WORD = {"DESC-2": "paragraph 5", "REG-8": "table 3, row 6", "REG-2": "paragraph 9"}

OTHERS = {
    "a bit": ("| 27 |", "| 28 |", "IpiRequested: bit 28 found, bit 27 in ext-int-status", "DESC-1"),
    "two fields of one bit": ("| 9 |", "| 8 |", "'NmiPending' and 'McPending' overlap at bit 8", ""),
    "a name": ("`Vector31`", "`Vector30`", "bit 31 is 'Vector30' here, Vector31 in", "DESC-1"),
    "a field too many": ("| 30:28 | Reserved |", "| 30:28 | `Priority` |",
                         "ext-int-status has no field 'Priority' at bits 30:28", "DESC-1"),
    "an offset": ("| `0x20` | 32", "| `0x24` | 32", "offset 0x024, 32 bytes found, offset 0x020", "DESC-1"),
    "a size": ("| 28 | IRR", "| 24 | IRR", "offset 0x004, 24 bytes found, offset 0x004, 28", "DESC-1"),
    "a number of a call": ("| 2 | 1 |", "| 3 | 1 |", "SVSM_APIC_READ_REGISTER is call 3 here", "REG-8"),
    "a name of a call": ("_READ_REGISTER", "_REED_REGISTAR",
                         "call 2 is 'SVSM_APIC_REED_REGISTAR' here, SVSM_APIC_READ_REGISTER", "REG-8"),
    "a register": ("| `RCX` | 8 |", "| `RDX` | 8 |",
                   "RDX in: SVSM_APIC_CONFIGURE_EMULATION has RCX in", "REG-2"),
    "text against a table": ("passed in `RCX`", "passed in `R8`",
                             "R8 goes in here; in the table above RCX do", ""),
    "a code": ("`0b01`", "`0b11`", "DEREGISTER: 0x3 found, 0x1 in ConfigureRequest", "REG-2"),
    "a name of a code": ("`ALIGN`", "`REFRESH`", "0x0 is REFRESH here, ALIGN in", "REG-2"),
    "a result": ("0x80000005", "0x80000004", "0x80000004 found, 0x80000005 declared", ""),
    "a size in the text": ("VMPL is 64 bytes", "VMPL is 32 bytes", "32 bytes found, 64 declared", "DESC-1"),
    "a bit in the text": ("(bit 14)", "(bit 15)", "MultipleVectors: bits 15 found, 14 in", "DESC-1"),
    "a call in the text": ("Any other", "Call 5 is the host's. Any other", "call 5: APIC has", "REG-8"),
}  # fmt: skip


def from_markdown(text: str) -> list[Block]:
    return list(markdown.blocks(text.encode()))


def from_word(text: str, folder: Path) -> list[Block]:
    """The same draft as a Word document, by way of a file, with what Word puts in for a writer."""
    document = docx.Document()
    for block in from_markdown(text):
        match block:
            case Heading():
                document.add_heading(block.text, block.level)
            case Paragraph():
                document.add_paragraph(block.text.replace("'", "’").replace(" 16", "\xa016"))
            case Table():
                rows = (block.header, *block.rows)
                table = document.add_table(len(rows), len(block.header))
                for cells, row in zip(rows, table.rows, strict=True):
                    for content, cell in zip(cells, row.cells, strict=True):
                        cell.text = content
    document.save(str(folder / "draft.docx"))
    return read(folder / "draft.docx")


def from_rst(text: str) -> list[Block]:
    """The same draft as reStructuredText with grid tables, as the kernel's documentation has them."""
    lines: list[str] = []
    for block in from_markdown(text):
        match block:
            case Heading():
                lines += ["", block.text, "=-~^"[block.level - 1] * len(block.text), ""]
            case Paragraph():
                lines += [block.text.replace("_", "\\_"), ""]
            case Table():
                rows = [tuple(cell.replace("_", "\\_") for cell in row) for row in block.rows]
                widths = [max(map(len, column)) for column in zip(block.header, *rows, strict=True)]
                for at, row in enumerate((block.header, *rows)):
                    rule = "=" if at == 1 else "-"
                    lines.append(f"+{'+'.join(rule * (width + 2) for width in widths)}+")
                    cells = zip(row, widths, strict=True)
                    lines.append("".join(f"| {cell:{width}} " for cell, width in cells) + "|")
                lines += [f"+{'+'.join('-' * (width + 2) for width in widths)}+", ""]
    return list(rst.blocks("\n".join(lines).encode()))


def told(remarks: list[Remark], text: str, clause: str) -> list[Remark]:
    return [each for each in remarks if text in each.text and each.clause == clause]


def wrong(right: str, mistake: str) -> str:
    text = RIGHT.read_text(encoding="utf-8").replace("written for the tests,", "written for tests,")
    joined = text.replace("it sets bits in that descriptor, and it will also set bit\n8,",
                          "it sets bits in that descriptor, and it will also set bit 8,")  # fmt: skip
    assert joined.count(right) == 1
    return joined.replace(right, mistake)


def test_a_right_draft_is_silent_in_every_form(tmp_path: Path) -> None:
    text = RIGHT.read_text(encoding="utf-8")
    for blocks in (from_markdown(text), from_word(text, tmp_path), from_rst(text)):
        assert sum(isinstance(block, Table) for block in blocks) == 5
        assert check(blocks) == []


@pytest.mark.clause("DESC-2", "REG-2", "REG-8")
@pytest.mark.parametrize("name", OF_THE_THREAD)
def test_the_errors_of_the_thread(name: str, tmp_path: Path) -> None:
    right, mistake, text, clause = OF_THE_THREAD[name]
    draft = wrong(right, mistake)
    line = next(
        at for at, each in enumerate(draft.splitlines(), 1) if mistake.split("\n")[-1] in each
    )
    [found] = [each for each in check(from_markdown(draft)) if each.is_finding]
    assert (found.text, found.clause) == (text, clause)
    assert 0 <= line - int(found.place.removeprefix("line ")) <= 1  # a paragraph begins above
    [in_word] = [each for each in check(from_word(draft, tmp_path)) if each.is_finding]
    assert (in_word.text, in_word.clause) == (text, clause)
    assert in_word.place == IN_WORD[clause]


def test_all_three_at_once(tmp_path: Path) -> None:
    text = wrong("written for tests,", "made for tests,")
    for right, mistake, _, _ in OF_THE_THREAD.values():
        text = text.replace(right, mistake)
    for blocks in (from_markdown(text), from_word(text, tmp_path), from_rst(text)):
        found = [each.clause for each in check(blocks) if each.is_finding]
        assert found == ["DESC-2", "REG-2", "REG-8"]


@pytest.mark.parametrize("name", OTHERS)
def test_other_mistakes(name: str) -> None:
    right, mistake, text, clause = OTHERS[name]
    assert told(check(from_markdown(wrong(right, mistake))), text, clause)


@pytest.mark.parametrize(
    "left_out",
    [
        "| 27 | `IpiRequested` | An IPI is requested |\n",
        "| `RCX` | 8 | | IN | What is asked for |\n",
    ],
)
def test_a_row_that_is_left_out_is_a_note(left_out: str) -> None:
    found = check(from_markdown(wrong(left_out, "")))
    assert any("left out are" in each.text for each in found)
    assert told([each for each in found if each.is_finding], "", "") == [
        each for each in found if "RCX goes in here" in each.text
    ]


def test_what_is_said_not_to_be_is_no_claim() -> None:
    assert (
        check(
            from_markdown("SVSM_APIC_EOI is none. There is no call 5 of SVSM_APIC_READ_REGISTER.")
        )
        == []
    )


@pytest.mark.slow
@pytest.mark.parametrize("one", every(), ids=name_of)
def test_our_own_layouts_are_right(one: Subject) -> None:
    found = check(from_markdown(rendered("md", [one]).decode()))
    assert [str(each) for each in found if each.is_finding or "fits" in each.text] == []


def test_a_shape_of_a_protocol_is_known_by_its_numbers() -> None:
    head = "| Call ID | Name |\n| --- | --- |\n"
    assert check(from_markdown(f"{head}| 2 | `SVSM_OCP_READ` |\n| 3 | `SVSM_OCP_WRITE` |")) == [
        Remark("line 3", "OBSERVABILITY: left out are SVSM_OCP_LIST_OBJECTS,"
               " SVSM_OCP_LIST_OBJECT_SOURCES", is_finding=False)
    ]  # fmt: skip


def test_words_of_some_codes_are_no_list_of_them() -> None:
    said = "A test key signs the report. The quirk encrypts two requests, of a key and of a report."
    assert check(from_markdown(f"# guest-message-header\n\n{said}")) == []


def test_a_table_that_fits_nothing_is_a_note_with_the_nearest() -> None:
    [found] = check(
        from_markdown("| Offset | Size | Name |\n|-|-|-|\n| 0 | 3 | Colour |\n| 3 | 4 | Taste |")
    )
    assert found.text.startswith("a table that fits no structure; nearest: ")
    assert not found.is_finding


def test_hostile_drafts_are_text() -> None:
    head = "| Bit(s) | Name |\n| --- | --- |\n"
    for cell in ("9" * 5000, "-1", "1:" * 40, "0x", "<b>|x", "\x00"):
        check(from_markdown(f"{head}| {cell} | `PendingVector` |\n| 8 | {cell} |"))
    deep = "> " * 3000 + "bit 8"
    check(from_markdown(deep))
    check(
        list(
            rst.blocks(b".. include:: /etc/passwd\n\n.. raw:: html\n   :file: /etc/passwd\n\ntext")
        )
    )


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("draft.pdf", b"%PDF", "draft.pdf: a draft ends in .md, .markdown, .docx, .rst"),
        ("draft.docx", b"no zip", "draft.docx: no word document: "),
        ("draft.md", b"\xff\xfe", "draft.md: no markdown document: 'utf-8' codec can't decode"),
        ("draft.md", b"", "draft.md: empty; headings, text or tables expected"),
        ("draft.rst", b"", "draft.rst: empty"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, data: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as raised:
        read(tmp_path / name)
    assert complaint in str(raised.value)


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vmgexit.drafts.forms.markdown", None)
    (tmp_path / "draft.md").write_text("# Draft", encoding="utf-8")
    with pytest.raises(UsageError, match=r"^--check needs: pip install 'vmgexit\[spec\]' "):
        read(tmp_path / "draft.md")


def test_a_zip_that_is_no_document(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml", "<broken")
    (tmp_path / "x.docx").write_bytes(stream.getvalue())
    with pytest.raises(UsageError, match="no word document"):
        read(tmp_path / "x.docx")


def test_a_remark_in_one_line() -> None:
    remark = Remark("line 3", "a finding", "REG-2")
    assert str(remark) == "line 3: a finding [REG-2]"
    assert (
        str(dataclasses.replace(remark, clause="", is_finding=False)) == "line 3: note: a finding"
    )
