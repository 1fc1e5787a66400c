"""The binary spelling of a scenario: a program of fixed-size operations, declared like a structure.

Every byte string is a program, so that a fuzzer's inputs mean something whatever it does to them:
there are no lengths that could desynchronise, and each argument has its own place. Operation codes
and vCPU numbers are taken modulo how many there are, and so is a number beyond its limits; a trailing
part of an operation is dropped. A list of a command (late interrupts, APIC ids, the bytes of a
doorbell page) follows it in pieces, operations of their own; a piece that follows nothing it belongs
to means nothing.

`read` and `write` are each other's inverse for every scenario that `commands.checked` accepts (an
empty list being the same as none), of at most `MOST_VCPUS` vCPUs and starting with `init`. What stands
where is said in `COMMANDS`; a function for each command is compiled from that.

Whoever has no use for machines with memory reads programs that have none: the codes of memory commands
then mean others. With memory, a layout that cannot be is made one that can (`repaired`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any

from ..descriptions import Argument, Bytes, Choice, Command, Description, Flag, Hex, Number, Numbers
from ..errors import ScenarioError
from ..schema import Bits, Record, bit, nested, reserved, structure, u8, u32, u64
from .commands import (
    COMMANDS,
    MOST_BYTES,
    NOT_ON_MEMORY,
    ON_MEMORY,
    WITHOUT_MEMORY,
    checked,
)
from .kinds import Posts, Row, Rows, Whom
from .memory.layout import repaired
from .memory.rmp import MOST_ADDRESS

MOST_VCPUS = 16

# The arguments that follow a command in pieces, by the code of these: whose, and which.
_PIECES: dict[int, tuple[str, tuple[Argument, ...]]] = {
    piece.code: (
        described.name,
        tuple(one for one in described.arguments if one.piece == piece),
    )
    for described in COMMANDS.values()
    for piece in dict.fromkeys(one.piece for one in described.arguments)
    if piece is not None
}

CODES: dict[str, int] = {one.name: one.code for one in COMMANDS.values()} | {
    argument.piece.name: argument.piece.code
    for _, held in _PIECES.values()
    for argument in held
    if argument.piece is not None
}
"""Operation codes, of commands and of pieces, by name."""

CODES_WITHOUT_MEMORY = 1 + max(
    code
    for one in WITHOUT_MEMORY.values()
    for code in (one.code, *(held.piece.code for held in one.arguments if held.piece))
)
"""So many codes, the first ones, are those of machines without memory."""

_INIT = CODES["init"]


def _held(arguments: tuple[Argument, ...]) -> tuple[Argument, ...]:
    """The arguments that one piece of these holds; a bare number has no name."""
    match arguments[0].kind:
        case Posts(held) | Row(held) | Rows(Row(held)):
            return held
        case Numbers(each):
            return (Argument("", each, arguments[0].place),)
        case Hex() | Bytes():
            return ()
    return arguments


def _own(arguments: Iterable[Argument]) -> tuple[Argument, ...]:
    """The arguments that stand in a command's own operation; of bytes, their number does."""
    return tuple(one for one in arguments if one.piece is None or isinstance(one.kind, Bytes))


def _users(place: str) -> str:
    """What a place of an operation holds, command by command and piece by piece."""
    holders = {one.name: _own(one.arguments) for one in COMMANDS.values()} | {
        name: _held(_PIECES[code][1]) for name, code in CODES.items() if code in _PIECES
    }
    return "; ".join(
        f"{name}: {argument.name or 'the number'}{' is given' * (argument.given == place)}"
        for name, arguments in holders.items()
        for argument in arguments
        if place in (argument.place, argument.given)
    )


@structure("program-flags", size=1)
class Flags(Bits):
    """Flag arguments of an operation."""

    first: bool = bit(_users("first"), spec="First")
    second: bool = bit(_users("second"), spec="Second")
    given: bool = bit(_users("given"), spec="Given")
    reserved_7_3: int = reserved(5)


@structure("program-operation", size=36)
class Operation(Record):
    """One operation of a scenario in its binary spelling."""

    code: int = u8(
        "What to do, modulo the number of codes",
        enum=IntEnum("Code", CODES),  # type: ignore[arg-type]  # a class, which mypy does not see
    )
    cpu: int = u8("The vCPU, modulo their number; init: how many")
    vector: int = u8(_users("vector") + "; doorbell_bytes, memory_bytes: which 24 of them")
    flags: Flags = nested(Flags, "Flag arguments")
    protocol: int = u32(_users("protocol"))
    request: int = u32(_users("request"))
    rcx: int = u64(_users("rcx"), spec="RCX")
    rdx: int = u64(_users("rdx"), spec="RDX")
    r8: int = u64(_users("r8"), spec="R8")


SIZE = Operation.size
PLACES = {
    one.name: slice(one.bit_offset // 8, (one.bit_offset + one.width) // 8)
    for one in Operation.declaration.fields
}
"""Where each field of an operation stands, in bytes."""

FLAGS = {one.name: 1 << one.bit_offset for one in Flags.declaration.fields}
"""The bits of the flags of an operation."""
_FORMATS = {1: "B", 4: "I", 8: "Q"}
_LAYOUT = struct.Struct("<" + "".join(_FORMATS[at.stop - at.start] for at in PLACES.values()))
_BYTES = slice(PLACES["rcx"].start, SIZE)  # where a piece of a `Hex` has its bytes
_CHUNK = SIZE - _BYTES.start
_WHICH_CHUNK = list(PLACES).index("vector")

_Function = Callable[..., Any]


def _function(parameters: str, expression: str) -> _Function:
    function: _Function = eval(  # noqa: S307
        f"lambda {parameters}: {expression}", {"pack": _LAYOUT.pack}
    )
    return function


def _reader(arguments: Iterable[Argument], name: str = "") -> _Function:
    """From the number of vCPUs and the fields of an operation to the command `name`, or to the
    arguments alone, which a piece holds."""
    items = [f'"op": {name!r}'] * bool(name)
    for one in arguments:
        if one.given:
            held = f'{{"{one.name}": {_read_from(one)}}}'
            items.append(f"**({held} if flags & {FLAGS[one.given]} else {{}})")
        else:
            items.append(f'"{one.name}": {_read_from(one)}')
    return _function(f"cpus, {', '.join(PLACES)}", f"{{{', '.join(items)}}}")


def _read_from(argument: Argument) -> str:
    """The Python expression of an argument, over the fields of an operation."""
    at = argument.place
    match argument.kind:
        case Flag():
            return f"flags & {FLAGS[at]} != 0"
        case Choice(names) | Whom(names):
            return f"{names!r}[{at} % {len(names)}]"
        case Hex(size):
            return f"bytearray({size})"
        case Bytes(int() as most):
            return f"bytearray({at} % {most + 1})"
        case Number(most, least):
            if argument.name == "cpu":
                return f"{at} % cpus"
            if argument.name == "cpus":
                most = MOST_VCPUS
            if most == (1 << 8 * (PLACES[at].stop - PLACES[at].start)) - 1:
                return at
            return f"({at} - {least}) % {most - least + 1} + {least}"
    raise TypeError(argument)


def _writer(code: int, arguments: Iterable[Argument]) -> _Function:
    """From a command, or from what a piece holds, to the bytes of its operation."""
    fields = dict.fromkeys(PLACES, "0") | {"code": str(code)}
    flags: dict[str, None] = {}
    for one in arguments:
        value = f"command.get({one.name!r}, 0)" if one.optional else f"command[{one.name!r}]"
        if one.given:
            flags[f"({one.name!r} in command and {FLAGS[one.given]})"] = None
        match one.kind:
            case Flag():
                flags[f"{value} * {FLAGS[one.place]}"] = None
            case Choice(names) | Whom(names):
                default = f", {names[0]!r}" * one.optional
                got = f"command.get({one.name!r}{default})"
                fields[one.place] = f"{names!r}.index({got})"
            case Bytes():
                fields[one.place] = f"len({value}) // 2"
            case Number():
                fields[one.place] = value
    fields["flags"] = " | ".join(flags) or "0"
    return _function("command", f"pack({', '.join(fields.values())})")


class _Spelling:
    """What reads and writes the commands of one table, all but those that are not `read`."""

    def __init__(self, table: Iterable[Description], unread: Iterable[str] = ()) -> None:
        self.read: dict[int, _Function] = {}
        self.write: dict[str, _Function] = {}
        for one in table:
            inside = [held for held in one.arguments if isinstance(held.kind, Hex)]
            own = _own(one.arguments)
            self.write[one.name] = _writer(one.code, own)
            if one.name not in unread:
                self.read[one.code] = _reader((*own, *inside), one.name)


_PLAIN = _Spelling(WITHOUT_MEMORY.values())
_WHOLE = _Spelling(COMMANDS.values(), unread=NOT_ON_MEMORY)
_READ_PIECE = {code: _reader(_held(one)) for code, (_, one) in _PIECES.items()}
_WRITE_PIECE = {code: _writer(code, _held(one)) for code, (_, one) in _PIECES.items()}
_FOLLOWED: dict[str, list[tuple[int, tuple[Argument, ...]]]] = {}
for _code, (_name, _arguments) in _PIECES.items():
    _FOLLOWED.setdefault(_name, []).append((_code, _arguments))
_HAS_MEMORY = FLAGS["first"]  # of init
_FLAGS_AT = PLACES["flags"].start
_MOST_KNOWN = 1 << 20  # bytes of blocks


class _Reading:
    """What blocks mean in a spelling, with so many `codes`. Equal blocks give the same command.

    A block is an operation that is a command's, and all up to the next such: its pieces, and what means
    nothing."""

    def __init__(self, spelling: _Spelling, codes: int) -> None:
        self.read, self.codes = spelling.read, codes
        # Of each first byte of an operation: 1 where a block begins with it.
        self.begins = bytes(byte % codes in spelling.read for byte in range(256))
        self.known: list[dict[bytes, Command]] = [{} for _ in range(MOST_VCPUS + 1)]
        self.room = _MOST_KNOWN

    def command(self, block: bytes, cpus: int, *, opens: bool = False) -> Command:
        """The command of a block, of a scenario with so many vCPUs; an `init` where the scenario `opens`
        with it."""
        first, *others = _LAYOUT.iter_unpack(block)
        code = _INIT if opens else first[0] % self.codes
        command: Command = self.read[code](cpus, *first)
        for operation in others:
            if (code := operation[0] % self.codes) in _PIECES:
                _belongs(command, code, operation)
        for _, arguments in _FOLLOWED.get(command["op"], ()):
            _finish(command, arguments[0])
        _settle(command)
        self.room -= len(block)
        if self.room < 0:
            self.room = _MOST_KNOWN
            for known in self.known:
                known.clear()
        self.known[0 if opens else cpus][block] = command
        return command


_READINGS = {
    False: (_Reading(_PLAIN, CODES_WITHOUT_MEMORY),) * 2,
    True: (_Reading(_PLAIN, len(CODES)), _Reading(_WHOLE, len(CODES))),
}
"""By whether machines may have memory, and whether this one has."""


def read(data: bytes, *, memory: bool = False) -> list[Command]:
    """The scenario that `data` spells; machines have memory only with `memory`. Never fails; empty data is
    an empty scenario. Nobody may change the commands: equal operations give the same ones."""
    commands: list[Command] = []
    data, count = bytes(data), len(data) // SIZE
    codes = data[: count * SIZE : SIZE]
    readings = _READINGS[memory]
    reading, cpus, known, begins = readings[0], 0, {}, b""
    at = 0
    while at < count:
        opens = not at or codes[at] % reading.codes == _INIT
        if opens:
            reading = readings[data[at * SIZE + _FLAGS_AT] & _HAS_MEMORY]
            begins, known = codes.translate(reading.begins), reading.known[0]
        end = begins.find(1, at + 1)
        if end < 0:
            end = count
        block = data[at * SIZE : end * SIZE]
        command = known.get(block)
        if command is None:
            command = reading.command(block, cpus, opens=opens)
        commands.append(command)
        if opens:
            cpus = command["cpus"]
            known = reading.known[cpus]
        at = end
    return commands


def _belongs(command: Command, code: int, operation: tuple[int, ...]) -> None:
    """Add what a piece holds to the command before it, if it is one that can hold it."""
    name, (argument, *_) = _PIECES[code]
    if command["op"] != name:
        return
    held = _READ_PIECE[code](1, *operation)
    match argument.kind:
        case Posts():
            command.setdefault(argument.name, []).append(held)
        case Numbers():
            command.setdefault(argument.name, []).append(held[""])
        case Rows(each):
            command.setdefault(argument.name, []).append(each.of(held))
        case Row() as row:
            command[argument.name] = row.of(held)
        case Hex() | Bytes():
            data = command[argument.name]
            start = operation[_WHICH_CHUNK] % (-(-len(data) // _CHUNK) or 1) * _CHUNK
            chunk = _LAYOUT.pack(*operation)[_BYTES]
            data[start : start + _CHUNK] = chunk[: len(data) - start]
        case _:
            command.update(held)


def _finish(command: Command, argument: Argument) -> None:
    """What the pieces of a command came to. In the place of APIC ids that are missing, or that are
    there twice, come numbers of vCPUs that are free, the vCPU's own and those after it first."""
    if isinstance(argument.kind, Hex | Bytes):
        command[argument.name] = command[argument.name].hex()
    elif argument.name == "apic_ids" and "apic_ids" in command:
        cpus = command["cpus"]
        given = list(dict.fromkeys(command[argument.name]))[:cpus]
        others = (*range(len(given), cpus), *range(len(given)))
        command[argument.name] = [*given, *(one for one in others if one not in given)][:cpus]


def _settle(command: Command) -> None:
    """Mend arguments that do not go together, or drop them."""
    match command["op"]:
        case "init" if "caa" in command:
            command |= repaired(command)
        case "init":
            for name in ("memory", "svsm", "pages"):
                command.pop(name, None)
        case "host_page" if command["to"] == "remap":
            command.setdefault("spa", command["gpa"])
        case "host_page":
            command.pop("spa", None)
        case "read" | "write" if COMMANDS[command["op"]].complaint(command):
            command["gpa"] = MOST_ADDRESS - MOST_BYTES + 1
        case "psp":
            command.setdefault("answers", [])


def write(commands: Iterable[Command]) -> bytes:
    """The program of a scenario. Raises ScenarioError on one that has no binary spelling."""
    program = bytearray()
    cpus, has_memory = 0, False
    for index, command in enumerate(commands):
        checked(command)
        if command["op"] == "init":
            cpus, has_memory = command["cpus"], "memory" in command
            if cpus > MOST_VCPUS:
                raise ScenarioError(f"{cpus} vCPUs: a program holds at most {MOST_VCPUS}")
        elif not index:
            raise ScenarioError("a program starts with init")
        elif command.get("cpu", 0) >= cpus:
            raise ScenarioError(f"command {index}: vCPU {command['cpu']} of {cpus}")
        elif command["op"] in (NOT_ON_MEMORY if has_memory else ON_MEMORY):
            which = "has" if has_memory else "has no"
            raise ScenarioError(f"command {index}: {command['op']}: the machine {which} memory")
        program += spelled(command)
    return bytes(program)


def spelled(command: Command, *, alone: bool = False) -> bytes:
    """One command, as `checked` accepts it, in the binary spelling, whatever stands before it. `alone`: a
    flag says of what an `init` may be without that it is there."""
    name = command["op"]
    plain = name == "init" and "memory" not in command and not alone
    operations = [(_PLAIN if plain else _WHOLE).write[name](command)]
    for code, arguments in _FOLLOWED.get(name, ()):
        operations += _pieces(command, code, arguments)
    return b"".join(operations)


def _pieces(command: Command, code: int, arguments: tuple[Argument, ...]) -> Iterator[bytes]:
    write_piece = _WRITE_PIECE[code]
    value = command.get(arguments[0].name)
    match arguments[0].kind:
        case Posts():
            yield from map(write_piece, value or ())
        case Numbers():
            yield from (write_piece({"": number}) for number in value or ())
        case Rows(each):
            yield from (write_piece(each.named(row)) for row in value or ())
        case Row() as row:
            if value is not None:
                yield write_piece(row.named(value))
        case Hex() | Bytes():
            data = bytes.fromhex(value or "")
            for start in range(0, len(data), _CHUNK):
                chunk = data[start : start + _CHUNK]
                if any(chunk):
                    piece = bytearray(write_piece({}))
                    piece[PLACES["vector"]] = bytes([start // _CHUNK])
                    piece[_BYTES] = chunk.ljust(_CHUNK, b"\0")
                    yield bytes(piece)
        case _:
            if any(one.name in command for one in arguments):
                yield write_piece(command)
