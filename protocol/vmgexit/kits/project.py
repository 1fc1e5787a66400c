"""`vmgexit peer new`: the files of an adapter's project, in each language."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from . import in_c, in_python, in_rust

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Language:
    """A language of kits: where its sources stand in a project, and what is generated beside them."""

    folder: str  # of a project, for what is not to be changed
    generated: dict[str, Callable[[], str]]
    yours: str  # what README says of the files to change


LANGUAGES = {
    "c": Language(
        "kit",
        {"vmgexit_layouts.h": in_c.layouts, "vmgexit_commands.h": in_c.commands},
        "`svsm.c` is a small SVSM: replace it by yours, or by calls into yours. `adapter.c` names its\n"
        "functions. `kit/vmgexit_vm.h` says what they are given: the doorbell page, the VMSA and the\n"
        "calling area of a vCPU.",
    ),
    "rust": Language(
        "kit",
        {"layouts.rs": in_rust.layouts, "commands.rs": in_rust.commands},
        "`svsm.rs` is a small SVSM: replace it by yours, or by calls into yours. `impl Svsm` there says\n"
        "which functions answer which commands. `kit/vm.rs` says what they are given: the doorbell page,\n"
        "the VMSA and the calling area of a vCPU.",
    ),
    "python": Language(
        "kit",
        {"layouts.py": in_python.layouts, "commands.py": in_python.commands},
        "`svsm.py` is a small SVSM: replace it by yours, or by calls into yours. Its class says which\n"
        "functions answer which commands. `kit/vm.py` says what they are given: the doorbell page, the\n"
        "VMSA and the calling area of a vCPU.",
    ),
}


def files(language: str) -> Iterator[tuple[str, str]]:
    """The files of a project: their paths in it, and their text."""
    kit, sources = LANGUAGES[language], _HERE / language
    for path in sorted(sources.iterdir()):
        if path.is_file():
            yield f"{kit.folder}/{path.name}", path.read_text()
    for path in sorted((sources / "project").iterdir()):
        yield path.name, path.read_text()
    for name, made in kit.generated.items():
        yield f"{kit.folder}/{name}", made()
    yield "README.md", _readme(kit)


def write(language: str, folder: Path) -> list[Path]:
    """Write a project into a new or empty folder: the files. Raises UsageError where it is neither."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: an empty folder, or a new one, expected")
    written = []
    for name, text in files(language):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(path)
    return written


def _readme(kit: Language) -> str:
    return f"""\
# An adapter for vmgexit

{kit.yours}

`sh build.sh` makes `./adapter`, which answers the commands of specs/peer-protocol.md.

    vmgexit peer check --peer ./adapter
    vmgexit replay scenario.jsonl --peer ./adapter
    vmgexit fuzz run peer --peer ./adapter --time 60

What stands in `{kit.folder}/` is the kit: it reads commands, does what the host and the guest do, and
writes answers. `vmgexit peer new` makes it anew.
"""
