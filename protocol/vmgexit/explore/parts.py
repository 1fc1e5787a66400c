"""A vCPU in parts, and the parts that each step reads and writes.

`PARTS` cuts the state of one vCPU, with its account in the ledger, into pieces that lie beside each other;
the registration count of the VM is one more. `STEPS` says which of them a step looks at and which it
changes, the invariants after it included. So a step that was made once is known for every state that has
the same values there. `steps` asserts what is written; tests run each step on states that differ elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from ..descriptions import Command
from ..machine.quirks import Quirks
from ..machine.rules import entry, host
from ..machine.vcpu import EVENTS_AT, FLAGS_AT, IRR_WORD, OWN_VECTOR_AT, STATUS_WORD
from ..machine.vm import Vcpu
from ..watch.ledger import Account
from ..wire.apic import ApicCall, ApicRegister
from ..wire.svsm import Protocol
from .freeze import Frozen, freezer, parts, restorer
from .system import Left

# --- parts of a vCPU -------------------------------------------------------------------------------

_WORD = 4
_IRR = IRR_WORD + 1
_PAGE = {
    "signal": (range(OWN_VECTOR_AT, OWN_VECTOR_AT + 1), range(FLAGS_AT, FLAGS_AT + 1)),
    "events": (range(EVENTS_AT, EVENTS_AT + 1),),
    "status": (range(_WORD * STATUS_WORD, _WORD * (STATUS_WORD + 1)),),
    "irr": (range(_WORD * _IRR, _WORD * (_IRR + 7)),),
}
"""The bytes of the doorbell page that are a part, or belong to one."""
_FIELDS = {"signal": ("hv_raised",), "entry": ("entry",), "posting": ("posting",)}
"""The fields of a vCPU that are a part, or belong to one."""
_ELSEWHERE = {"page", *(name for names in _FIELDS.values() for name in names)}
_BODY = frozenset(part.name for part in parts(Vcpu)) - _ELSEWHERE


@dataclass(frozen=True, slots=True)
class Part:
    """How a part is read from a vCPU and its account, and put back. What was read is a value and, apart,
    what makes no two values different."""

    read: Callable[[Vcpu, Account], Frozen]
    put: Callable[[Vcpu, Account, Frozen], None]


def _of_fields(only: frozenset[str], ranges: tuple[range, ...] = ()) -> Part:
    """Some fields of a vCPU, and some bytes of its page."""
    freeze, restore = freezer(Vcpu, only), restorer(Vcpu, only)
    slices = tuple(slice(one.start, one.stop) for one in ranges)

    def read(cpu: Vcpu, account: Account) -> Frozen:
        value, carried = freeze(cpu)
        return (value, *(bytes(cpu.page[one]) for one in slices)), carried

    def put(cpu: Vcpu, account: Account, frozen: Frozen) -> None:
        (value, *held), carried = frozen
        restore(cpu, value, carried)
        for one, data in zip(slices, held, strict=True):
            cpu.page[one] = data

    return Part(read, put)


def _rest_of_the_page() -> Part:
    ranges = [one for named in _PAGE.values() for one in named]

    def read(cpu: Vcpu, account: Account) -> Frozen:
        held = bytearray(cpu.page)
        for one in ranges:
            held[one.start : one.stop] = bytes(len(one))
        return (bytes(held),), ()

    def put(cpu: Vcpu, account: Account, frozen: Frozen) -> None:
        kept = [bytes(cpu.page[one.start : one.stop]) for one in ranges]
        cpu.page[:] = frozen[0][0]
        for one, data in zip(ranges, kept, strict=True):
            cpu.page[one.start : one.stop] = data

    return Part(read, put)


def _body() -> Part:
    """The guest, what the SVSM keeps for it, and the books."""
    freeze, restore = freezer(Vcpu, _BODY), restorer(Vcpu, _BODY)
    freeze_account, restore_account = freezer(Account), restorer(Account)

    def read(cpu: Vcpu, account: Account) -> Frozen:
        (value, carried), (owed, noted) = freeze(cpu), freeze_account(account)
        return (value, owed), (carried, noted)

    def put(cpu: Vcpu, account: Account, frozen: Frozen) -> None:
        (value, owed), (carried, noted) = frozen
        restore(cpu, value, carried)
        restore_account(account, owed, noted)

    return Part(read, put)


PARTS: dict[str, Part] = {
    **{
        name: _of_fields(frozenset(_FIELDS.get(name, ())), _PAGE.get(name, ()))
        for name in ("entry", "posting", "signal", "events", "status", "irr")
    },
    "rest": _rest_of_the_page(),
    "body": _body(),
}
COUNT = "count"
NAMES = (COUNT, *PARTS)
"""The parts in their order; the registration count, which vCPUs share, comes first."""

# --- what each step touches ------------------------------------------------------------------------

Values = tuple[int, ...]
"""A number for the value of each part."""


@dataclass(frozen=True, slots=True)
class Touches:
    """The parts that a step reads, the invariants after it included, and those that it may write.

    `looks_at` picks the values that it reads; `takes_over` gives the values after it, from those before it
    followed by those that it wrote."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    looks_at: Callable[[Values], Any]
    takes_over: Callable[[Values], Values]


def _touches(reads: str, writes: str | None = None) -> Touches:
    """Parts by name; without `writes` a step may write all that it reads."""
    read = tuple(reads.split())
    written = read if writes is None else tuple(writes.split())
    places = (
        len(NAMES) + written.index(name) if name in written else at for at, name in enumerate(NAMES)
    )
    return Touches(read, written, itemgetter(*map(NAMES.index, read)), itemgetter(*places))


STEPS: dict[str, Touches] = {
    "host_begin": _touches("posting"),
    "host read_status": _touches("posting status", "posting"),
    "host put_edge": _touches("posting status"),
    "host put_level": _touches("posting status"),
    "host move_occupant": _touches("posting status"),
    "host set_occupant": _touches("posting status irr"),
    "host set_irr": _touches("posting status irr"),
    "host set_multiple": _touches("posting status"),
    "host set_event": _touches("posting events"),
    "host signal": _touches("posting signal"),
    "host_refuse": _touches("body"),
    "svsm handle_hv": _touches("entry signal body"),
    "svsm swap_events": _touches("entry events body", "entry events"),
    "svsm load_status": _touches("entry status", "entry"),
    "svsm take_nmi": _touches("entry status body"),
    "svsm take_level": _touches("entry status body"),
    "svsm clear_multiple": _touches("entry status body"),
    "svsm take_vector_31": _touches("entry status body"),
    "svsm take_irr": _touches("entry irr body"),
    "svsm take_vector": _touches("entry status body"),
    "svsm take_mailbox": _touches("entry body"),
    "svsm present": _touches("entry body"),
    "svsm test_signal": _touches("entry signal", "entry"),
    "svsm vmgexit": _touches("entry signal events status irr body", "entry body"),
    "svsm vmgexit during a post": _touches("entry signal body", "entry body"),
    "svsm_hv": _touches("entry signal"),
    "svsm cancel": _touches("entry body"),
    "guest": _touches("body"),
    "guest_take": _touches("body"),
    "guest_lazy_eoi": _touches("body"),
    "set_vmsa": _touches("body"),
    "intercept": _touches("signal body"),
    "call": _touches("signal body"),
    "configure": _touches("count signal status irr rest body"),
    "send": _touches("signal body"),
}
"""What each step of the vCPU that makes it touches."""

_BY_COUNT = {
    "svsm cancel": _touches("count entry body", "entry body"),
    "intercept": _touches("count signal body", "signal body"),
}


def steps_of(quirks: Quirks) -> dict[str, Touches]:
    """`STEPS`; with a quirk by which re-injection looks at the registration count, these too."""
    return STEPS | _BY_COUNT if quirks.reinjection_follows_global_count else STEPS


REACHED = _touches("status irr body")
"""What a `send` touches of each other vCPU."""


# --- what still matters ----------------------------------------------------------------------------

_POSTED = {"set_event": {"events", "signal"}, "signal": {"signal"}}
_WHOLE_POST = {"posting", "status", "irr", "events", "signal"}


def still_touched(post_step: str, left: Left) -> set[str]:
    """The parts of a vCPU that its host can still touch: by the post that is before this step, if there is
    one, and by what is left."""
    parts = {"posting", *_POSTED.get(post_step, _WHOLE_POST)} if post_step else set()
    return parts | (_WHOLE_POST if left.posts else set()) | ({"body"} if left.refusals else set())


_STATUS_READ = ("take_nmi", "take_level", "clear_multiple", "take_vector")
_WORD_READ = ("take_vector_31", "take_irr")


def forget(cpu: Vcpu) -> None:
    """Set to zero what no step looks at before it is written again."""
    entry, post, vintr = cpu.entry, cpu.posting, cpu.guest.vintr
    if entry is not None:
        entry.status = entry.status if entry.step in _STATUS_READ else 0
        entry.word = entry.word if entry.step in _WORD_READ else 0
    if post is not None:
        post.status = post.status if post.step in ("put_edge", "put_level", "move_occupant") else 0
        post.occupant = post.occupant if post.step == "set_occupant" else 0
        if post.step in _POSTED or (post.step == "set_multiple" and not post.level):
            post.vector = 0
        if post.step in _POSTED:
            post.level = False
    if not vintr.v_irq:
        vintr.v_intr_vector = vintr.v_intr_prio = 0
        vintr.v_ign_tpr = False


def step_of(command: Command, entry_step: str, post_step: str) -> str:
    """The name in `STEPS` of what a command does to a vCPU whose entry and whose post are before these
    steps."""
    match command["op"]:
        case "svsm_step":
            during = " during a post" if entry_step == "vmgexit" and post_step else ""
            return f"svsm {entry_step}{during}"
        case "host_step":
            return f"host {post_step}"
        case "call" if command["protocol"] == Protocol.APIC:
            if command["request"] == ApicCall.CONFIGURE_EMULATION:
                return "configure"
            if command["request"] == ApicCall.WRITE_REGISTER and command["rcx"] == ApicRegister.ICR:
                return "send"
    return str(command["op"])


assert {f"svsm {name}" for name in entry.STEPS} | {f"host {name}" for name in host.STEPS} <= {
    *STEPS
}
