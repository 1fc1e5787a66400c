"""Each format is opened, compiled or parsed by the tool that it is for, as far as the machine has it."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.readers import TOOLS
from tests.structures import declared
from tests.unit.test_layout import Hostile
from vmgexit import DoorbellPage, ExtIntStatus, Vmsa
from vmgexit.layout import pages
from vmgexit.layout.document import Style
from vmgexit.layout.subjects import Subject, document, every, published, subject
from vmgexit.schema import Structure, leaves

pytestmark = pytest.mark.slow

SOME: list[Subject] = [
    DoorbellPage, ExtIntStatus, Vmsa, Hostile,
    *map(subject, ("certificate-table", "core-calls", "ghcb-exits", "ghcb-msr-words", "result-codes")),
]  # fmt: skip


def write(folder: Path, format: str, subjects: Sequence[Subject]) -> list[Path]:
    return pages.write(folder, pages.pages(subjects, [format]))


def run(*command: str | Path, timeout: float = 100) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.needs("soffice", "docx")
@pytest.mark.timeout(300)
def test_libreoffice_opens_the_word_document(tmp_path: Path) -> None:
    [path] = write(tmp_path, "docx", SOME)
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    run(
        "soffice",
        profile,
        "--headless",
        "--convert-to",
        "html",
        "--outdir",
        tmp_path,
        path,
        timeout=250,
    )
    text = path.with_suffix(".html").read_text(encoding="utf-8")
    assert text.count("<table") == sum(
        len(section.grids) for one in SOME for section in document(one).sections
    )
    plain = words(re.sub(r"<[^>]*>", "", text))
    for shown in ("NoEoiRequired", "Table 1: Layout of doorbell-page", "SVSM_CORE_CREATE_VCPU"):
        assert shown in plain
    assert "<script" not in text


@pytest.mark.needs("docutils")
def test_docutils_reads_every_table(tmp_path: Path) -> None:
    from docutils import nodes
    from docutils.core import publish_doctree
    from docutils.parsers.rst import roles

    targets: list[str] = []

    def ref(
        name: str, raw: str, text: str, *_: object, **__: object
    ) -> tuple[list[Any], list[Any]]:
        targets.extend(re.findall(r"(?<!\x00)<(.*)>$", text))  # as Sphinx parts title and target
        return [nodes.inline("", text)], []

    roles.register_local_role("ref", ref)
    for one in [*every(), Hostile]:
        warnings = io.StringIO()
        tree = publish_doctree(
            pages.rendered("rst", [one]).decode(),
            settings_overrides={"warning_stream": warnings, "report_level": 2},
        )
        assert warnings.getvalue() == ""
        grids = [grid for section in document(one).sections for grid in section.grids]
        spans = [span for grid in grids for row in grid.rows for cell in row for span in cell]
        assert len(targets) == sum(span.style is Style.LINK for span in spans)
        assert set(targets) <= set(tree.nameids)
        targets.clear()
        assert len(list(tree.findall(nodes.table))) == len(grids)
        assert [len(list(table.findall(nodes.row))) - 1 for table in tree.findall(nodes.table)] == [
            len(grid.rows) for grid in grids
        ]
        assert not list(tree.findall(nodes.reference))
        if one is Hostile:
            assert "<script>alert(1)</script> & `code` and *stars*" in tree.astext()
            assert "[link](http://example.org) *x* _y_ `z`" in words(tree.astext())


@pytest.mark.needs("pdflatex")
@pytest.mark.timeout(300)
def test_latex_makes_a_pdf(tmp_path: Path) -> None:
    [path] = write(tmp_path, "latex", SOME)
    options = ("-interaction=nonstopmode", "-halt-on-error", f"-output-directory={tmp_path}")
    assert "Output written" in run("pdflatex", *options, path, timeout=250)


@pytest.mark.needs("pdflatex", "pdftotext")
@pytest.mark.timeout(300)
def test_latex_shows_hostile_text_as_it_is(tmp_path: Path) -> None:
    [path] = write(tmp_path, "latex", [Hostile])
    options = ("-interaction=nonstopmode", "-halt-on-error", f"-output-directory={tmp_path}")
    run("pdflatex", *options, path, timeout=250)
    text = words(run("pdftotext", path.with_suffix(".pdf"), "-"))
    assert "<script>alert(1)</script> & `code` and *stars*" in text


@pytest.mark.needs("asciidoctor")
@pytest.mark.timeout(300)
def test_asciidoctor_reads_the_tables(tmp_path: Path) -> None:
    paths = write(tmp_path, "adoc", SOME)
    assert run("asciidoctor", "-v", *paths, timeout=250) == ""
    for one, path in zip(SOME, paths, strict=True):
        text = path.with_suffix(".html").read_text(encoding="utf-8")
        grids = [grid for section in document(one).sections for grid in section.grids]
        assert text.count("<table") == len(grids)
        assert text.count("<tr>") == sum(len(grid.rows) + 1 for grid in grids)
    hostile = (tmp_path / "test-hostile.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in hostile
    assert "example.org</a>" not in hostile
    assert "<em>y</em>" not in hostile


@pytest.mark.needs("systemrdl")
@pytest.mark.timeout(300)
def test_systemrdl_compiles_and_its_registers_stand_where_the_fields_do(tmp_path: Path) -> None:
    from systemrdl import RDLCompiler
    from systemrdl.node import FieldNode, RegNode

    classes: list[type[Structure]] = [*published(), Hostile]
    for cls in classes:
        [path] = write(tmp_path, "systemrdl", [cls])
        compiler = RDLCompiler()
        compiler.compile_file(str(path))
        top = compiler.elaborate().top
        registers = [node for node in top.descendants(unroll=True) if isinstance(node, RegNode)]
        bits = sum(f.width for reg in registers for f in reg.children() if isinstance(f, FieldNode))
        if cls.declaration.any_length:
            continue
        assert bits == 8 * cls.size, path
        found = {
            8 * reg.absolute_address + f.low
            for reg in registers
            for f in reg.children()
            if isinstance(f, FieldNode)
        }
        assert {place.bit_offset for place in leaves(cls)} <= found


@pytest.mark.needs("node", "wavedrom")
def test_wavedrom_draws(tmp_path: Path) -> None:
    for path in write(tmp_path, "wavedrom", [DoorbellPage, ExtIntStatus, Vmsa, Hostile]):
        drawn = run(TOOLS / "node_modules" / ".bin" / "wavedrom", "-i", path)
        root = ElementTree.fromstring(drawn[drawn.index("<svg") :])
        shown = {
            "".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")
        }
        names = {field["name"] for field in json.loads(path.read_text())["reg"] if "name" in field}
        assert names <= shown


@pytest.mark.needs("node", "bytefield-svg")
def test_bytefield_draws(tmp_path: Path) -> None:
    for path in write(tmp_path, "bytefield", [DoorbellPage, ExtIntStatus, Vmsa, Hostile]):
        made = path.with_suffix(".svg")
        run(TOOLS / "node_modules" / ".bin" / "bytefield-svg", "-s", path, "-o", made)
        text = "".join(ElementTree.parse(made).getroot().itertext())
        for name in re.findall(r'draw-box "((?:[^"\\]|\\.)*)"', path.read_text()):
            assert unescape(name.replace('\\"', '"')) in text


@pytest.mark.needs("jsonschema")
def test_json_is_as_its_schema_says() -> None:
    import jsonschema

    schema = json.loads(
        Path(pages.__file__).with_name("formats").joinpath("layout.schema.json").read_text()
    )
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    made = json.loads(pages.rendered("json", [*every(), Hostile]))
    validator.validate(made)
    del made["structures"][0]["size"]
    assert not validator.is_valid(made)


def test_csv_has_a_row_for_each_leaf() -> None:
    for cls in declared():
        rows = list(csv.DictReader(io.StringIO(pages.rendered("csv", [cls]).decode())))
        assert [(row["Field"], 8 * int(row["Offset"], 16) + int(row["Bit"])) for row in rows] == [
            (place.path, place.bit_offset) for place in leaves(cls)
        ]


# ImHex has no tool that runs without a screen: its subset of the language is read here instead.
_TYPES = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}


def test_imhex_patterns_add_up() -> None:
    for cls in declared():
        text = pages.rendered("imhex", [cls]).decode()
        text = re.sub(r"//.*", "", text)
        sizes: dict[str, int] = dict(_TYPES)
        for name, of, body in re.findall(r"enum (\w+) : (\w+) \{(.*?)\};", text, re.DOTALL):
            assert body.count("=") == body.count(",")
            sizes[name] = _TYPES[of]
        for kind, name, body in re.findall(r"(struct|bitfield) (\w+) \{(.*?)\};", text, re.DOTALL):
            sizes[name] = sum(_width(kind, line, sizes) for line in body.split(";") if line.strip())
        [(top, _)] = re.findall(r"^(\w+) (\w+) @ 0x00;$", text, re.MULTILINE)
        assert sizes[top] == 8 * cls.size


def _width(kind: str, line: str, sizes: dict[str, int]) -> int:
    if kind == "bitfield":
        return int(line.rpartition(":")[2])
    of, name = line.split()
    several = re.search(r"\[(\d+)\]", name)
    return sizes[of] * (int(several[1]) if several else 1)


def test_svg_of_every_structure_is_xml() -> None:
    for cls in published():
        ElementTree.fromstring(pages.rendered("svg", [cls]))
