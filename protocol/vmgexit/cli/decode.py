"""`vmgexit decode`: bytes to names."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import DecodeError, UsageError
from ..read.given import Given
from ..read.numbers import WORD, Understood
from ..schema import Structure
from ..show import values
from ..show.partial import OPENED, Partial
from ..wire.ghcb import GhcbPage
from ..wire.page_size import PAGE
from ..wire.registry import find
from .formatter import examples
from .names import add_structure, number
from .records import Record, opened, records

if TYPE_CHECKING:
    from .as_host import AsHost
    from .secrets import Opener, Payload

_GAPS = 4  # ranges of missing bytes that are named

_READINGS = """\
What a value is, by how it is written:

  0x0000000000000016   a number: the bytes 16 00 00 00 00 00 00 00 in memory
  0000000000000016     bytes in memory order: the number 0x1600000000000000
  0x61 0x81            two numbers of one byte: the bytes 61 81
  0x and over 16 digits, such as a digest: bytes in memory order

A number may stand in place of FILE; there it may be decimal. In a dump its
form decides: lines of GDB, xxd, od, hexdump, dmesg, the journal, crash, drgn,
WinDbg, QEMU, QMP; arrays and strings of C, Rust, Go, Python. The first line of
the output says what was understood.
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read structures from a file, a dump of any kind or a number, and show every field."
    )
    parser.epilog = _READINGS + examples(
        "vmgexit decode ghcb-msr 0x100",
        "vmgexit decode vmsa dmesg.txt",
        "vmgexit decode doorbell-page dump.bin --offset 0x3000",
        "vmgexit decode doorbell-head --pad --hex 61810102",
        "vmgexit decode vmsa guest.core --gpa 0x9000",
        "vmgexit decode services-manifest manifest.bin",
        "vmgexit decode guest-message response.bin --secrets secrets.bin",
        "vmgexit decode ghcb page.bin --host kvm --vm ghcb_version=1 --vm snp=false",
    )
    add_structure(parser)
    _add_input(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each structure")
    parser.add_argument("--summary", action="store_true", help="five lines for each structure")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a rule is broken")
    _add_beside(parser)
    parser.set_defaults(run=run)


def _add_input(parser: argparse.ArgumentParser) -> None:
    """Where the bytes are, and which of them are read."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="bytes, or a dump of them; - for standard input; a number, where no such file exists",
    )
    parser.add_argument(
        "--hex",
        nargs="?",
        const="-",
        metavar="H",
        help=(
            "bytes in memory order, 0x numbers, or a dump; without H, as the last word, or with -, FILE"
            " holds them as text"
        ),
    )
    parser.add_argument("--value", metavar="N", help="a number, decimal or 0x hex")
    parser.add_argument(
        "--raw", action="store_true", help="FILE holds the bytes, whatever it looks like"
    )
    parser.add_argument(
        "--offset",
        type=number,
        metavar="N",
        help="skip so many bytes, decimal or 0x hex; more bytes may follow the structure",
    )
    parser.add_argument(
        "--count",
        type=_count,
        metavar="N",
        help="decode so many structures, one after the other; 0 or all: to the end",
    )
    parser.add_argument(
        "--gpa",
        type=number,
        metavar="ADDRESS",
        help="FILE is an image of memory: raw, an ELF core, a kdump; read at that guest-physical address",
    )
    parser.add_argument("--pad", action="store_true", help="fill short input up with zeros")


def _add_beside(parser: argparse.ArgumentParser) -> None:
    """What is shown besides the structure: an opened payload, the answer of a host."""
    parser.add_argument(
        "--secrets",
        metavar="FILE",
        help="open a guest-message by a key of this secrets page, or of one in this image of memory",
    )
    parser.add_argument(
        "--secrets-gpa",
        type=number,
        metavar="ADDRESS",
        help="the secrets page is at this guest-physical address; else the image is searched for one",
    )
    parser.add_argument(
        "--host",
        metavar="NAME",
        help="of a ghcb: say what this host answers, asks and writes, and where it departs from the"
        " reference: reference, kvm, kvm-planes, or names of quirks joined by commas",
    )
    parser.add_argument(
        "--vm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what the VM of --host is like, once for each key, such as snp=false; gpa is the page's"
        " address; specs/hosts.md has all keys",
    )


def _count(text: str) -> int:
    return 0 if text == "all" else number(text)


def run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    cls = find(arguments.name, arguments.revision)
    opener = _opener(arguments)
    host = _host(arguments, cls)
    broken = past = False
    with opened(arguments, cls) as source:
        for shown, record in enumerate(records(arguments, source, cls)):
            value = decoded(cls, record.data, record.at, arguments.pad, source)
            if not shown:
                _say(arguments, source, record, value)
            where = f"{cls.declaration.name} at {record.at:#x}"
            payload, complaint = opener.payload(value) if opener else (None, "")
            _show(arguments, value, record.at, shown, payload, host)
            if complaint:
                print(f"vmgexit: {where}: {complaint}", file=sys.stderr)
                broken = True
            if arguments.strict:
                for problem in value.problems():
                    print(f"vmgexit: {where}: {problem}", file=sys.stderr)
                    broken = True
            elif overruns := value.overruns():
                more = f" (+{len(overruns) - 1} more)" * (len(overruns) > 1)
                print(f"vmgexit: {where}: {overruns[0]}{more}", file=sys.stderr)
                past = True
    return 2 if past else 1 if broken else 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that contradict each other."""
    pairs = [("raw", "hex"), ("raw", "value"), ("json", "summary")]
    pairs += [("gpa", other) for other in ("hex", "value", "raw", "offset")]
    for one, other in pairs:
        if all(getattr(arguments, name) not in (None, False) for name in (one, other)):
            raise UsageError(f"--{one} and --{other} found, one of them expected")


def _opener(arguments: argparse.Namespace) -> Opener | None:
    """What opens guest messages, where a secrets page is given."""
    if arguments.secrets is not None:
        from .secrets import Opener  # what finds pages takes 0.1 s

        return Opener.of(arguments)
    if arguments.secrets_gpa is not None:
        raise UsageError("--secrets-gpa found without --secrets, which names the image")
    return None


def _host(arguments: argparse.Namespace, cls: type[Structure]) -> AsHost | None:
    """The host that answers a page, where one is named."""
    if arguments.host is None:
        if arguments.vm:
            raise UsageError("--vm found without --host, which names the host")
        return None
    if cls is not GhcbPage:
        revision = f"@{arguments.revision}" if arguments.revision else ""
        raise UsageError(f"--host answers a ghcb page, {arguments.name}{revision} found")
    from .as_host import AsHost  # few pages are answered, and a host takes time to load

    return AsHost.of(arguments.host, arguments.vm)


# --- Bytes to a value -----------------------------------------------------------------------------


def decoded(cls: type[Structure], data: bytes, at: int, pad: bool, source: Given) -> Partial:
    """The structure, or the part of it that a dump has."""
    missing = [
        range(gap.start - at, gap.stop - at) for gap in (source.dump.gaps if source.dump else ())
    ]
    if cls.declaration.any_length:
        return Partial(cls.decode(data.ljust(cls.size, b"\0") if pad else data), missing)
    if source.dump and source.dump.is_rows and data and not pad and len(data) < cls.size > WORD:
        missing.append(range(len(data), cls.size))
    elif not pad or not data:
        try:
            cls.decode(data)
        except DecodeError as error:
            raise DecodeError(f"{error}{_hint(cls, data, at, source)}") from None
    return Partial(cls.decode(data.ljust(cls.size, b"\0")), missing)


def _hint(cls: type[Structure], data: bytes, at: int, source: Given) -> str:
    where = f" at offset {at:#x}" if at else ""
    if len(data) > cls.size:
        return f"{where}; --offset and --count read parts of longer input"
    value = source.value
    if value and value.kind == "bytes" and cls.size <= WORD and (other := value.other()):
        return f"{where}; as {other}: --value {other.value:#x}; --pad fills up with zeros"
    read = f", read as {source.said}" if value else ""
    return f"{read}{where}; --pad fills up with zeros" if data else where


# --- What is said ---------------------------------------------------------------------------------


def _say(arguments: argparse.Namespace, source: Given, record: Record, value: Partial) -> None:
    """The first line: what was understood. Beside JSON it stands on standard error."""
    lines = [f"read as {source.said}" + f"; {record.note}" * bool(record.note)]
    size = value.value.size
    if len(record.data) < size and not value.missing:
        lines[0] += f", filled up with zeros to {size}"
    if value.missing:
        gaps = ", ".join(f"{gap.start:#x} to {gap.stop - 1:#x}" for gap in value.missing[:_GAPS])
        more = f" and {len(value.missing) - _GAPS} more ranges" * (len(value.missing) > _GAPS)
        held = size - sum(map(len, value.missing))
        name = value.value.declaration.name
        lines[0] += (
            f"; {held} of the {size} bytes of {name} are in the dump, not in it: {gaps}{more}"
        )
    others = _other_reading(source, value.cls, value)
    rather = other_page(value)
    lines += [f"note: {note}" for note in (*source.notes, *others, *[rather] * bool(rather))]
    if not arguments.json:
        print("\n".join([*lines, *[""] * (not arguments.summary)]))
    elif source.dump or source.notes or record.note or rather:
        print("\n".join(f"vmgexit: {line}" for line in lines), file=sys.stderr)


def other_page(value: Partial) -> str:
    """What a page that breaks rules looks like, where that is a structure of another name."""
    name = value.cls.declaration.name
    if value.cls.size != PAGE or not value.problems():
        return ""
    from ..images.scan import looks_rather  # most pages are what they are read as

    rather = looks_rather(value.value.encode(), name)
    return f"it looks like {rather}, not like {name}: vmgexit decode {rather}" if rather else ""


def _other_reading(source: Given, cls: type[Structure], value: Partial) -> Iterator[str]:
    """What else the same digits could be, where only one of the two readings breaks no rule."""
    token = source.value
    other = token.other() if token and cls.size <= WORD else None
    try:
        if other is not None:
            read, name, option = cls.decode(other.sized(cls.size)), str(other), _option(other)
        elif source.dump and len(source.dump.other) == cls.size:
            read, name, option = cls.decode(source.dump.other), "words of the other order", ""
        else:
            return
    except DecodeError:
        return
    if read == value.value:
        return
    ours, others = value.problems(), [*read.problems()]
    if ours and not others:
        yield f"as {name} it would break no rule" + f": {option}" * bool(option)
    elif others and not ours:
        yield f"as {name} it would break a rule: {others[0]}"


def _option(value: Understood) -> str:
    return f"--value {value.value:#x}" if value.kind == "number" else f"--hex {value.data.hex()}"


def _show(
    arguments: argparse.Namespace,
    value: Partial,
    at: int,
    before: int,
    payload: Payload | None,
    host: AsHost | None,
) -> None:
    if arguments.json:
        made = value.as_dict()
        if payload is not None:
            made[OPENED] = payload.as_dict()
        if host is not None and isinstance(value.value, GhcbPage):
            made["host"] = host.as_dict(value.value)
        print(json.dumps(made))
        return
    if before:
        print()
    show = values.summary if arguments.summary else values.render
    print(show(value.value, base=at, missing=value.missing))
    if payload is not None:
        print(payload.text(show, at))
    if host is not None and isinstance(value.value, GhcbPage):
        print(host.text(value.value))
