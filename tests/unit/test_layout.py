"""Layout tables: what they say is compared with rows written by hand from the specification."""

import re
from pathlib import Path

import pytest

from vmgexit import DoorbellPage, ExtIntDescriptor, ExtIntStatus
from vmgexit.layout.naming import label
from vmgexit.layout.pages import all_pages, file_name, rendered, write_all
from vmgexit.layout.subjects import every, name_of, published
from vmgexit.layout.table import sheet
from vmgexit.schema import (
    Bits,
    Record,
    Rule,
    Structure,
    array,
    bit,
    bits,
    raw,
    reserved,
    structure,
    u8,
)
from vmgexit.wire.registry import structures

COMMITTED = Path(__file__).parents[2] / "specs" / "layouts"
REFRESH = "vmgexit layout --all -o specs/layouts/"


@structure("test-hostile", size=4, clause="<b>", source="a | b")
class Hostile(Record):
    """Title | with <script>alert(1)</script> & `code` and *stars*."""

    plain: int = u8('a | b <img src="x"> & [link](http://example.org) *x* _y_ `z`')
    hidden: bytes = raw(3, "line one\nline | two", spec="<Spec>&|")


@structure("test-pair", size=2)
class Pair(Bits):
    """Two bytes."""

    first: int = bits(8, "First", reset=None, access="RW")
    second: int = bits(4, "Second", reset=0x1F & 0xF, access="RO")
    reserved_15_12: int = reserved(4, Rule.IGNORED)


@structure("test-many", size=20)
class Many(Record):
    """An array of more elements than a table lists."""

    entries: list[Pair] = array(Pair, 10, "Entries")


@structure("test-flag", size=1)
class Flag(Bits):
    """Fields without a word about access."""

    low: bool = bit("Low")
    reserved_7_1: int = reserved(7)


def page_of(format: str, *classes: type[Structure]) -> str:
    return rendered(format, classes).decode()


def cells_of(cls: type[Structure]) -> list[tuple[str, ...]]:
    table = sheet(cls).tables[0]
    return [table.cells(row) for row in table.rows]


def test_status_word_descends_and_shows_reserved_bits_with_their_rule() -> None:
    shown = [(bits_, name, reset) for bits_, name, _, reset, _ in cells_of(ExtIntStatus)]
    assert shown == [
        ("31", "Vector31", "0"),
        ("30:28", "Reserved", "0"),
        ("27", "IpiRequested", "0"),
        ("26:15", "Reserved", "0"),
        ("14", "MultipleVectors", "0"),
        ("13:11", "Reserved", "0"),
        ("10", "LevelSensitive", "0"),
        ("9", "McPending", "0"),
        ("8", "NmiPending", "0"),
        ("7:0", "PendingVector", "0"),
    ]
    rules = [row[4] for row in cells_of(ExtIntStatus) if row[1] == "Reserved"]
    assert rules == ["Reserved; must be zero."] * 3


def test_columns_of_registers_of_shared_words_and_of_memory() -> None:
    columns = {cls: sheet(cls).tables[0].columns for cls in (Pair, Flag, ExtIntStatus, Many)}
    assert columns[Pair] == ("Bits", "Name", "Access", "Reset", "Description")
    assert columns[Flag] == columns[Pair]
    assert columns[ExtIntStatus] == ("Bits", "Name", "Direction", "Reset", "Description")
    assert columns[Many] == ("Offset", "Size (Bytes)", "Name", "Description")


def test_reset_values_and_rules() -> None:
    assert cells_of(Pair) == [
        ("15:12", "Reserved", "-", "0", "Reserved; ignored."),
        ("11:8", "Second", "RO", "0xf", "Second."),
        ("7:0", "First", "RW", "undefined", "First."),
    ]


def test_doorbell_page_ascends_and_numbers_its_descriptors() -> None:
    assert [row[:3] for row in cells_of(DoorbellPage)] == [
        ("0x000", "1", "Vector"),
        ("0x001", "1", "Flags"),
        ("0x002", "1", "NoEoiRequired"),
        ("0x003", "1", "PerVmplEvents"),
        ("0x004", "60", "Reserved"),
        ("0x040", "64", "VMPL1"),
        ("0x080", "64", "VMPL2"),
        ("0x0c0", "64", "VMPL3"),
        ("0x100", "3840", "Reserved"),
    ]


def test_each_nested_kind_has_one_table_that_says_where_it_stands() -> None:
    tables = {table.label: dict(table.facts) for table in sheet(DoorbellPage).tables}
    assert list(tables) == [
        "doorbell-page",
        "doorbell-flags",
        "vmpl-events",
        "ext-int-descriptor",
        "ext-int-status",
    ]
    assert tables["doorbell-flags"]["Stands at"] == "0x001 flags"
    assert tables["ext-int-status"]["Stands at"] == (
        "0x040 vmpl1.status, 0x080 vmpl2.status, 0x0c0 vmpl3.status"
    )
    assert "Stands at" not in tables["doorbell-page"]


def test_a_long_array_has_one_row() -> None:
    assert cells_of(Many) == [("0x000", "20", "Entries[0-9]", "Entries. 10 of 2 bytes each.")]
    facts = dict(sheet(Many).tables[1].facts)
    assert (
        facts["Stands at"] == "0x000 entries[0], 0x002 entries[1], ... 0x012 entries[9] (10 places)"
    )


def test_the_descriptor_names_each_field_and_shows_the_overall_layout() -> None:
    page = page_of("md", ExtIntDescriptor)
    for row in (
        "| Offset | Size (Bytes) | Description |",
        "| 0x000 | 4 | **Status** `status`: What is pending",
        "| 0x004 | 28 | **IRR** `irr`: ",
        "| 0x020 | 32 | **ISR** `isr`: ",
        "| Bit(s) | Name | Description |",
        "| 31 | **Vector31** `vector_31` | Vector 31 is pending, beside IRR. Host sets, SVSM clears. |",
        "| 13:11 | *Reserved* `reserved_13_11` | Reserved; must be zero. |",
        "| 7:0 | **PendingVector** `pending_vector` | ",
    ):
        assert row in page
    assert "Bit 0 is number 32, bit 223 is 255." in page
    assert "See [ext-int-status](#ext-int-status)." in page


@pytest.mark.parametrize("name", ["text", "md", "svg", "html"])
def test_heading_facts_are_there(name: str) -> None:
    page = page_of(name, structures()["doorbell-head"]["2024-05-16"])
    for fact in ("doorbell-head@2024-05-16", "DoorbellHead20240516", "256 bytes", "DESC-2"):
        assert fact in page
    assert "svsm-devel, May 2024" in page


def test_codes_are_listed() -> None:
    register = structures()["apic-register-number"][""]
    assert "\n0x802  ID\n" in page_of("text", register)
    assert "| 0x83f | **SELF_IPI** |" in page_of("md", register)
    icr = page_of("text", structures()["apic-icr"][""])
    assert "\n4      NMI\n" in icr


def test_text_is_ascii_of_at_most_100_columns() -> None:
    for cls in published():
        page = page_of("text", cls)
        assert page.isascii()
        assert [line for line in page.splitlines() if len(line) > 100] == []


def test_markdown_shows_hostile_text_as_it_is() -> None:
    page = page_of("md", Hostile)
    # Comments and line breaks are ours; no other markup may be left.
    left = re.sub(r"<!-- .* -->|<br>|`\w+`", "", page)
    assert "<" not in left
    assert r"a \| b" in left
    assert r"\[link\](http://example.org) \*x\* \_y\_ \`z\`" in left
    rows = [line for line in page.splitlines() if line.startswith("| 0x")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [4, 4]


def test_every_markdown_table_is_rectangular() -> None:
    for cls in published():
        for block in re.findall(r"(?:^\|.*\n)+", page_of("md", cls), re.MULTILINE):
            counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(counts) == 1, block


def test_links_of_markdown_lead_to_headings() -> None:
    for cls in published():
        page = page_of("md", cls)
        # GitHub's rule: lower case, punctuation dropped but for hyphens, spaces become hyphens.
        headings = {
            "".join(c for c in line.lstrip("# ") if c.isalnum() or c in "-_")
            for line in page.splitlines()
            if line.startswith("#")
        }
        assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= headings


def test_file_names_carry_the_revision() -> None:
    revisions = structures()["doorbell-page"]
    assert file_name(revisions[""], "md") == "doorbell-page.md"
    assert file_name(revisions["2024-05-16"], "svg") == "doorbell-page@2024-05-16.svg"


def test_published_are_all_revisions_each_once() -> None:
    labels = [name_of(one) for one in every()]
    assert labels[: len(published())] == [label(cls) for cls in published()]
    assert {"core-calls", "ghcb-exits", "ghcb-msr-words", "result-codes"} < set(labels)
    assert "doorbell-page" in labels
    assert "doorbell-page@2024-04-30" in labels
    assert len(set(labels)) == len(labels)


def test_write_all_writes_all_pages_and_removes_only_its_own_leftovers(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "new" / "layouts"
    written = write_all(directory)
    assert {path.name for path in written} == {path.name for path in directory.iterdir()}
    made = all_pages()
    assert {path.name: path.read_bytes() for path in written} == made
    (directory / "old-name.md").write_bytes(made["doorbell-page.md"])
    (directory / "notes.md").write_text("# Written by hand\n")
    (directory / "old-name.txt").write_text(page_of("text", DoorbellPage))
    write_all(directory, ("md",))
    names = {path.name for path in directory.iterdir()}
    assert names == {path.name for path in written} | {"notes.md", "old-name.txt"}


def test_index_links_only_files_that_are_made() -> None:
    made = all_pages()
    links = set(re.findall(r"\]\(([^)]*)\)", made["README.md"].decode()))
    assert links == set(made) - {"README.md"}


def test_committed_layouts_are_current() -> None:
    made = all_pages()
    found = {path.name: path.read_bytes() for path in COMMITTED.iterdir()}
    stale = sorted(name for name in made if found.get(name) != made[name])
    leftover = sorted(set(found) - set(made))
    assert stale + leftover == [], (
        f"specs/layouts: stale or missing: {', '.join(stale) or 'none'};"
        f" nothing makes any more: {', '.join(leftover) or 'none'}. Refresh with: {REFRESH}"
    )
