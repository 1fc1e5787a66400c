"""The binary spelling of a scenario: a program of fixed-size operations, declared like a structure.

Every byte string is a program, so that a fuzzer's inputs mean something whatever it does to them:
there are no lengths that could desynchronise, and each argument has its own place. Operation codes
and vCPU numbers are taken modulo what there is; a trailing part of an operation is dropped. Where a
command holds a list (late interrupts, APIC ids, the bytes of a doorbell page), its elements follow
as operations of their own; such an operation that follows nothing it belongs to means nothing.

`read` and `write` are each other's inverse for every scenario that `scenario.checked` accepts (an
empty list being the same as none), of
at most `MOST_VCPUS` vCPUs and starting with `init`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from ..errors import ScenarioError
from ..schema import Bits, Record, bit, nested, reserved, structure, u8, u32, u64
from .scenario import REFUSABLE, Command, checked

MOST_VCPUS = 16
_CHUNK = 24  # bytes of a doorbell page that one operation carries


class Code(IntEnum):
    """Operation codes. The last three belong to the command before them."""

    INIT = 0
    CALL = 1
    HOST_IRQ = 2
    ENTER = 3
    GUEST_TAKE = 4
    GUEST = 5
    GUEST_LAZY_EOI = 6
    INTERCEPT = 7
    SET_VMSA = 8
    DOORBELL = 9
    SET_DOORBELL = 10
    STATE = 11
    HOST_REFUSE = 12
    HOST_BEGIN = 13
    HOST_STEP = 14
    SVSM_STEP = 15
    LATE = 16  # one more late interrupt of an enter
    APIC_ID = 17  # the next APIC id of an init
    DOORBELL_BYTES = 18  # 24 bytes of a set_doorbell, at chunk number `vector`


@structure("program-flags", size=1)
class Flags(Bits):
    """Flag arguments of an operation."""

    first: bool = bit("level, gate, if, busy; set_vmsa: event_inj is given", spec="First")
    second: bool = bit("shadow; set_vmsa: vintr is given", spec="Second")
    given: bool = bit("an optional gate or cr8 is given", spec="Given")
    reserved_7_3: int = reserved(5)


@structure("program-operation", size=36)
class Operation(Record):
    """One operation of a scenario in its binary spelling."""

    code: int = u8("What to do, modulo the number of codes", enum=Code)
    cpu: int = u8("The vCPU, modulo their number; init: how many")
    vector: int = u8("Interrupt vector; guest: CR8; doorbell bytes: chunk; refuse: which")
    flags: Flags = nested(Flags, "Flag arguments")
    protocol: int = u32("call: protocol")
    request: int = u32("call: number of the call")
    rcx: int = u64("call: RCX; init: count; APIC id; EXITINTINFO; EVENTINJ", spec="RCX")
    rdx: int = u64("call: RDX; VINTR_CTRL", spec="RDX")
    r8: int = u64("call: R8", spec="R8")


_SIZE = Operation.size
_CODES = tuple(Code)


def read(data: bytes) -> list[Command]:
    """The scenario that `data` spells. Never fails; empty data is an empty scenario."""
    commands: list[Command] = []
    cpus = 1
    for at in range(0, len(data) - _SIZE + 1, _SIZE):
        operation = Operation.decode(data[at : at + _SIZE])
        code = _CODES[operation.code % len(_CODES)]
        if code is Code.INIT or not commands:
            command = _init(operation)
            cpus = command["cpus"]
        elif code >= Code.LATE:
            _belongs(commands[-1], code, operation)
            continue
        else:
            command = _command(code, operation, operation.cpu % cpus)
        commands.append(command)
    return [_finished(command) for command in commands]


def _init(operation: Operation) -> Command:
    return {
        "op": "init",
        "cpus": (operation.cpu - 1) % MOST_VCPUS + 1,
        "reg_count": operation.rcx & 0xFFFFFFFF,
    }


def _command(code: Code, operation: Operation, cpu: int) -> Command:
    flags = operation.flags
    command: Command = {"op": code.name.lower(), "cpu": cpu}
    match code:
        case Code.CALL:
            command |= {
                "protocol": operation.protocol,
                "request": operation.request,
                "rcx": operation.rcx,
                "rdx": operation.rdx,
                "r8": operation.r8,
            }
        case Code.HOST_IRQ | Code.HOST_BEGIN:
            command |= {"vector": operation.vector, "level": flags.first}
        case Code.GUEST_TAKE if flags.given:
            command["gate"] = flags.first
        case Code.GUEST:
            command |= {"if": flags.first, "shadow": flags.second}
            if flags.given:
                command["cr8"] = operation.vector & 15
        case Code.INTERCEPT:
            command |= {"exitintinfo": operation.rcx, "busy": flags.first}
        case Code.SET_VMSA:
            if flags.first:
                command["event_inj"] = operation.rcx
            if flags.second:
                command["vintr"] = operation.rdx
        case Code.SET_DOORBELL:
            command["hex"] = bytearray(256)
        case Code.HOST_REFUSE:
            command["call"] = REFUSABLE[operation.vector % len(REFUSABLE)]
    return command


def _belongs(command: Command, code: Code, operation: Operation) -> None:
    """Add what `operation` carries to the command before it, if it is one that can hold it."""
    match command["op"], code:
        case "enter", Code.LATE:
            late = command.setdefault("late", [])
            late.append({"vector": operation.vector, "level": operation.flags.first})
        case "init", Code.APIC_ID:
            ids = command.setdefault("apic_ids", [])
            if len(ids) < command["cpus"]:
                ids.append(operation.rcx & 0xFFFFFFFF)
        case "set_doorbell", Code.DOORBELL_BYTES:
            page: bytearray = command["hex"]
            start = operation.vector % 11 * _CHUNK
            room = len(page) - start
            page[start : start + _CHUNK] = operation.encode()[12:][: min(room, _CHUNK)]


def _finished(command: Command) -> Command:
    if command["op"] == "set_doorbell":
        command["hex"] = command["hex"].hex()
    if "apic_ids" in command:
        # Ids that the program does not give are the vCPU's number, as without any.
        ids = command["apic_ids"]
        command["apic_ids"] = ids + list(range(len(ids), command["cpus"]))
    return command


def write(commands: Iterable[Command]) -> bytes:
    """The program of a scenario. Raises ScenarioError on one that has no binary spelling."""
    program = bytearray()
    cpus = 0
    for index, command in enumerate(commands):
        checked(command)
        if command["op"] == "init":
            cpus = command["cpus"]
            if cpus > MOST_VCPUS:
                raise ScenarioError(f"{cpus} vCPUs: a program holds at most {MOST_VCPUS}")
        elif not index:
            raise ScenarioError("a program starts with init")
        elif command["cpu"] >= cpus:
            raise ScenarioError(f"command {index}: vCPU {command['cpu']} of {cpus}")
        program += spelled(command)
    return bytes(program)


def spelled(command: Command) -> bytes:
    """One command in the binary spelling, whatever stands before it."""
    return b"".join([operation.encode() for operation in _operations(command)])


def _operations(command: Command) -> list[Operation]:
    code = Code[command["op"].upper()]
    head = Operation(code=code, cpu=command.get("cpu", 0))
    operations = [head]
    match code:
        case Code.INIT:
            head.cpu, head.rcx = command["cpus"], command["reg_count"]
            operations += [
                Operation(code=Code.APIC_ID, rcx=identifier)
                for identifier in command.get("apic_ids", ())
            ]
        case Code.CALL:
            for name in ("protocol", "request", "rcx", "rdx", "r8"):
                setattr(head, name, command[name])
        case Code.HOST_IRQ | Code.HOST_BEGIN:
            head.vector, head.flags.first = command["vector"], command["level"]
        case Code.ENTER:
            operations += [
                Operation(code=Code.LATE, vector=post["vector"], flags=Flags(first=post["level"]))
                for post in command.get("late", ())
            ]
        case Code.GUEST_TAKE:
            head.flags = Flags(first=command.get("gate", False), given="gate" in command)
        case Code.GUEST:
            head.flags = Flags(
                first=command["if"], second=command["shadow"], given="cr8" in command
            )
            head.vector = command.get("cr8", 0)
        case Code.INTERCEPT:
            head.rcx, head.flags.first = command["exitintinfo"], command["busy"]
        case Code.SET_VMSA:
            head.flags = Flags(first="event_inj" in command, second="vintr" in command)
            head.rcx, head.rdx = command.get("event_inj", 0), command.get("vintr", 0)
        case Code.SET_DOORBELL:
            operations += _doorbell_bytes(bytes.fromhex(command["hex"]))
        case Code.HOST_REFUSE:
            head.vector = REFUSABLE.index(command["call"])
    return operations


def _doorbell_bytes(page: bytes) -> list[Any]:
    operations = []
    for chunk in range(0, len(page), _CHUNK):
        held = page[chunk : chunk + _CHUNK]
        if any(held):
            blank = Operation(code=Code.DOORBELL_BYTES, vector=chunk // _CHUNK).encode()
            operations.append(Operation.decode(blank[:12] + held.ljust(_CHUNK, b"\0")))
    return operations
