"""Programs in other languages that read structures as the formats declare them, and print each field.

Every program takes records from standard input, a structure's number in two bytes and then a page, and
prints a line for each: the values of all leaves in hex, in their order.
"""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from vmgexit.layout.formats import c, ksy, rust
from vmgexit.layout.naming import label
from vmgexit.layout.pages import rendered
from vmgexit.schema import Bits, Kind, Place, Structure, leaves

PAGE = 4096
TOOLS = Path(__file__).parent / "tools"

Classes = Sequence[type[Structure]]


def expected(cls: type[Structure], page: bytes) -> str:
    """The line that our own codec gives."""
    value = cls.decode(page[: cls.size])
    shown = []
    for place, (_, held) in zip(leaves(cls), value.leaves(), strict=True):
        if isinstance(held, bytes):
            shown.append(held.hex())
        elif place.field.kind is Kind.BITMAP:
            shown.append(int(held).to_bytes(place.field.size, "little").hex())
        else:
            shown.append(f"{int(held):x}")
    return " ".join(shown)


def records(classes: Classes, read: Sequence[tuple[type[Structure], bytes]]) -> bytes:
    numbers = {cls: number for number, cls in enumerate(classes)}
    return b"".join(numbers[cls].to_bytes(2, "little") + page for cls, page in read)


def lines(command: Sequence[str | Path], data: bytes) -> list[str]:
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    return done.stdout.decode().splitlines()


def _is_bytes(place: Place) -> bool:
    return place.field.kind in (Kind.BYTES, Kind.BITMAP)


def _within(cls: type[Structure], path: str, member: Any) -> str:
    """A path in another language: each name as its format spells it."""
    spelled = []
    for part in path.split("."):
        name, bracket, index = part.partition("[")
        field = cls.declaration[name]
        spelled.append(member(field) + bracket + index)
        cls = field.of or cls
    return ".".join(spelled)


# --- C --------------------------------------------------------------------------------------------

_C_MAIN = """
#include <stdio.h>
#include <string.h>
#include "layouts.h"

static void number(uint64_t value) { printf("%llx ", (unsigned long long)value); }
static void bytes(const uint8_t *held, size_t size)
{
    for (size_t at = 0; at < size; at++) printf("%02x", held[at]);
    putchar(' ');
}
"""


def c_program(classes: Classes, folder: Path, compiler: str) -> Path:
    """A program of the header of `classes`, compiled by `compiler` with every warning an error."""
    (folder / "layouts.h").write_bytes(rendered("c", classes))
    text = [_C_MAIN]
    for index, cls in enumerate(classes):
        text += [f"static void read_{index}(const uint8_t *page)", "{"]
        text += [f"    {c.type_of(cls)} v;", "    memcpy(&v, page, sizeof v);"]
        text += [f"    {_c_leaf(cls, place)};" for place in leaves(cls)]
        text += ["    putchar('\\n');", "}", ""]
    text += ["int main(void)", "{", f"    static uint8_t record[2 + {PAGE}];"]
    text += ["    while (fread(record, sizeof record, 1, stdin) == 1) {"]
    text += ["        switch (record[0] | record[1] << 8) {"]
    text += [
        f"        case {index}: read_{index}(record + 2); break;" for index in range(len(classes))
    ]
    text += ["        default: return 1;", "        }", "    }", "    return 0;", "}", ""]
    (folder / "read.c").write_text("\n".join(text))
    program = folder / f"read-{compiler}"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
    subprocess.run([compiler, *flags, "-o", program, folder / "read.c"], check=True)
    return program


def _c_leaf(cls: type[Structure], place: Place) -> str:
    field = place.field
    if issubclass(place.owner, Bits):
        outer = place.path.rpartition(".")[0]
        word = f"v.{_within(cls, outer, c.member)}" if outer else "v"
        return f"number(VMGEXIT_GET({word}, {c.macro(place.owner, field)}))"
    at = f"v.{_within(cls, place.path, c.member)}"
    return f"bytes({at}, sizeof {at})" if _is_bytes(place) else f"number({at})"


# --- Rust -----------------------------------------------------------------------------------------

_RUST_MAIN = """
#![deny(warnings)]
use std::fmt::Write as _;
use std::io::{Read, Write as _};
mod layouts;

fn number(out: &mut String, value: u64) { write!(out, "{value:x} ").unwrap(); }
fn bytes(out: &mut String, held: &[u8]) {
    for byte in held { write!(out, "{byte:02x}").unwrap(); }
    out.push(' ');
}
"""


def rust_program(classes: Classes, folder: Path) -> Path:
    """A program of the module of `classes`, with every warning an error."""
    (folder / "layouts.rs").write_bytes(rendered("rust", classes))
    text = [_RUST_MAIN]
    for index, cls in enumerate(classes):
        name = rust.name_of(cls)
        integer = f"u{8 * cls.size}::from_le_bytes"
        made = f"{name}({integer}" if issubclass(cls, Bits) else f"{name}::from_bytes("
        held = f"layouts::{made}(page[..{cls.size}].try_into().unwrap())"
        text.append(f"fn read_{index}(out: &mut String, page: &[u8]) {{")
        text.append(f"    let v = {held}{')' * issubclass(cls, Bits)};".replace("((", "("))
        text += [f"    {_rust_leaf(cls, place)};" for place in leaves(cls)]
        if not issubclass(cls, Bits):
            text.append(f"    assert_eq!(v.into_bytes()[..], page[..{cls.size}]);")
        text += ["    out.push('\\n');", "}", ""]
    text += ["fn main() {", "    let mut data = Vec::new();"]
    text += ["    std::io::stdin().read_to_end(&mut data).unwrap();"]
    text += [
        "    let mut out = String::new();",
        f"    for record in data.chunks_exact(2 + {PAGE}) {{",
    ]
    text += ["        let page = &record[2..];"]
    text += ["        match u16::from_le_bytes([record[0], record[1]]) {"]
    text += [
        f"            {index} => read_{index}(&mut out, page)," for index in range(len(classes))
    ]
    text += ['            _ => panic!("which?"),', "        }", "    }"]
    text += ["    std::io::stdout().write_all(out.as_bytes()).unwrap();", "}", ""]
    (folder / "main.rs").write_text("\n".join(text))
    program = folder / "read-rust"
    subprocess.run(["rustc", "--edition", "2021", "-o", program, folder / "main.rs"], check=True)
    return program


def _rust_leaf(cls: type[Structure], place: Place) -> str:
    field = place.field
    if issubclass(place.owner, Bits):
        outer = place.path.rpartition(".")[0]
        word = f"v.{_within(cls, outer, rust.member)}" if outer else "v"
        return f"number(out, {{ {word} }}.{rust.member(field)}() as u64)"
    at = f"v.{_within(cls, place.path, rust.member)}"
    return f"bytes(out, &{{ {at} }})" if _is_bytes(place) else f"number(out, {at} as u64)"


# --- Kaitai ---------------------------------------------------------------------------------------


def kaitai_parsers(classes: Classes, folder: Path) -> dict[type[Structure], Any]:
    """The parser of each of `classes`, compiled to Python by Kaitai's own compiler."""
    files = []
    for cls in classes:
        file = folder / f"{ksy.identifier(label(cls))}.ksy"
        file.write_bytes(rendered("ksy", [cls]))
        files.append(file)
    subprocess.run(["node", TOOLS / "kaitai.js", "python", folder, *files], check=True)
    return {
        cls: getattr(_module(file.with_suffix(".py")), _camel(file.stem))
        for cls, file in zip(classes, files, strict=True)
    }


def _camel(name: str) -> str:
    """As Kaitai spells a type: doorbell_page_20240516 is DoorbellPage20240516."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"made_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kaitai_line(parser: Any, cls: type[Structure], page: bytes) -> str:
    """The line of one page."""
    value = parser.from_bytes(page[: cls.size])
    shown = []
    for place in leaves(cls):
        held = value
        for part in place.path.split("."):
            name, _, index = part.partition("[")
            held = getattr(held, ksy.identifier(name))
            held = held[int(index[:-1])] if index else held
        shown.append(
            held.hex() if isinstance(held, bytes) else f"{int(getattr(held, 'value', held)):x}"
        )
    return " ".join(shown)
