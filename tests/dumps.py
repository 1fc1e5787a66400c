"""Writers of every dump that we read, each as the source of the program that prints it has it.

A writer gets the bytes and an address, and returns the text. The tools themselves are asked in
`tests/conformance/test_dump_tools.py`; those that no test machine has are written here by hand.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator

Writer = Callable[[bytes, int], str]

NARROW = (1, 2, 4, 8)


def rows(data: bytes, width: int) -> Iterator[tuple[int, bytes]]:
    return ((at, data[at : at + width]) for at in range(0, len(data), width))


def words(row: bytes, size: int) -> list[int]:
    """Little-endian words, the last filled up with zeros."""
    return [int.from_bytes(row[at : at + size], "little") for at in range(0, len(row), size)]


def text_of(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)


# --- The kernel: lib/hexdump.c, hex_dump_to_buffer and print_hex_dump -----------------------------


def print_hex_dump(
    data: bytes,
    base: int = 0,
    *,
    kind: str = "none",
    row: int = 16,
    group: int = 1,
    has_text: bool = False,
    prefix: str = "",
) -> list[str]:
    """`group` applies only where it divides the line; the text stands in a column of its own."""
    lines = []
    for at, part in rows(data, row):
        size = group if len(part) % group == 0 else 1
        text = " ".join(f"{word:0{2 * size}x}" for word in words(part, size))
        if has_text:
            text = text.ljust(row * 2 + row // size + 1) + text_of(part)
        place = {"none": "", "offset": f"{at:08x}: ", "address": f"{base + at:016x}: "}[kind]
        lines.append(f"{prefix}{place}{text}")
    return lines


def _dmesg(data: bytes, base: int, **form: object) -> str:
    log = "[ 1234.500000] "
    lines = print_hex_dump(data, base, prefix=log, **form)  # type: ignore[arg-type]
    return "\n".join([f"{log}kvm_amd: the page:", *lines])


def _journal(data: bytes, base: int, **form: object) -> str:
    log = "Jan 16 10:00:00 host kernel: "
    # A single word behind other text is no dump: drivers print single values so.
    label = "SVSM: " if len(data) > 8 or form["kind"] != "none" else ""
    lines = print_hex_dump(data, base, prefix=log + label, **form)  # type: ignore[arg-type]
    return "\n".join(lines)


# --- xxd, hexdump, od -----------------------------------------------------------------------------


def xxd(data: bytes, base: int = 0, *, group: int = 2, little: bool = False) -> str:
    lines = []
    for at, row in rows(data, 16):
        groups = [row[i : i + group] for i in range(0, len(row), group)]
        shown = [(g[::-1].hex().rjust(2 * group) if little else g.hex()) for g in groups]
        full = 16 * 2 + (16 + group - 1) // group
        lines.append(f"{base + at:08x}: {' '.join(shown):{full}} {text_of(row)}")
    return "\n".join(lines)


def xxd_bits(data: bytes, base: int = 0) -> str:
    return "\n".join(
        f"{base + at:08x}: {' '.join(f'{byte:08b}' for byte in row):53}  {text_of(row)}"
        for at, row in rows(data, 6)
    )


def canonical(data: bytes, base: int = 0) -> str:
    """hexdump -C, with its line for repeated ones."""
    lines = []
    last = None
    for at, row in rows(data, 16):
        if row == last and len(row) == 16 and at + 16 < len(data):
            lines += ["*"] * (lines[-1] != "*")
            continue
        half = f"{row[:8].hex(' '):23}  {row[8:].hex(' '):23}"
        lines.append(f"{base + at:08x}  {half}  |{text_of(row)}|")
        last = row
    return "\n".join([*lines, f"{base + len(data):08x}"])


def _octal_dump(data: bytes, base: int, *, size: int, octal: bool = False, radix: str = "x") -> str:
    """od -A `radix` -t x`size` or o`size`."""
    digits = {1: 3, 2: 6, 4: 11, 8: 22}[size]
    lines = []
    for at, row in rows(data, 16):
        shown = (f"{w:0{digits}o}" if octal else f"{w:0{2 * size}x}" for w in words(row, size))
        lines.append(f"{at:0{6 if radix == 'x' else 7}{radix}} {' '.join(shown)}")
    return "\n".join([*lines, f"{len(data):0{6 if radix == 'x' else 7}{radix}}"])


# --- Debuggers ------------------------------------------------------------------------------------


def _gdb(data: bytes, base: int, *, size: int, form: str = "x") -> str:
    columns = {1: 8, 2: 8, 4: 4, 8: 2}[size]
    command = f"(gdb) x/{len(data) // size}{form}{'bhwg'[NARROW.index(size)]} &page"
    lines = [command] if form != "x" else []
    for at, row in rows(data, columns * size):
        shown = [_gdb_word(word, size, form) for word in words(row, size)]
        symbol = f"<page+{at}>" if at else "<page>"
        lines.append(f"{base + at:#x} {symbol}:\t" + "\t".join(shown))
    return "\n".join([*lines, "(gdb) "])


def _gdb_word(word: int, size: int, form: str) -> str:
    signed = word - (1 << 8 * size) if word >> 8 * size - 1 else word
    match form:
        case "d":
            return str(signed)
        case "u":
            return str(word)
        case "t":
            return f"{word:0{8 * size}b}"
        case "o":
            return f"0{word:o}" if word else "0"
        case "c":
            return f"{signed} '\\{word:03o}'"
        case _:
            return f"{word:#0{2 * size + 2}x}"


def _lldb(data: bytes, base: int) -> str:
    return "\n".join(
        f"{base + at:#x}: {row.hex(' '):47}  {text_of(row)}" for at, row in rows(data, 16)
    )


def _windbg(data: bytes, base: int, *, size: int) -> str:
    """db, dw, dd and dq; only db has text."""
    lines = []
    for at, row in rows(data, 16):
        address = f"{base + at:016x}"
        shown = " ".join(f"{word:0{2 * size}x}" for word in words(row, size))
        if size == 1:
            shown = "-".join(filter(None, (row[:8].hex(" "), row[8:].hex(" "))))
            shown = f"{shown:47}  {text_of(row)}"
        if size == 8:
            shown = " ".join(f"{w >> 32:08x}`{w & 0xFFFFFFFF:08x}" for w in words(row, 8))
        lines.append(f"{address[:8]}`{address[8:]}  {shown}")
    return "\n".join(lines)


def _crash(data: bytes, base: int, *, size: int) -> str:
    """rd -8, -16, -32, -64 of crash, and of drgn's crash commands: words, then text."""
    lines = ["crash> rd page"]
    for at, row in rows(data, 16):
        shown = " ".join(f"{word:0{2 * size}x}" for word in words(row, size))
        full = 16 * 2 + 16 // size - 1
        lines.append(f"{base + at:016x}:  {shown:{full}}   {text_of(row)}")
    return "\n".join(lines)


def _qemu(data: bytes, base: int, *, size: int) -> str:
    """xp /..x of the monitor: memory_dump in monitor/hmp-cmds.c."""
    lines = [f"(qemu) xp /{len(data) // size}x{'bhwg'[NARROW.index(size)]} {base:#x}"]
    for at, row in rows(data, 16 if size > 1 else 8):
        shown = " ".join(f"{word:#0{2 * size + 2}x}" for word in words(row, size))
        lines.append(f"{base + at:016x}: {shown}")
    return "\n".join(lines)


def _qmp(data: bytes, base: int) -> str:
    """The same by human-monitor-command: the monitor's lines end in CR and LF."""
    said = _qemu(data, base, size=4).splitlines()[1:]
    return json.dumps({"return": "".join(f"{line}\r\n" for line in said), "id": "libvirt-12"})


def _drgn_array(data: bytes, base: int) -> str:
    """print(object): elements in decimal, in lines, and none of the zeros at the end."""
    held = data.rstrip(b"\0") or data[:1]
    shown = ", ".join(map(str, held))
    return f">>> prog['page']\n(unsigned char [{len(data)}]){{ {shown} }}"


# --- Literals -------------------------------------------------------------------------------------


def _c_array(data: bytes, base: int, *, size: int = 1) -> str:
    """xxd -i for bytes; a table of wider words with their type."""
    shown = [f"0x{word:0{2 * size}x}" for word in words(data, size)]
    lines = [", ".join(part) for part in (shown[at : at + 8] for at in range(0, len(shown), 8))]
    kind = {1: "unsigned char", 2: "const u16", 4: "uint32_t", 8: "static const u64"}[size]
    body = ",\n  ".join(lines)
    tail = f"\nunsigned int page_len = {len(data)};" if size == 1 else ""
    return f"{kind} page[] = {{\n  {body}\n}};{tail}\n"


def _rust_string(data: bytes, base: int) -> str:
    """escape_ascii of core."""
    escapes = {0x5C: "\\\\", 0x22: '\\"', 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
    body = "".join(
        escapes.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in data
    )
    return f'let page = b"{body}";'


def _rust_dbg(data: bytes, base: int) -> str:
    """dbg!(&page): the place, the expression, and {:#?} of the array."""
    elements = "".join(f"    {byte},\n" for byte in data)
    return f"[src/ghcb/page.rs:{base % 999 + 1}:5] &page = [\n{elements}]\n"


def _go_array(data: bytes, base: int, *, size: int, is_slice: bool) -> str:
    """%#v of package fmt."""
    elements = words(data, size)
    kind = f"[{'' if is_slice else len(elements)}]{'byte' if size == 1 and is_slice else f'uint{8 * size}'}"
    return f"{kind}{{{', '.join(map(hex, elements))}}}"


def _gdb_print(data: bytes, base: int) -> str:
    """p/x of an array of bytes, with its repeats of ten or more."""
    parts = []
    at = 0
    while at < len(data):
        end = at
        while end < len(data) and data[end] == data[at]:
            end += 1
        same = end - at
        parts += (
            [f"{data[at]:#x} <repeats {same} times>"] if same >= 10 else [f"{data[at]:#x}"] * same
        )
        at = end
    return f"(gdb) p/x page\n$1 = {{{', '.join(parts)}}}"


def _p(function: Callable[..., str], **more: object) -> Writer:
    return functools.partial(function, **more)


WRITERS: dict[str, Writer] = {
    "hex": lambda data, base: data.hex(),
    "hex with spaces": lambda data, base: data.hex(" "),
    "hex with colons": lambda data, base: data.hex(":"),
    "xxd -p": lambda data, base: "\n".join(row.hex() for _, row in rows(data, 30)),
    "xxd": _p(xxd),
    **{f"xxd -g{size}": _p(xxd, group=size) for size in NARROW},
    **{f"xxd -e -g{size}": _p(xxd, group=size, little=True) for size in NARROW},
    "xxd -b": _p(xxd_bits),
    "hexdump -C": _p(canonical),
    "hexdump -C with a byte order mark": lambda data, base: f"\ufeff{canonical(data, base)}",
    **{
        f"od -A{radix} -t {'o' * octal or 'x'}{size}": _p(
            _octal_dump, size=size, octal=octal, radix=radix
        )
        for size in NARROW
        for octal in (False, True)
        for radix in "xo"
        if radix == "o" or not octal
    },
    **{
        f"{name}, {kind}, rows of {row}, groups of {group}{', text' * has_text}": _p(
            written, kind=kind, row=row, group=group, has_text=has_text
        )
        for name, written in (("dmesg", _dmesg), ("journal", _journal))
        for kind in ("none", "offset", "address")
        for row in (16, 32)
        for group in NARROW
        for has_text in (False, True)
        if name == "dmesg" or (row, group) == (16, 1)
    },
    **{f"gdb x/{form}{'bhwg'[at]}": _p(_gdb, size=size, form=form)
       for at, size in enumerate(NARROW) for form in "xduot"},
    "gdb x/cb": _p(_gdb, size=1, form="c"),
    "gdb p/x": _gdb_print,
    "lldb": _lldb,
    **{f"WinDbg d{'bwdq'[at]}": _p(_windbg, size=size) for at, size in enumerate(NARROW)},
    **{f"crash rd -{8 * size}": _p(_crash, size=size) for size in NARROW},
    **{f"QEMU xp /x{'bhwg'[at]}": _p(_qemu, size=size) for at, size in enumerate(NARROW)},
    "QMP xp /xw": _qmp,
    "drgn's read": lambda data, base: f">>> prog.read({base:#x}, {len(data)})\n{data!r}",
    "drgn's array": _drgn_array,
    **{f"array of C, {8 * size} bits": _p(_c_array, size=size) for size in NARROW},
    "bytes of Python": lambda data, base: repr(data),
    "list of Python": lambda data, base: f"page = {list(data)}",
    "bytes.fromhex of Python": lambda data, base: f'bytes.fromhex("{data.hex(" ")}")',
    "string of Rust": _rust_string,
    "array of Rust": lambda data, base: f"let page: [u8; {len(data)}] = {list(data)};",
    "array of Rust in hex": lambda data, base: f"[{', '.join(f'0x{byte:02x}' for byte in data)}]",
    "dbg! of Rust": _rust_dbg,
    **{f"{'slice' if is_slice else 'array'} of Go, {8 * size} bits":
       _p(_go_array, size=size, is_slice=is_slice) for size in NARROW for is_slice in (True, False)},
    "{:02x?} of Rust": lambda data, base: f"[{', '.join(f'{byte:02x}' for byte in data)}]",
}  # fmt: skip
"""Every form, by its name. A form of wider words is for data that are a whole number of them."""


def word_size(name: str) -> int:
    """How many bytes the data of a form must be a multiple of."""
    for mark, size in (("gdb x/", "bhwg"), ("QEMU xp /x", "bhwg"), ("WinDbg d", "bwdq")):
        if name.startswith(mark):
            return NARROW[size.index(name[-1])]
    if name == "QMP xp /xw":
        return 4
    for mark in ("array of C, ", "array of Go, ", "slice of Go, ", "crash rd -"):
        if name.startswith(mark):
            return int(name.removeprefix(mark).split()[0]) // 8
    return 1
