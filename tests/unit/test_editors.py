"""What editors and type checkers see: every field after `decode` and `view`, with its type.

jedi completes as editors do; basedpyright, which is large, runs among the long tests.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jedi  # type: ignore[import-untyped]
import pytest

from tests.structures import declared
from vmgexit import (
    DoorbellFlags,
    DoorbellPage,
    ExtIntStatus,
    GhcbPage,
    PscHeader,
    RunVmplRequest,
    Vmsa,
)
from vmgexit.schema import Kind, Structure

SEEN: list[type[Structure]] = [DoorbellPage, GhcbPage, RunVmplRequest, Vmsa]


def completed(text: str) -> set[str]:
    """The names that jedi offers at the end of `text`."""
    return {each.name for each in jedi.Script(f"from vmgexit import *\n{text}").complete()}


@pytest.mark.parametrize("cls", SEEN)
@pytest.mark.parametrize("way", ["decode(b'')", "view(bytearray())", "from_dict({})"])
def test_an_editor_completes_every_field(cls: type[Structure], way: str) -> None:
    names = {field.name for field in cls.declaration.fields}
    assert names | {"encode", "problems", "leaves"} <= completed(f"{cls.__name__}.{way}.")


def test_an_editor_completes_the_fields_of_nested_structures() -> None:
    for text, cls in (
        ("DoorbellPage.decode(b'').flags.", DoorbellFlags),
        ("DoorbellPage.view(b'').vmpl2.status.", ExtIntStatus),
        ("DoorbellPage.decode(b'').descriptor(2).status.", ExtIntStatus),
        ("GhcbPage.for_exit(0x7C).", GhcbPage),
        ("ExtIntStatus.of(0x61).", ExtIntStatus),
        ("PscRequest(entries=[]).header.", PscHeader),
    ):
        assert {field.name for field in cls.declaration.fields} <= completed(text)


def test_an_editor_completes_the_public_names() -> None:
    script = jedi.Script("import vmgexit\nvmgexit.")
    assert {cls.__name__ for cls in declared()} <= {each.name for each in script.complete()}


def type_of(cls: type[Structure], name: str) -> str:
    field = cls.declaration[name]
    match field.kind:
        case Kind.FLAG:
            return "bool"
        case Kind.BYTES:
            return "bytes"
        case Kind.STRUCT:
            return field.of.__name__ if field.of else ""
        case Kind.ARRAY:
            return f"list[{field.of.__name__}]" if field.of else ""
        case _:
            return "int"


@pytest.mark.long
def test_a_type_checker_sees_the_type_of_every_field(tmp_path: Path) -> None:
    checker = shutil.which("basedpyright", path=str(Path(sys.executable).parent))
    if checker is None:
        pytest.skip("basedpyright is not installed: dev.py test --long does it")
    expected = []
    lines = ["from vmgexit import *"]
    for cls in declared():
        for way in ("decode(b'')", "view(bytearray())"):
            for field in cls.declaration.fields:
                lines.append(f"reveal_type({cls.__name__}.{way}.{field.name})")
                expected.append(type_of(cls, field.name))
    (tmp_path / "seen.py").write_text("\n".join(lines))
    done = subprocess.run(
        [checker, "--outputjson", "--pythonpath", sys.executable, str(tmp_path / "seen.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [
        each["message"].rpartition(" is ")[2].strip('"')
        for each in json.loads(done.stdout)["generalDiagnostics"]
        if each["severity"] == "information"
    ]
    assert told == expected
