"""Raw bytes for other projects' corpora: a folder for each structure, call and exit.

A call is its registers as `svsm-call` lays them out, an exit its GHCB page, a word of the GHCB MSR its
eight bytes, a doorbell page its first 256. A file is called as libFuzzer calls it, by the SHA-1 of its
bytes, so that equal inputs are one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from vmgexit.descriptions import Command, is_hex
from vmgexit.layout.naming import label
from vmgexit.sequences import HOST
from vmgexit.wire.calls import SvsmCall

from ...targets.ghcb.programs import page_in
from ..cases import Case
from ..words import remark


def render(cases: Sequence[Case]) -> dict[str, bytes]:
    """The files of all cases."""
    return {
        f"{folder}/{hashlib.sha1(data).hexdigest()}": data
        for case in cases
        for folder, data in _inputs(case)
    }


def refuses(case: Case) -> str:
    """Why a case has no bytes to give."""
    if any(True for _ in _inputs(case)):
        return ""
    return "a scenario without calls, exits and pages found"


def _inputs(case: Case) -> Iterator[tuple[str, bytes]]:
    """The folder and the bytes of each input in a case."""
    if case.structure is not None and case.sequence is None:
        yield label(case.structure), case.data
    kind = case.kind
    for command, answer in case.steps:
        yield from _of_command(command, kind)
        if command["op"] == "doorbell" and is_hex(answer.get("hex")):
            yield "doorbell-head", bytes.fromhex(answer["hex"])


def _of_command(command: Command, kind: str) -> Iterator[tuple[str, bytes]]:
    match command["op"]:
        case "call":
            protocol, request = command["protocol"], command["request"]
            registers = {name: command[name] for name in ("rcx", "rdx", "r8")}
            yield (
                _folder(command, kind),
                SvsmCall(rax=protocol << 32 | request, **registers).encode(),
            )
        case "vmgexit" if "page" in command:
            yield f"ghcb/{_folder(command, kind)}", page_in(command).encode()
        case "msr" if kind == HOST:
            yield f"ghcb-msr/{_folder(command, kind)}", command["request"].to_bytes(8, "little")
        case "set_doorbell":
            yield "doorbell-head", bytes.fromhex(command["hex"])


def _folder(command: Command, kind: str) -> str:
    """The name of a call or an exit; `other` where it has none."""
    name = remark(command, kind)
    return "other" if " " in name else name
