"""Invariant: a host can carry out every request that the rules of exits accept, and touches nothing that
the page does not offer; the rules accept every page that the builder makes; an answer obeys the rules.

The first bytes choose an exit and right arguments for it. The builder makes a page from them. The next
bytes choose what goes wrong: the place of the scratch area, an argument at an edge, the header of a page
list. Then masks and words say which fields get other values, which valid bits change, and what the buffer
holds. `host` carries the page out, and what it did is compared with what the declarations ask for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from vmgexit.rules import exits as exit_rules
from vmgexit.schema import Field, Kind
from vmgexit.wire.exit import Exit, Where
from vmgexit.wire.exit_codes import ExitCode, Status
from vmgexit.wire.exits import exits, find_exit
from vmgexit.wire.ghcb import BUFFER_SIZE, GhcbPage
from vmgexit.wire.page_state import HEADER_SIZE, PscEntry, PscHeader, PscResult

from ...inputs.messages import Leaf, Messages, fields_of
from ..base import Finding, Target
from .expected import ASKED, GPA, pages_asked, start_of
from .host import UNLIMITED, Breach, Effect, GhcbHost, SharedPage

ROUNDS = 3  # of a page state change that the host does not finish at once
BUDGETS = (UNLIMITED, 1, 3, 600)

# Each of these is chosen by a byte from here on; below, it leaves the page alone.
AMISS = 0xC0
PLACES = (
    *(0x000, 0x7F0, 0x7F8, 0x7FF, 0x801, 0x808, 0xFE0, 0xFE8),  # of the scratch area in the page
    *(0xFEC, 0xFEE, 0xFEF, 0xFF0, 0xFF8, 0xFFF, 0x1000, 0x1800),
)
NUDGED = ("sw_exit_info_1", "sw_exit_info_2", "rax", "rbx")
NUDGES: tuple[Callable[[int], int], ...] = (
    lambda value: 0,
    lambda value: value + 1,
    lambda value: value - 1,
    lambda value: 2 * value,
    lambda value: value + 0x800,
    lambda value: value ^ 1 << 63,
    lambda value: 4 * value + 1,
    lambda value: -1,
)
HEADERS = (  # current and last entry of a page list
    *((0, 0), (0, 1), (0, 2), (1, 1), (1, 0), (2, 2)),
    *((0, 251), (0, 252), (252, 252), (0, 253), (253, 253), (0, 0xFFFF), (0xFFFF, 0xFFFF)),
)
_CHOICES = 6  # exit, arguments, budget, scratch area, nudge, header: a byte each

# Then the masks of what is replaced and of what is toggled, and the words.
WORDS = (
    "sw_exit_info_1",
    "sw_exit_info_2",
    "sw_scratch",
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "xcr0",
    "sw_exit_code",
    "cpl",
    "rsi",
    "protocol_version",
    "ghcb_usage",
)
_NEAR = 0x2000  # scratch addresses below are counted from the page's own
_BUFFER = 15  # the bit that says that the buffer is replaced
_HEAD = struct.Struct(f"<{_CHOICES}B2H{len(WORDS)}Q")
TOGGLED = [name for name in WORDS if name not in ("protocol_version", "ghcb_usage")]


@cache
def _codes() -> tuple[int, ...]:
    """What there is to choose from; those with rules of their own more often."""
    return tuple(
        int(row.code)
        for row in exits()
        if row.where is Where.GHCB
        for _ in range(4 if row.code in exit_rules._CHECKS else 1)
    )


def _row(code: int) -> Exit:
    row = find_exit(code)
    assert row is not None
    return row


def chosen(data: bytes) -> tuple[int, int]:
    """The exit that an input is about, and the number of its example."""
    which, arguments = data[:2].ljust(2, b"\0")
    code = _codes()[which % len(_codes())]
    return code, arguments % examples(code)


def examples(code: int) -> int:
    """How many examples an exit has."""
    return len(_row(code).examples)


def page_of(data: bytes) -> tuple[GhcbPage, bool]:
    """The page of an input, and whether it is just as the builder made it."""
    code, arguments = chosen(data)
    page = GhcbPage.decode(_right(code, arguments))
    changed = changed_by(data, page)
    return (page, False) if changed else (_built(code, arguments), True)


def changed_by(data: bytes, page: GhcbPage) -> bool:
    """Change a page as an input says; whether anything was to be changed."""
    code = page.sw_exit_code
    head = _HEAD.unpack(data[: _HEAD.size].ljust(_HEAD.size, b"\0"))
    _, _, _, place, nudge, header, replaced, toggled = head[: _CHOICES + 2]
    as_built = not (replaced or toggled)
    if place >= AMISS and page.is_valid("sw_scratch"):
        as_built = False
        page.sw_scratch = GPA + PLACES[place % len(PLACES)]
        start = max(start_of(page), 0)
        page.shared_buffer = (bytes(start) + page.shared_buffer)[:BUFFER_SIZE]
    if nudge >= AMISS:
        as_built = False
        name = NUDGED[nudge % 4]
        value = NUDGES[nudge >> 2 & 7](getattr(page, name))
        setattr(page, name, value & (1 << 64) - 1)
    if header >= AMISS and code == ExitCode.SNP_PAGE_STATE_CHANGE:
        as_built = False
        current, last = HEADERS[header % len(HEADERS)]
        _overwrite(page, PscHeader(cur_entry=current, end_entry=last).encode())
    for number, (name, value) in enumerate(zip(WORDS, head[_CHOICES + 2 :], strict=True)):
        if replaced >> number & 1:
            bits = page.declaration[name].width
            if name == "sw_scratch" and value < _NEAR:
                value += GPA
            setattr(page, name, value & (1 << bits) - 1)
    for number, name in enumerate(TOGGLED):
        if toggled >> number & 1:
            page.mark(name, not page.is_valid(name))
    if replaced >> _BUFFER & 1:
        _overwrite(page, data[_HEAD.size :])
    return not as_built


def _built(code: int, arguments: int) -> GhcbPage:
    asked = _row(code).examples[arguments]
    return GhcbPage.for_exit(
        code, asked.info1, asked.info2, gpa=GPA, buffer=asked.data, **asked.fields
    )


@cache
def _right(code: int, arguments: int) -> bytes:
    """What the builder makes, to be changed: building takes as long as all the rest."""
    return _built(code, arguments).encode()


def _overwrite(page: GhcbPage, data: bytes) -> None:
    """Put data into the buffer where the scratch area is; else where the buffer begins."""
    start = start_of(page) if 0 <= start_of(page) < BUFFER_SIZE else 0
    page.write_buffer(data[: BUFFER_SIZE - start], start)


def _name(page: GhcbPage) -> str:
    row = find_exit(page.sw_exit_code)
    return row.name if row else "unknown exit"


def _is_an_answer(name: str, page: GhcbPage, after: GhcbPage) -> None:
    """The page holds an answer that breaks no rule, with what the exit returns."""
    if not after.is_answer:
        raise Finding(f"{name} is answered by no answer")
    for problem in exit_rules.problems_of_answer(after, page):
        raise Finding(f"the answer to {name} is wrong", f"the answer to {name}: {problem}")


def _is_unfinished(page: GhcbPage, after: GhcbPage) -> bool:
    if page.sw_exit_code != ExitCode.SNP_PAGE_STATE_CHANGE:
        return False
    if after.sw_exit_info_1 or after.sw_exit_info_2:
        return False
    start = start_of(page)
    return not PscHeader.decode(after.shared_buffer[start : start + HEADER_SIZE]).done


def _as_asked(
    name: str, page: GhcbPage, after: GhcbPage, effects: list[Effect], budget: int
) -> None:
    buffer, result = page.shared_buffer, PscResult()
    if page.sw_exit_code == ExitCode.SNP_PAGE_STATE_CHANGE:
        expected, buffer, result = pages_asked(page, budget)
    elif page.sw_exit_code in ASKED:
        effect = ASKED[page.sw_exit_code](page)
        expected = [effect] if effect else []
    else:
        return
    if effects != expected:
        message = f"{name}: asked for {_listed(expected)}, done {_listed(effects)}"
        raise Finding(f"{name} is carried out otherwise", message)
    if page.sw_exit_code != ExitCode.SNP_PAGE_STATE_CHANGE:
        return
    if after.shared_buffer != buffer:
        raise Finding(
            f"{name} is left otherwise", f"{name}: the buffer is not left as it should be"
        )
    if after.sw_exit_info_2 != int(result):
        raise Finding(
            f"{name} is answered otherwise",
            f"{name}: {after.sw_exit_info_2:#x} answered, {int(result):#x} expected",
        )


def _listed(effects: list[Effect]) -> str:
    return "; ".join(str(effect) for effect in effects[:6]) or "nothing"


# --- for mutation -----------------------------------------------------------------------------------

_REPLACED_AT = 8 * _CHOICES
_TOGGLED_AT = _REPLACED_AT + 16
_WORDS_AT = _CHOICES + 4


@cache
def _leaves(code: int) -> tuple[Leaf, ...]:
    return tuple(_leaves_of(code))


def _leaves_of(code: int) -> Iterator[Leaf]:
    """The words, by their layouts where they have one; what the buffer holds; the valid bits."""
    row = _row(code)
    for number, name in enumerate(WORDS):
        switch, at = _REPLACED_AT + number, _WORDS_AT + 8 * number
        yield Leaf(GhcbPage.declaration[name], 8 * at, switch)
    for number in range(len(TOGGLED)):
        yield Leaf(Field(Kind.FLAG, 1, ""), _TOGGLED_AT + number)
    for number, layout in enumerate((row.info1.layout, row.info2.layout)):
        if layout is not None:
            for leaf in fields_of(layout, _WORDS_AT + 8 * number):
                yield Leaf(leaf.field, leaf.at, _REPLACED_AT + number)
    if row.buffer:
        switch, at = _REPLACED_AT + _BUFFER, _HEAD.size
        kinds = (PscHeader, *[PscEntry] * 6)
        for number, kind in enumerate(kinds):
            for leaf in fields_of(kind, at + 8 * number):
                yield Leaf(leaf.field, leaf.at, switch)


class GhcbExit(Messages, Target):
    """One page, which a host carries out."""

    head = _CHOICES

    def fields(self, data: bytes) -> Sequence[Leaf]:
        """The words, the buffer and the valid bits, as the exit of an input reads them."""
        return _leaves(chosen(data)[0])

    def message(self, data: bytes) -> tuple[str, bytes]:
        return "ghcb", page_of(data)[0].encode()

    def run(self, data: bytes) -> int:
        page, as_built = page_of(data)
        host = GhcbHost(GPA, BUDGETS[data[2] % len(BUDGETS)] if len(data) > 2 else UNLIMITED)
        name = _name(page)
        refused = f"the builder's {name} is refused"
        for problem in page.problems() if as_built else ():
            raise Finding(refused, f"the builder's {name}: {problem}")
        rounds = 0
        while rounds < ROUNDS:
            rounds += 1
            shared = SharedPage(page.encode())
            try:
                request = host.exit(shared)
            except Breach as breach:
                raise Finding(f"{name}: {breach.cause}", f"{name}: {breach}") from None
            after = GhcbPage.decode(bytes(shared.memory))
            if after.sw_exit_info_1 == Status.DONE:
                _as_asked(name, page, after, request.effects, host.budget)
            elif as_built:
                words = f"{after.sw_exit_info_1}, {after.sw_exit_info_2}"
                raise Finding(refused, f"the builder's {name} is answered {words}")
            _is_an_answer(name, page, after)
            if not _is_unfinished(page, after):
                break
            page.shared_buffer = after.shared_buffer
        return rounds

    def show(self, data: bytes) -> str:
        """The page, field by field, and what it breaks."""
        page, _ = page_of(data)
        broken = "".join(f"\n   {problem}" for problem in page.problems())
        return f"{self.read(data)}{broken}"

    def read(self, data: bytes) -> str:
        """The exit and the fields of its page that are not 0."""
        page, as_built = page_of(data)
        valid = ", ".join(page.valid_fields())
        built = " as the builder makes it" if as_built else ""
        rest = {name: hex(getattr(page, name)) for name in WORDS if getattr(page, name)}
        start = next((at for at, byte in enumerate(page.shared_buffer) if byte), 0)
        buffer = page.shared_buffer[start : start + 64].rstrip(b"\0").hex(" ")
        return (
            f"{_name(page)}{built}\n   valid: {valid}\n   "
            + ", ".join(f"{name} {value}" for name, value in rest.items())
            + f"\n   buffer from {start:#x}: {buffer}"
        )
