"""`vmgexit svsm`: an SVSM to try calls on, typed one by one or from a script."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ..counting import count_of
from ..descriptions import Answer, Command
from ..devices import RECORDED, Devices
from ..errors import DeviceError, ScenarioError, UsageError, VmgexitError, brief
from ..machine.commands import COMMANDS
from ..machine.machine import Machine
from ..machine.memory.changes import changes
from ..machine.quirks import profile
from ..machine.typed import FIRST, spelling, typed
from ..read.streams import lines
from ..wire.calls import calls, find_call
from ..wire.svsm import ResultCode
from .devices import add_devices, chosen_devices
from .formatter import examples
from .main import complain
from .messages import messages_told

PROMPT = "svsm> "
_REGISTERS = ("rcx", "rdx", "r8")
_CODES = {int(code): code.name for code in ResultCode}
_SPOKEN = 6
"""Protocols whose calls `help calls` names: those that an SVSM of today may have."""

HELP = """\
call core pvalidate rcx=0x9000   a call, by name or by numbers (call 0 1); registers not named are zero
write 0x9000 0100 by=2           bytes in hex; by=1, 2, 3 or host: only if that VMPL, or the host, may
read 0x9000 16 by=2              the same for reading
page 0x9000                      what backs a page, its RMP entry, a hash of its bytes
registry                         the VMSAs that the SVSM knows
state, calling_area              everything that is known of a vCPU; its calling area
init                             begin again; vmsa, adjust, run, host_page, psp and others work, too
{"op": "page", "gpa": 36864}     a command as scenarios spell it
cpu=1                            on any of them: another vCPU than 0
messages, messages FOLDER        with --psp sealed: what the host saw of guest messages; into files
save FILE                        what was done so far, with the answers, for vmgexit replay
help COMMAND, help calls         the arguments of a command; the names of calls
quit                             or the end of the input"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Make calls to an SVSM with memory, and see what each does: registers, effects in their order,"
        " pages that changed. Lines come from the terminal, or without a prompt from FILE or standard"
        " input; a line that is not understood is told and left out. `help` lists what can be typed."
        " Exits 2 if a line of a script was not understood."
    )
    parser.epilog = examples(
        "vmgexit svsm --profile coconut",
        "vmgexit svsm corpus/sessions/ignore-cf.txt",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", default="-", help="script, or -")
    parser.add_argument(
        "--profile",
        default="reference",
        help="reference, coconut, or names of quirks joined by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--save", metavar="FILE", help="write the session there at its end, for vmgexit replay"
    )
    add_devices(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    with chosen_devices(arguments) as devices:
        return _run(arguments, Session(arguments.profile, devices))


def _run(arguments: argparse.Namespace, session: Session) -> int:
    not_understood = 0
    if arguments.save:  # a file that cannot be written is told before anything is typed
        session.save(arguments.save)
    try:
        if arguments.file == "-" and sys.stdin is not None and sys.stdin.isatty():
            _each(session, _typed_lines(), "")
        else:
            not_understood = _each(session, _script(arguments.file), arguments.file)
    finally:
        if arguments.save:
            session.save(arguments.save)  # a session whose script ends by an error too
    return 2 if not_understood else 0


def _each(session: Session, source: Iterator[str], name: str) -> int:
    """Do one line after the other; how many were not understood. `name` is a script's, which is echoed.

    Raises DeviceError: there is nothing to go on with."""
    wrong = 0
    for number, line in enumerate(source, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if text in ("quit", "exit"):
            break
        if name:
            print(PROMPT + text)
        try:
            for told in session.do(text):
                print(told)
        except DeviceError as error:
            raise DeviceError(f"{name} line {number}: {error}" if name else str(error)) from None
        except (VmgexitError, OSError) as error:
            wrong += 1
            sys.stdout.flush()
            complain(str(error), f"vmgexit: {name} line {number}" if name else "vmgexit")
    return wrong


def _script(name: str) -> Iterator[str]:
    for line in lines(name):
        yield line.decode("utf-8", "replace")


def _typed_lines() -> Iterator[str]:
    """Lines from the terminal, with a history where Python has readline. Ctrl-C drops a line."""
    with contextlib.suppress(ImportError):
        import_module("readline")
    print("An SVSM with 16 MiB of memory and two vCPUs; `help` lists what can be typed.")
    while True:
        try:
            line = input(PROMPT)
        except KeyboardInterrupt:
            print()
        except EOFError:
            print()
            return
        else:
            yield line


class Session:
    """A machine, and what was done to it so far with its answers."""

    def __init__(self, quirks: str, devices: Devices = RECORDED) -> None:
        """Begins with the machine that `typed.FIRST` describes. Raises UsageError."""
        self.machine = Machine(profile(quirks), devices)
        self.done: list[tuple[Command, Answer]] = []
        self._carry_out(dict(FIRST))

    def do(self, line: str) -> Iterator[str]:
        """Do what a line says, and tell what came of it. Raises VmgexitError, and then did nothing."""
        word, *rest = line.split()
        if word == "help":
            return _help(rest)
        if word == "save":
            if len(rest) != 1:
                raise UsageError("save: the name of one file expected")
            self.save(rest[0])
            return iter([f"  {count_of(len(self.done), 'command')} in {rest[0]}"])
        if word == "messages":
            if len(rest) > 1:
                raise UsageError("messages: the name of one folder expected, or nothing")
            return messages_told(self.machine.vm.processor, *rest)
        return iter(self._told(typed(line)))

    def save(self, name: str) -> None:
        """Write a scenario with its answers, a command a line."""
        text = "".join(json.dumps({"cmd": cmd, "ans": ans}) + "\n" for cmd, ans in self.done)
        try:
            Path(name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{name}: {error.strerror or error}") from None

    def _carry_out(self, command: Command) -> Answer:
        answer = self.machine.execute(command)
        # The answer's lists are the machine's own, which the next command changes.
        self.done.append((command, json.loads(json.dumps(answer))))
        return answer

    def _told(self, command: Command) -> list[str]:
        vm = self.machine.vm
        before = vm.memory.copy() if vm.memory is not None else None
        answer = self._carry_out(command)
        told = _call(command, answer) if "rax" in answer else list(_answer(answer))
        memory = self.machine.vm.memory
        if before is not None and memory is not None and command["op"] != "init":
            told += [f"  {change}" for change in changes(before, memory)]
        return told


def _call(command: Command, answer: Answer) -> list[str]:
    """The answer to a call: its code, its registers, its effects in their order."""
    found = find_call(command["protocol"], command["request"])
    code = answer["rax"]
    known = _CODES.get(code, "a code of the protocol")
    registers = " ".join(
        f"{name}={answer[name]:#x}{'*' * (answer[name] != command[name])}"
        for name in _REGISTERS
        if name in answer
    )
    told = [f"  {found.name if found else 'an unknown call'}: {known} ({code:#x}) {registers}"]
    told += [f"  did {' '.join(map(_shown, did))}" for did in answer.get("did", ())]
    told += [f"  asked the host: {_shown(request)}" for request in answer.get("calls", ())]
    return told


def _answer(answer: Answer) -> Iterator[str]:
    """Any other answer, a line for each of its keys."""
    for key, value in answer.items():
        if key == "entries" or (key == "did" and value):
            yield from (f"  {key} {' '.join(map(_shown, row))}" for row in value)
        elif key in ("panic", "terminated"):
            yield f"  the VM has stopped, {key}: {value}; init begins again"
        else:
            yield f"  {key} {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:#x}" if value > 9 else str(value)
    return value if isinstance(value, str) else json.dumps(value)


def _help(words: list[str]) -> Iterator[str]:
    if not words:
        yield HELP
        return
    if words == ["calls"]:
        for call in calls():
            if call.protocol < _SPOKEN:
                yield f"  {spelling(call):30} {call.meaning}"
        return
    described = COMMANDS.get(words[0])
    if described is None or len(words) > 1:
        raise ScenarioError(
            f"help {brief(' '.join(words))}: not one of calls, {', '.join(COMMANDS)}"
        )
    yield f"  {described.meaning}"
    for one in described.arguments:
        optional = " (may be left out)" if one.optional else ""
        yield f"  {one.name:12} {one.kind.expected}{optional}"
