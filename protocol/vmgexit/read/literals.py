"""Byte literals and arrays, as C, Rust, Python, Go, GDB's print and drgn write them.

| written | read as |
| --- | --- |
| `b'a\\x81'`, `b"a\\x81\\0"`, `"a\\x81"` | a string of bytes, with its escapes |
| `"a\\201", '\\000' <repeats 4091 times>` | GDB's print of an array of characters |
| `{0x61, 0x81}`, `[97, 129]`, `[61, 0a]` | elements |
| `unsigned char page[] = { 0x61 };` | what xxd -i prints; a name of a type gives the elements' width |
| `(u8 [16]){ 97, 129 }` | drgn; elements that it leaves out at the end are zero |
| `[]byte{0x61, 0x81}`, `[2]uint8{97, 129}` | Go |

Elements of an array have one width: that of the type, else the one in which they are written, else the one
with which they fill the structure. Where nothing tells, that is an error and no guess.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..counting import count_of
from ..errors import DecodeError
from .numbers import brief

_TOKEN = re.compile(
    r"""(?P<string>[bBcC]?[rR]?"(?:[^"\\\n]|\\.|\\\n)*+"|[bB]?'(?:[^'\\\n]|\\.|\\\n)*+')
      | (?P<repeats><repeats\ (?P<times>\d+)\ times>)
      | (?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<number>-?0[xX][0-9a-fA-F_]+\w*
          |-?(?<!\w)[0-9][0-9a-fA-F_]*(?:u8|u16|u32|u64|i8|[uUlL]+)?(?!\w))
      | (?P<word>[A-Za-z_$\#][\w.$]*)
      | (?P<dots>\.\.\.|…)
      | (?P<space>\s+)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
STRING = "a string of bytes"
"""The form of a string."""

_HEAD = 64  # tokens of a text among which a literal begins
_TYPE = 16  # tokens within which the `;` of a type of Rust stands
_MOST = 1 << 24  # elements of a literal
_BEFORE_STRINGS = frozenset("=(,[{:*&")
_BEFORE_BRACKETS = frozenset("=()&,:!")

# What closes a literal, and the length that xxd -i prints behind it.
_CLOSING = re.compile(r"\A[\s;,)\]}]*(?:unsigned int \w+_len = \d+;\s*)?")

_ESCAPES = {
    "n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27, "\\": 92, "'": 39, '"': 34,
}  # fmt: skip
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(\n\s*)|(.))", re.DOTALL)

# Names of types in C, Rust, Go and drgn, and the bytes of one element.
_TYPES = {
    1: ("char", "u8", "i8", "s8", "__u8", "uint8_t", "int8_t", "byte", "bytes", "uint8", "UINT8"),
    2: ("short", "u16", "i16", "__u16", "__le16", "uint16_t", "int16_t", "uint16", "UINT16"),
    4: ("int", "unsigned", "u32", "i32", "__u32", "__le32", "uint32_t", "int32_t", "uint32", "UINT32"),
    8: ("long", "u64", "i64", "__u64", "__le64", "uint64_t", "int64_t", "usize", "uint64", "UINT64"),
}  # fmt: skip
_WIDTHS = {name: width for width, names in _TYPES.items() for name in names}


@dataclass(frozen=True, slots=True)
class Literal:
    """The bytes of a literal, what it is, what a reader must know; what else the bytes may be.

    `rest`: the text behind it, without its closing marks.
    """

    data: bytes
    form: str
    notes: tuple[str, ...] = ()
    other: bytes = b""
    rest: str = ""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int
    end: int  # where the text goes on behind it


def is_literal(text: str) -> bool:
    """Whether the text begins as a literal does, maybe with its name and type before it."""
    tokens = list(itertools.islice(_tokens(text.lstrip()), _HEAD))
    for at, token in enumerate(tokens):
        before = tokens[at - 1].text if at else ""
        if token.kind == "string":
            return at == 0 or before in _BEFORE_STRINGS
        if token.text in ("{", "[") and _begins(tokens, at):
            is_typed = before in _WIDTHS or before.endswith("vec")
            return at == 0 or before in _BEFORE_BRACKETS or is_typed
        if token.kind == "dots":
            return False
        if token.kind == "number" and before not in ("[", ";"):
            return False
    return False


def read(text: str, size: int = 0) -> Literal:
    """The bytes of the first literal in `text`. `size`: of the structure expected, 0 if not known.

    Raises DecodeError that names the line; for a literal that was cut with `...` too.
    """
    head, body, end = _parted(list(_tokens(text)))
    if not body:
        raise DecodeError("line 1: no element found, a string of bytes or numbers expected")
    if any(token.text.endswith("fromhex") for token in head):
        found = _from_hex(body)
    elif any(token.kind == "string" for token in body):
        found = _string(body, size)
    else:
        found = _elements(head, body, size)
    return replace(found, rest=_CLOSING.sub("", text[end:].rstrip()))


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "sign"
        if kind not in ("space", "comment"):
            yield _Token("repeats" if kind == "times" else kind, match[0], line, match.end())
        line += match[0].count("\n")


def _parted(tokens: list[_Token]) -> tuple[list[_Token], list[_Token], int]:
    """What stands before the value, its name and type; the value up to where its bracket closes; where
    the text goes on behind that."""
    equals = next((at for at, token in enumerate(tokens) if token.text == "="), None)
    start = 0 if equals is None else equals + 1
    while start < len(tokens) and not _begins(tokens, start):
        start += 1
    opening = tokens[start].text if start < len(tokens) else ""
    if opening not in ("{", "["):
        body = _run_of_strings(tokens[start:])
        last = next((token.end for token in reversed(body) if token.text != ","), 0)
        return tokens[:start], body, last
    depth = 0
    for at in range(start, len(tokens)):
        depth += (tokens[at].text in ("{", "[")) - (tokens[at].text in ("}", "]"))
        if not depth:
            return tokens[:start], tokens[start + 1 : at], tokens[at].end
    body = tokens[start + 1 :]
    return tokens[:start], body, tokens[-1].end  # cut at the end; the length will tell


def _begins(tokens: list[_Token], at: int) -> bool:
    """Whether the value begins here: a string, a brace, or a bracket that is no type's, name's or word's.

    GDB prints `[Thread debugging using libthread_db enabled]`.
    """
    token = tokens[at]
    if token.kind == "string" or token.text == "{":
        return True
    before = tokens[at - 1] if at else None
    is_index = before is not None and before.kind == "word" and before.text not in ("vec", "bytes")
    after = tokens[at : at + _TYPE]
    closing = next((n for n, later in enumerate(after) if later.text in ("]", ";", "}")), None)
    is_type = closing is not None and (
        after[closing].text == ";"
        or any(later.text in _WIDTHS for later in after[closing + 1 : closing + 2])
    )
    is_prose = len(after) > 1 and after[1].kind == "word" and not _is_hex(after[1].text)
    return token.text == "[" and not is_index and not is_type and not is_prose


def _run_of_strings(tokens: list[_Token]) -> list[_Token]:
    """Strings one after the other, GDB's repeats and dots among them."""
    run = []
    for token in tokens:
        if token.kind in ("string", "repeats", "dots") or token.text == ",":
            run.append(token)
        elif token.kind != "word" and token.text not in ("\\", "+"):
            break
    return run


def _from_hex(body: list[_Token]) -> Literal:
    text = "".join(token.text.strip("\"'") for token in body if token.kind == "string")
    try:
        return Literal(bytes.fromhex(text), "bytes.fromhex of Python")
    except ValueError:
        raise DecodeError(
            f"line {body[0].line}: {brief(text)} found, hex digits expected"
        ) from None


# --- Strings --------------------------------------------------------------------------------------


def _string(body: list[_Token], size: int) -> Literal:
    data = bytearray()
    last = b""
    for token in body:
        if token.kind == "repeats":
            data += last * (_times(token, len(data)) - 1)
        elif token.kind == "dots":
            raise DecodeError(
                f"line {token.line}: '...' found, the whole string expected: it is cut there"
            )
        elif token.kind == "string":
            last = _unescaped(token)
            data += last
        elif token.text != ",":
            raise DecodeError(f"line {token.line}: {brief(token.text)} found, a string expected")
    if len(data) + 1 == size and body[0].text[0] not in "bB":
        return Literal(
            bytes(data) + b"\0",
            "a string of C",
            ("the NUL at its end is added: C and GDB do not show it",),
        )
    return Literal(bytes(data), STRING)


def _unescaped(token: _Token) -> bytes:
    quote = token.text[-1]
    start = token.text.index(quote)
    prefix, inner = token.text[:start].lower(), token.text[start + 1 : -1]
    # C and GDB print letters beyond ASCII as UTF-8; bytes of Python and Rust have none.
    charset = "ascii" if "b" in prefix else "utf-8"
    if "r" in prefix:
        return _encoded(inner, charset, token.line)
    data = bytearray()
    at = 0
    for match in _ESCAPE.finditer(inner):
        data += _encoded(inner[at : match.start()], charset, token.line)
        at = match.end()
        data += _escaped(match, token.line)
    return bytes(data + _encoded(inner[at:], charset, token.line))


def _escaped(match: re.Match[str], line: int) -> bytes:
    digits, octal, newline, letter = match.groups()
    if digits:
        return bytes.fromhex(digits)
    if octal:
        if int(octal, 8) > 0xFF:
            raise DecodeError(f"line {line}: \\{octal} found, at most \\377 expected")
        return bytes([int(octal, 8)])
    if newline:
        return b""
    if letter not in _ESCAPES:
        raise DecodeError(
            f"line {line}: '\\{letter}' found, \\x and two digits or another escape expected"
        )
    return bytes([_ESCAPES[letter]])


def _encoded(text: str, charset: str, line: int) -> bytes:
    try:
        return text.encode(charset)
    except UnicodeEncodeError as error:
        raise DecodeError(
            f"line {line}: {text[error.start]!r} found in a string of bytes, ASCII or an escape expected"
        ) from None


# --- Arrays ---------------------------------------------------------------------------------------


def _elements(head: list[_Token], body: list[_Token], size: int) -> Literal:
    """The bytes of an array's elements, which `head` may give a type and a number."""
    values = _numbers_of(body)
    notes: list[str] = []
    texts = [_bare(token.text) for token in values]
    base = _base(texts)
    is_doubtful = base == 10 and not head and any(len(text) > 1 for text in texts)
    is_doubtful = is_doubtful and all(_is_hex(text) for text in texts)
    if is_doubtful:
        notes.append("read as decimal numbers; nothing tells, they might be hex digits of bytes")
    parsed = [_number(token, text, base) for token, text in zip(values, texts, strict=True)]
    width = _width(head, texts, parsed, base, size)
    data = bytearray()
    for token, value in zip(values, parsed, strict=True):
        try:
            data += value.to_bytes(width, "little", signed=value < 0)
        except OverflowError:
            expected = f"an element of {count_of(width, 'byte')} expected"
            raise DecodeError(f"line {token.line}: {brief(token.text)} found, {expected}") from None
    if (whole := _declared(head)) and len(values) < whole:
        data += bytes((whole - len(values)) * width)
        notes.append(f"{len(values)} of {whole} elements are shown, the others are zero")
    return Literal(
        bytes(data),
        other=bytes(int(text, 16) for text in texts) if is_doubtful else b"",
        form=f"an array of {count_of(len(data) // width, 'element')} of {count_of(width, 'byte')}",
        notes=tuple(notes),
    )


def _numbers_of(body: list[_Token]) -> list[_Token]:
    """The numbers of an array, as often as it says; at least one. Raises DecodeError."""
    values: list[_Token] = []
    for token in body:
        if token.kind == "repeats":
            if not values:
                raise DecodeError(
                    f"line {token.line}: {token.text} found, an element expected before"
                )
            values += values[-1:] * (_times(token, len(values)) - 1)
        elif token.kind == "dots":
            raise DecodeError(
                f"line {token.line}: '...' found, every element expected: it is cut there"
            )
        elif token.kind == "number" or (token.kind == "word" and _is_hex(token.text)):
            values.append(token)
        elif token.kind == "word" or token.text not in (",", ";", "(", ")"):
            raise DecodeError(f"line {token.line}: {brief(token.text)} found, a number expected")
    if not values:
        raise DecodeError("line 1: no element found, numbers expected")
    return values


def _times(token: _Token, before: int) -> int:
    """How often GDB says that an element stands; `before`: how many elements are there already."""
    times = token.text.split()[1]
    if len(times) > len(str(_MOST)) or before + int(times) > _MOST:
        raise DecodeError(
            f"line {token.line}: {brief(token.text)} found, at most {_MOST} elements expected"
        )
    return int(times)


def _is_hex(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-fA-F]{1,2}", text))


def _bare(text: str) -> str:
    """A number without its suffix: 0x61u8, 97UL."""
    return re.sub(r"(?<=[0-9a-fA-F])_?(?:[ui](?:8|16|32|64)|[uUlL]{1,3})$", "", text).replace(
        "_", ""
    )


def _base(texts: list[str]) -> int:
    """0 for what C, Rust and Python write; 16 for Rust's {:02x?}, which has no 0x."""
    if any(text.lower().lstrip("-").startswith("0x") for text in texts):
        return 0
    bare_hex = [
        text
        for text in texts
        if set(text.lower()) & set("abcdef") or (len(text) > 1 and text[0] == "0")
    ]
    if bare_hex and all(_is_hex(text) for text in texts):
        return 16
    return 10


def _number(token: _Token, text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise DecodeError(
            f"line {token.line}: {brief(token.text)} found, a number expected"
        ) from None


def _width(head: list[_Token], texts: list[str], values: list[int], base: int, size: int) -> int:
    """Bytes of an element."""
    types = [token.text for token in head if token.text in _WIDTHS]
    if types:  # unsigned and int only where no other word says more
        return _WIDTHS[next((name for name in types if name not in ("unsigned", "int")), "int")]
    if base == 16:
        return 1
    largest = max((abs(value).bit_length() + 7) // 8 for value in values)
    written = {len(text.lstrip("-")) - 2 for text in texts} if base == 0 else set()
    if len(written) == 1 and (digits := written.pop()) in (2, 4, 8, 16):
        return digits // 2  # padded to their width
    fitting = [width for width in (1, 2, 4, 8) if width >= largest and width * len(values) == size]
    if fitting:
        return fitting[0]
    if largest <= 1:
        return 1
    raise DecodeError(
        f"line 1: elements of different widths found, up to {largest} bytes; the type of the array"
        " or as many digits in each expected"
    )


def _declared(head: list[_Token]) -> int:
    """The number of elements that drgn's type names, `(u8 [16])`; 0 for others."""
    texts = [token.text for token in head]
    if "=" in texts:
        return 0
    for at, text in enumerate(texts):
        if (
            text == "["
            and texts[at + 1 : at + 2]
            and texts[at + 1].isdigit()
            and texts[at + 2] == "]"
        ):
            return int(texts[at + 1])
    return 0
