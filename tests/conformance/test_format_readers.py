"""The C header, the Rust module and the Kaitai parsers read the pages that our codec reads, alike.

1,000 random pages: each as the pages that the protocol is made of, and as some of the other structures.
"""

import functools
import random
import subprocess
from pathlib import Path

import pytest

from tests import readers
from tests.structures import declared, wholes
from vmgexit import DoorbellPage, GhcbPage, Vmsa
from vmgexit.schema import Structure

PAGES = 1000
OF_EACH = (DoorbellPage, GhcbPage, Vmsa)

Read = list[tuple[type[Structure], bytes]]


@functools.cache
def classes() -> list[type[Structure]]:
    assert all(cls.size <= readers.PAGE for cls in declared())
    return declared()


@functools.cache
def read() -> Read:
    """Which page is read as what."""
    noise = random.Random("formats")
    pages = [noise.randbytes(readers.PAGE) for _ in range(PAGES)]
    # Ones and zeros alone show a field that is one bit too wide or too narrow.
    pages[:2] = [bytes(readers.PAGE), b"\xff" * readers.PAGE]
    chosen: Read = [(cls, page) for page in pages for cls in OF_EACH]
    for index, cls in enumerate(classes()):
        chosen += [(cls, page) for page in (*pages[:2], *pages[index :: len(classes())])]
    return chosen


@functools.cache
def expected() -> list[str]:
    return [readers.expected(cls, page) for cls, page in read()]


def compare(found: list[str]) -> None:
    for (cls, _), line, right in zip(read(), found, expected(), strict=True):
        assert line.rstrip() == right, cls


@pytest.mark.slow
@pytest.mark.parametrize(
    "compiler", [pytest.param(each, marks=pytest.mark.needs(each)) for each in ("gcc", "clang")]
)
def test_the_c_header_reads_what_the_codec_reads(compiler: str, tmp_path: Path) -> None:
    program = readers.c_program(classes(), tmp_path, compiler)
    compare(readers.lines([program], readers.records(classes(), read())))


@pytest.mark.slow
@pytest.mark.needs("rustc")
@pytest.mark.timeout(300)
def test_the_rust_module_reads_what_the_codec_reads(tmp_path: Path) -> None:
    program = readers.rust_program(classes(), tmp_path)
    compare(readers.lines([program], readers.records(classes(), read())))


@pytest.mark.slow
@pytest.mark.needs("node", "kaitai-struct-compiler", "kaitaistruct")
@pytest.mark.timeout(300)
def test_the_kaitai_parsers_read_what_the_codec_reads(tmp_path: Path) -> None:
    parsers = readers.kaitai_parsers(classes(), tmp_path)
    compare([readers.kaitai_line(parsers[cls], cls, page) for cls, page in read()])


@pytest.mark.slow
@pytest.mark.needs("node", "kaitai-struct-compiler", "kaitaistruct")
def test_kaitai_parsers_read_lists_of_any_length(tmp_path: Path) -> None:
    parsers = readers.kaitai_parsers(wholes(), tmp_path)
    counted = {cls.declaration.name: (cls, parser) for cls, parser in parsers.items()}
    cls, parser = counted["pvalidate-list"]
    # From wire-facts: the header's count, then 8 bytes each. Three entries, then two bytes.
    data = (
        (3).to_bytes(2, "little") + bytes(6) + b"".join(bytes([n]) * 8 for n in (1, 2, 3)) + b"ab"
    )
    found = parser.from_bytes(data)
    assert len(found.entries) == 3
    assert found.rest == b"ab"
    assert cls.decode(data).encode() == data


@pytest.mark.slow
@pytest.mark.needs("gcc")
def test_a_header_of_a_wrong_layout_does_not_compile(tmp_path: Path) -> None:
    program = readers.c_program([DoorbellPage], tmp_path, "gcc")
    header = (tmp_path / "layouts.h").read_text()
    (tmp_path / "layouts.h").write_text(header.replace("uint8_t irr[28];", "uint8_t irr[27];"))
    assert program.exists()
    command = ["gcc", "-fsyntax-only", str(tmp_path / "read.c")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode
    assert "ext_int_descriptor.isr" in done.stderr
