"""`vmgexit peer new`: the files of an adapter's project, in each language."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..layout.formats import c, rust
from ..machine.commands import COMMANDS as ALL
from ..machine.commands import WITHOUT_MEMORY
from . import (
    host_surface,
    in_c,
    in_c_binary,
    in_c_host,
    in_python,
    in_python_host,
    in_rust,
    in_rust_host,
    surface,
)

_HERE = Path(__file__).parent


_C = ("c/vmgexit_json.h", "c/vmgexit_lines.h", "c/vmgexit_reading.h", "c/vmgexit_stops.h")
_OF_AN_SVSM = (
    *_C,
    "c/vmgexit_binary.h",
    "c/vmgexit_vm.h",
    "c/vmgexit_answers.h",
    "c/vmgexit_adapter.h",
)
_RUST = ("rust/hello.rs", "rust/json.rs", "rust/lines.rs", "rust/reading.rs")
_RUST_OF_AN_SVSM = (*_RUST, "rust/adapter.rs", "rust/process.rs", "rust/vm.rs")


@dataclass(frozen=True, slots=True)
class Kit:
    """A kit: where its sources stand here, and what is generated beside them."""

    sources: tuple[str, ...]  # patterns of what goes into the project's folder `kit`
    build: str  # the script that makes the adapter
    project: tuple[str, ...]  # patterns of what is meant to be changed
    generated: dict[str, Callable[[], str]]
    yours: str  # what README says of the files to change
    target: str = "peer"  # of `vmgexit fuzz run`, which drives it


def _yours(files: str, functions: str, asks: str, vcpus: str) -> str:
    """What README says of the files of a GHCB host."""
    text = (
        f"{files} have a small GHCB host: replace it by yours, or by calls into yours. {functions} says"
        f" which functions answer which commands, and {asks} what they are given and may ask for: the VM"
        " as it was set up, guest memory, devices, the firmware. What your host keeps of a vCPU it writes"
        f" to {vcpus}."
    )
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


KITS = {
    ("svsm", "c"): Kit(
        _OF_AN_SVSM,
        "c/build.sh",
        ("c/project/*",),
        {
            "vmgexit_layouts.h": lambda: c.render(surface.subjects()),
            "vmgexit_commands.h": lambda: in_c.header(surface.COMMANDS, in_c.CPU_OF),
            "vmgexit_places.h": lambda: in_c_binary.header(surface.COMMANDS, WITHOUT_MEMORY),
        },
        "`svsm.c` is a small SVSM: replace it by yours, or by calls into yours. `adapter.c` names its\n"
        "functions. `kit/vmgexit_vm.h` says what they are given: the doorbell page, the VMSA and the\n"
        "calling area of a vCPU.\n\n"
        "With `.binary = true` the driver sends commands as operations of 36 bytes, and not as JSON.\n"
        "The same operations are the fuzzer's scenarios, so that libFuzzer can run them in the SVSM's own\n"
        "process; `./adapter` is such a program, and no adapter, after\n\n"
        "    CC=clang CFLAGS='-g -fsanitize=fuzzer,address -DVMGEXIT_LIBFUZZER' sh build.sh\n"
        "    mkdir found && ./adapter found ~/vmgexit/corpus/seeds/scenario",
    ),
    ("svsm", "rust"): Kit(
        ("rust/*.rs",),
        "rust/build.sh",
        ("rust/project/*",),
        {
            "layouts.rs": lambda: rust.render(surface.subjects()),
            "commands.rs": lambda: in_rust.module(surface.COMMANDS, in_rust.HEAD),
        },
        "`svsm.rs` is a small SVSM: replace it by yours, or by calls into yours. `impl Svsm` there says\n"
        "which functions answer which commands. `kit/vm.rs` says what they are given: the doorbell page,\n"
        "the VMSA and the calling area of a vCPU.",
    ),
    ("svsm", "python"): Kit(
        ("python/*.py",),
        "python/build.sh",
        ("python/project/*",),
        {
            "layouts.py": lambda: in_python.fields(surface.subjects()),
            "commands.py": lambda: in_python.table(surface.COMMANDS),
        },
        "`svsm.py` is a small SVSM: replace it by yours, or by calls into yours. Its class says which\n"
        "functions answer which commands. `kit/vm.py` says what they are given: the doorbell page, the\n"
        "VMSA and the calling area of a vCPU.",
    ),
    ("svsm-memory", "c"): Kit(
        (*_OF_AN_SVSM, "c_memory/*.h"),
        "c/build.sh",
        ("c/project/svsm.*", "c_memory/project/*"),
        {
            "vmgexit_layouts.h": lambda: c.render(surface.memory_subjects()),
            "vmgexit_commands.h": lambda: in_c.header(surface.MEMORY_COMMANDS, in_c.CPU_OF),
            "vmgexit_places.h": lambda: in_c_binary.header(surface.MEMORY_COMMANDS, ALL),
        },
        "`svsm.c`, `calls.c` and `attestation.c` are a small SVSM: replace them by yours, or by calls\n"
        "into it. `adapter.c` names its functions. What they may call stands in `kit/`: memory, the\n"
        "instructions on the RMP, and where vCPUs are in `vmgexit_memory.h`, guest requests in\n"
        "`vmgexit_psp.h`.",
        "svsm-peer",
    ),
    ("svsm-memory", "rust"): Kit(
        (*_RUST_OF_AN_SVSM, "rust_memory/*.rs"),
        "rust/build.sh",
        ("rust/project/svsm.*", "rust_memory/project/*"),
        {
            "layouts.rs": lambda: rust.render(surface.memory_subjects()),
            "commands.rs": lambda: in_rust.module(surface.COMMANDS, in_rust.HEAD),
            "memory_commands.rs": lambda: in_rust.module(
                surface.ONLY_ON_MEMORY, in_rust.HEAD_ON_MEMORY
            ),
        },
        "`svsm.rs`, `calls.rs` and `attestation.rs` are a small SVSM: replace them by yours, or by\n"
        "calls into it. `impl OnMemory` says which functions answer which commands. What they may call\n"
        "stands in `kit/`: memory, the instructions on the RMP, and where vCPUs are in `memory.rs`,\n"
        "guest requests in `psp.rs`.",
        "svsm-peer",
    ),
    ("svsm-memory", "python"): Kit(
        ("python/*.py", "python_memory/*.py"),
        "python/build.sh",
        ("python/project/svsm.*", "python_memory/project/*"),
        {
            "layouts.py": lambda: in_python.fields(surface.memory_subjects()),
            "commands.py": lambda: in_python.table(surface.COMMANDS),
            "memory_commands.py": lambda: in_python.table(surface.ONLY_ON_MEMORY),
        },
        "`svsm.py`, `calls.py` and `attestation.py` are a small SVSM: replace them by yours, or by\n"
        "calls into it. Its class says which functions answer which commands. What they may call\n"
        "stands in `kit/`: memory, the instructions on the RMP, and where vCPUs are in `memory.py`,\n"
        "guest requests in `psp.py`.",
        "svsm-peer",
    ),
    ("host", "c"): Kit(
        (*_C, "c_host/*.h"),
        "c/build.sh",
        ("c_host/project/*",),
        {
            "vmgexit_layouts.h": lambda: c.render(host_surface.subjects()),
            "vmgexit_commands.h": in_c_host.commands,
            "vmgexit_asked.h": in_c_host.notes,
            "vmgexit_vcpus.h": in_c_host.vcpus,
        },
        _yours(
            "`adapter.c`, `events.h` and `words.h`",
            "`kit/vmgexit_host.h`",
            "`kit/vmgexit_asks.h`",
            "`vmgexit_vcpus` (`kit/vmgexit_vcpus.h`)",
        ),
        "host-peer",
    ),
    ("host", "rust"): Kit(
        (*_RUST, "rust_host/*.rs"),
        "rust/build.sh",
        ("rust_host/project/*",),
        {
            "layouts.rs": lambda: rust.render(host_surface.subjects()),
            "commands.rs": in_rust_host.commands,
            "asked.rs": in_rust_host.notes,
            "vcpus.rs": in_rust_host.vcpus,
        },
        _yours(
            "`host.rs`, `events.rs` and `words.rs`",
            "`trait Host` in `kit/adapter.rs`",
            "`kit/vm.rs`",
            "`vm.vcpus` (`kit/vcpus.rs`)",
        ),
        "host-peer",
    ),
    ("host", "python"): Kit(
        ("python/lines.py", "python/reading.py", "python_host/*.py"),
        "python/build.sh",
        ("python_host/project/*",),
        {
            "layouts.py": lambda: in_python.fields(host_surface.subjects()),
            "commands.py": lambda: in_python.table(host_surface.COMMANDS),
            "vms.py": in_python_host.vms,
        },
        _yours(
            "`host.py`, `events.py` and `words.py`",
            "`class Host` in `kit/adapter.py`",
            "`kit/vm.py`",
            "`vm.vcpus` (`kit/vms.py`)",
        ),
        "host-peer",
    ),
}
"""By what an adapter is for, and its language."""

LANGUAGES = tuple(dict.fromkeys(language for _, language in KITS))
SURFACES = tuple(dict.fromkeys(surface for surface, _ in KITS))


def files(surface: str, language: str) -> Iterator[tuple[str, str]]:
    """The files of a project: their paths in it, and text. Raises UsageError where there is no kit."""
    kit = KITS.get((surface, language))
    if kit is None:
        there = ", ".join(known for of, known in KITS if of == surface)
        raise UsageError(f"there is no kit for {surface} in {language}, but in {there}")
    for pattern in kit.sources:
        for path in sorted(_HERE.glob(pattern)):
            yield f"kit/{path.name}", path.read_text()
    for pattern in (kit.build, *kit.project):
        for path in sorted(_HERE.glob(pattern)):
            yield path.name, path.read_text()
    for name, made in kit.generated.items():
        yield f"kit/{name}", made()
    yield "README.md", _readme(kit)


def write(surface: str, language: str, folder: Path) -> list[Path]:
    """Write a project into a new or empty folder: the files. Raises UsageError where it is neither."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: an empty folder, or a new one, expected")
    written = []
    for name, text in files(surface, language):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(path)
    return written


def _readme(kit: Kit) -> str:
    return f"""\
# An adapter for vmgexit

{kit.yours}

`sh build.sh` makes `./adapter`, which answers the commands of specs/peer-protocol.md.

    vmgexit peer check --peer ./adapter
    vmgexit replay scenario.jsonl --peer ./adapter
    vmgexit fuzz run {kit.target} --peer ./adapter --time 60

What stands in `kit/` is the kit: it reads commands, does what the host and the guest do, and
writes answers. `vmgexit peer new` makes it anew.
"""
