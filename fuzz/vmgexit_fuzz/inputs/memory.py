"""What programs for `svsm` and `svsm-hostile` are made of: layouts, lists, vCPUs, attestations, the TPM.

A burst is several commands that belong together. Its addresses come from a few pages, so that what is in
use is named again: a list about its own page, a VMSA as an operand. All weights are in `LAYOUTS`,
`CLASSES`, `BURSTS` and `HOSTILE`. `memory_programs` puts bursts together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from vmgexit.descriptions import Command
from vmgexit.machine.commands import call
from vmgexit.wire.attestation import VTPM_GUID, AttestationCall, guid_bytes
from vmgexit.wire.calls import calls
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.page_size import LARGE_PAGE, PAGE
from vmgexit.wire.svsm import CoreCall, Protocol
from vmgexit.wire.vmsa import EFER_SVME
from vmgexit.wire.vtpm import VtpmCall

from . import bursts

# Where things are. Chunks of 2 MiB: pages, a huge page, private pages, a huge private page, the SVSM.
FIRST_AREA, LIST, OPERATION, NONCE, REPORT, MANIFEST, CERTIFICATES = (
    0x8000, 0x9000, 0x10000, 0x11000, 0x20000, 0x21000, 0x22000,
)  # fmt: skip
PAGES = tuple(range(0x30000, 0x36000, PAGE))
LEGACY = (0xA0000, 0xB8000, 0xFF000)
HUGE, PRIVATE, HUGE_PRIVATE, SVSM, END = 0x200000, 0x400000, 0x600000, 0x800000, 0x1000000
CHUNKS = (0, HUGE, PRIVATE, HUGE_PRIVATE)
ELSEWHERE = 0x5000000
"""System pages that back no page at first."""

OWN = (FIRST_AREA, LIST, OPERATION, NONCE, REPORT, MANIFEST)
ODD = (
    0, SVSM, SVSM + PAGE, SVSM + 3 * PAGE, SVSM + LARGE_PAGE, END - PAGE, END, 0x4000000,
    0xFFFFFFFFF000, (1 << 52) - PAGE, (1 << 64) - PAGE, (1 << 64) - 2 * PAGE,
)  # fmt: skip
"""Pages that are no guest's, and those beside them; the last ones wrap."""

CLASSES: tuple[tuple[tuple[int, ...], int], ...] = (
    (PAGES, 10),
    (OWN, 3),
    (LEGACY, 3),
    ((PRIVATE, PRIVATE + PAGE, HUGE_PRIVATE), 3),
    ((HUGE, HUGE + PAGE), 2),
    (ODD, 2),
)
"""Pages to name, by what they are, and how often."""

FEATURES = 0x11
"""SEV_FEATURES of every VMSA: SNP, and Alternate Injection, which counts where the SVSM emulates APICs."""
_SINGLE, _ALL = AttestationCall.ATTEST_SINGLE_SERVICE, AttestationCall.ATTEST_SERVICES
_INVALID, _VALID, _IGNORE_CF, _LARGE = 0, 4, 8, 1
_ANSWER_LENGTH = 0x20000001  # of the TPM: as many bytes as asked for


class Pick(random.Random):
    """Choices for one burst. Of `PAGES` it names `pages` alone, two or more."""

    pages: Sequence[int] = PAGES


Burst = Callable[[Pick, int], list[Command]]
Held = TypeVar("Held")


class Weighed(Generic[Held]):
    """Things of which one is picked, each as often as its weight says."""

    def __init__(self, *pairs: tuple[Held, int]) -> None:
        self.held = [held for held, _ in pairs]
        self.up_to = list(accumulate(weight for _, weight in pairs))

    def one(self, pick: random.Random) -> Held:
        """One of them."""
        return pick.choices(self.held, cum_weights=self.up_to)[0]


_CLASSES = Weighed(*CLASSES)


def page(pick: Pick) -> int:
    """A page to name."""
    pages = _CLASSES.one(pick)
    return pick.choice(pick.pages if pages is PAGES else pages)


def address(pick: Pick) -> int:
    """Mostly a page, now and then an address within one."""
    return page(pick) + pick.choice((0,) * 12 + (8, 16, 0xFF8, 0xFC0, 1)) & (1 << 64) - 1


# --- layouts -----------------------------------------------------------------------------------------

_USUAL = [
    [0, LARGE_PAGE, "valid", 0x11],
    [HUGE, LARGE_PAGE, "huge-valid", 0x22],
    [PRIVATE, LARGE_PAGE, "private", 0x33],
    [HUGE_PRIVATE, LARGE_PAGE, "huge-private", 0x44],
]
LAYOUTS: dict[str, tuple[list[list[Any]], int]] = {
    "one chunk of each kind": (_USUAL, 6),
    "all valid": ([[0, SVSM, "valid", 0x55]], 3),
    "some pages private or shared": (
        [*_USUAL, [PAGES[1], PAGE, "private", 1], [PAGES[2], PAGE, "shared", 2]], 2,
    ),
    "the legacy range private": ([*_USUAL, [0xA0000, 0x60000, "private", 0x66]], 2),
}  # fmt: skip
"""Pages at first, and how often."""
_LAYOUTS = Weighed(*LAYOUTS.values())


def layout(pick: random.Random) -> Command:
    """An `init` with memory."""
    pages = _LAYOUTS.one(pick)
    made: Command = {
        "op": "init",
        "cpus": pick.choice((1, 2, 2, 3)),
        "memory": pick.choice(([[0, END]], [[0, END]], [[0, PRIVATE], [PRIVATE, END - PRIVATE]])),
        "svsm": [SVSM, LARGE_PAGE],
        "caa": FIRST_AREA,
        "sev_features": FEATURES,
        "npf": pick.choice(("assign", "assign", "stop")),
        "unvalidated": pick.choice(("input", "vc")),
        "pages": pages,
    }
    if pick.random() < 0.5:
        made["reg_count"] = pick.choice((1, 2, 0))
    return made


# --- what guests do ----------------------------------------------------------------------------------


def _core(cpu: int, number: int, rcx: int = 0, rdx: int = 0, r8: int = 0) -> Command:
    return call(cpu, number, rcx, rdx, r8, protocol=Protocol.CORE)


def _write(at: int, data: bytes) -> Command:
    return {"op": "write", "gpa": at & (1 << 52) - 1, "hex": data.hex(), "by": 2}


def _words(*values: int, size: int = 8) -> bytes:
    return b"".join(value.to_bytes(size, "little") for value in values)


def entry(pick: Pick) -> int:
    action = pick.choice((_INVALID, _VALID)) | pick.choice((0, 0, _IGNORE_CF))
    if pick.random() < 0.2:
        return int(pick.choice(CHUNKS)) | action | _LARGE
    entry = page(pick) | action
    return entry | pick.choice((0x10, 0x800, 2, 3)) if pick.random() < 0.05 else entry


def _pvalidate(
    cpu: int, *entries: int, count: int | None = None, following: int = 0
) -> list[Command]:
    """A list of entries and the call that does it."""
    header = len(entries) if count is None else count
    held = _words(header, following, size=2) + bytes(4) + _words(*entries)
    return [_write(LIST, held), _core(cpu, CoreCall.PVALIDATE, LIST)]


def _list(pick: Pick, cpu: int) -> list[Command]:
    """A list, now and then one that is not what its header says, or of another place."""
    entries = [entry(pick) for _ in range(pick.choice((1, 1, 2, 3, 5)))]
    made = _pvalidate(cpu, *entries)
    if pick.random() < 0.15:
        count, following = pick.choice((0, 1, 3, 510, 511)), pick.choice((0, 1, 2, 509, 510))
        made = _pvalidate(cpu, *entries, count=count, following=following)
    if pick.random() < 0.1:
        made[-1] = _core(cpu, CoreCall.PVALIDATE, address(pick))
    if pick.random() < 0.2:
        made.append(made[-1])  # goes on where it was refused
    return made


def _back_and_forth(pick: Pick, cpu: int) -> list[Command]:
    """One page made invalid and valid, more often than it changes."""
    at = page(pick)
    actions = pick.choices((_INVALID, _VALID, _INVALID | _IGNORE_CF, _VALID | _IGNORE_CF), k=3)
    return [one for action in actions for one in _pvalidate(cpu, at | action)]


def _own_list(pick: Pick, cpu: int) -> list[Command]:
    """A list that is about the page it is in."""
    action = pick.choice((_INVALID, _VALID | _IGNORE_CF, _VALID, _INVALID | _IGNORE_CF))
    return _pvalidate(cpu, LIST | action, entry(pick))


def _long_list(pick: Pick, cpu: int) -> list[Command]:
    """As many entries as a page has room for, and one more; all but the first are of one kind. Mostly the
    last ones alone are left to do."""
    count, following = pick.choice((510, 510, 511)), pick.choice((0, 500, 507, 508, 509, 509))
    last = pick.choice((PAGES[0] | _VALID | _IGNORE_CF, PRIVATE | _VALID | _IGNORE_CF))
    return _pvalidate(cpu, entry(pick), *[last] * 509, count=count, following=following)


def _given_up(pick: Pick, cpu: int) -> list[Command]:
    """A page is made invalid, and then named as an operand."""
    at = pick.choice(pick.pages)
    using: Command = pick.choice(
        (
            _core(cpu, CoreCall.REMAP_CA, at),
            _core(cpu, CoreCall.PVALIDATE, at),
            call(cpu, VtpmCall.COMMAND, at, protocol=Protocol.VTPM),
            call(cpu, _SINGLE, at, protocol=Protocol.ATTESTATION),
            _core(cpu, CoreCall.CREATE_VCPU, PAGES[0], at, pick.randrange(3)),
        )
    )
    state = [_vmsa(pick, PAGES[0])] if using["request"] == CoreCall.CREATE_VCPU else []
    return [*state, *_pvalidate(cpu, at), using]


def _vmsa(pick: Pick, at: int) -> Command:
    made: Command = {
        "op": "vmsa", "gpa": at & (1 << 52) - 1, "by": 2, "vmpl": 2, "efer": EFER_SVME,
        "sev_features": FEATURES,
    }  # fmt: skip
    if pick.random() < 0.15:
        made |= pick.choice(({"efer": 0}, {"vmpl": 1}, {"sev_features": 0}))
    if pick.random() < 0.4:
        made |= {"exit_code": int(ExitCode.VMGEXIT), "rax": pick.choice((6, 7)), "rcx": 1}
    return made


def _create(pick: Pick, cpu: int) -> list[Command]:
    """A vCPU in a new VMSA; its calling area may have a call in it."""
    at = pick.choice(pick.pages) if pick.random() < 0.85 else page(pick)
    area = pick.choice(pick.pages) if pick.random() < 0.85 else page(pick)
    made = [_vmsa(pick, at), _core(cpu, CoreCall.CREATE_VCPU, at, area, pick.choice((0, 1, 1, 2)))]
    if pick.random() < 0.05:
        made[-1] |= {"rcx": at + pick.choice((8, 1)), "rdx": area}
    if pick.random() < 0.3:
        made.insert(1, _write(area, b"\1"))
    return made


def _vcpu(pick: Pick, cpu: int) -> list[Command]:
    """A vCPU is created, calls, runs, and is replaced or deleted."""
    other, at, area = pick.choice((1, 1, 0, 2)), *pick.sample(pick.pages, 2)
    query = _core(other, CoreCall.QUERY_PROTOCOL, 1)
    made = [_vmsa(pick, at), _core(cpu, CoreCall.CREATE_VCPU, at, area, other), query]
    if pick.random() < 0.4:
        made.append({"op": "run", "cpu": other, "on": True})
    if pick.random() < 0.5:
        made += _create(pick, cpu)
    if pick.random() < 0.5:
        made.append(_core(cpu, CoreCall.DELETE_VCPU, at + pick.choice((0,) * 9 + (8,))))
    return [*made, query]


def _vcpus(pick: Pick, cpu: int) -> list[Command]:
    """vCPUs are created, one after the other, as a guest starts its own."""
    made = []
    for at in pick.sample(PAGES, pick.randint(2, len(PAGES))):
        area, other = at + len(PAGES) * PAGE, pick.choice((0, 0, 1, 2))
        made += [_vmsa(pick, at), _core(cpu, CoreCall.CREATE_VCPU, at, area, other)]
    return made


def _refused_create(pick: Pick, cpu: int) -> list[Command]:
    """VMPL 3 has some right on a page that is refused as a VMSA."""
    at, area = pick.sample(pick.pages, 2)
    right: Command = {"op": "adjust", "gpa": at, "vmpl": 3, "perms": pick.choice((1, 3, 15))}
    state = _vmsa(pick, at) | {"efer": pick.choice((0, EFER_SVME))}
    return [right, state, _core(cpu, CoreCall.CREATE_VCPU, at, area, pick.choice((1, 1, 9)))]


def _remap_area(pick: Pick, cpu: int) -> list[Command]:
    """The calling area moves: to another page, to where it is, to where one was."""
    at = pick.choice((FIRST_AREA, FIRST_AREA, pick.choice(pick.pages), address(pick)))
    return [_core(cpu, CoreCall.REMAP_CA, at)]


def _delete(pick: Pick, cpu: int) -> list[Command]:
    return [_core(cpu, CoreCall.DELETE_VCPU, pick.choice((*pick.pages, SVSM + PAGE)))]


def _operation(pick: Pick) -> bytes:
    """Where an attestation finds and puts things; mostly where it can."""
    odd, certificates = pick.random() < 0.35, pick.choice((0, 0, PAGE, 4 * PAGE))
    at = [REPORT, NONCE, MANIFEST, CERTIFICATES]
    sizes = [PAGE, 64, PAGE, certificates]
    if odd:
        which = pick.randrange(4)
        if pick.random() < 0.7:
            at[which] = pick.choice((address(pick), REPORT, END, (1 << 64) - PAGE))
            if at[which] + PAGE >= 1 << 64:  # or its end would wrap
                sizes[which] = pick.choice((64, 0x4A0, 0xFFF))
        else:
            sizes[which] = pick.choice((0, 64, 0x4A0, 0xFFF, PAGE, 4 * PAGE, 5 * PAGE))
    return (
        _words(at[0]) + _words(sizes[0], 0, size=4)
        + _words(at[1]) + _words(sizes[1], 0, size=4)
        + _words(at[2]) + _words(sizes[2], 0, size=4)
        + _words(at[3]) + _words(sizes[3], 0, size=4)
        + guid_bytes(VTPM_GUID) + bytes(8)
    )  # fmt: skip


_NONCES = 64  # different ones, so that a report is not signed anew for each
_ERRORS = tuple(kind << 32 for kind in (1, 1, 2, 2, 16))
HONEST_ANSWERS: tuple[Any, ...] = (
    "ok", "ok", {"status": 0}, {"status": 22}, *({"err": one, "rbx": 3} for one in _ERRORS),
)  # fmt: skip
LIES: tuple[Any, ...] = (
    "invalid", "invalid", "stale", "tamper", "size", {"err": 1 << 32, "rbx": (1 << 64) - 1},
)  # fmt: skip


def _prepared(pick: Pick, answers: tuple[Any, ...]) -> Command:
    made: Command = {"op": "psp", "answers": pick.choices(answers, k=pick.randint(1, 2))}
    if pick.random() < 0.3:
        made["certs"] = [pick.choice((0, 1, 2, 4, 5)), 0xCE, pick.random() < 0.8]
    return made


def _attest(pick: Pick, cpu: int, answers: tuple[Any, ...] = HONEST_ANSWERS) -> list[Command]:
    """Attestations, each for a nonce of its own; the host may have prepared answers."""
    made = [_write(OPERATION, _operation(pick))]
    for _ in range(pick.choice((1, 1, 2, 3))):
        made.append(_write(NONCE, bytes([pick.randrange(1, _NONCES)]) * 24))
        if pick.random() < 0.4:
            made.append(_prepared(pick, answers))
        request = pick.choice((_SINGLE, _SINGLE, _SINGLE, _ALL, 2))
        at = OPERATION if pick.random() < 0.9 else address(pick)
        made.append(call(cpu, request, at, protocol=Protocol.ATTESTATION))
    return made


def _tpm(pick: Pick, cpu: int) -> list[Command]:
    """A command of the TPM, short or with a response around the size of the buffer."""
    code = pick.choice((0x144, 0x17B, 0x20000002, _ANSWER_LENGTH, _ANSWER_LENGTH))
    more = pick.choice((b"", b"\xaa" * 20))
    if code == _ANSWER_LENGTH:
        more = pick.choice((0, 16, 4092, 4093, 4096, 4097)).to_bytes(2, "big")
    command = b"\x80\x01" + (10 + len(more)).to_bytes(4, "big") + code.to_bytes(4, "big") + more
    size = pick.choice((len(command),) * 6 + (0, 5, 4087, 4088))
    platform, locality = pick.choice((8,) * 9 + (7,)), pick.choice((0,) * 9 + (1,))
    held = _words(platform, size=4) + bytes([locality]) + _words(size, size=4) + command
    at = OPERATION if pick.random() < 0.8 else address(pick)
    request = pick.choice((VtpmCall.COMMAND,) * 8 + (VtpmCall.QUERY, 2))
    return [_write(at, held), call(cpu, request, at, protocol=Protocol.VTPM)]


def _any_calls(pick: Pick, cpu: int) -> list[Command]:
    """Calls of every protocol, and some unknown ones."""
    made = []
    for _ in range(pick.randint(1, 3)):
        known = pick.choice(calls())
        number = known.number + pick.choice((0, 0, 0, 1, 0x100))
        rcx, rdx, r8 = address(pick), address(pick), pick.choice((0, 1, 2, address(pick)))
        made.append(call(cpu, number, rcx, rdx, r8, protocol=known.protocol))
        if pick.random() < 0.1:
            made[-1]["pending"] = False
    return made


def _of_the_apic(pick: Pick, cpu: int) -> list[Command]:
    """What the APIC half does on its own."""
    own = bursts.Pick(pick.getrandbits(31))
    burst = _OF_THE_APIC.one(pick)
    made = [one for one in burst(own, cpu) if one["op"] != "set_vmsa"]
    return made or [{"op": "enter", "cpu": cpu}]


_OF_THE_APIC = Weighed(*bursts.BURSTS.items())


BURSTS: dict[Burst, int] = {
    _list: 6,
    _vcpu: 6,
    _vcpus: 2,
    _attest: 5,
    _back_and_forth: 4,
    _own_list: 2,
    _given_up: 4,
    _create: 3,
    _refused_create: 2,
    _remap_area: 2,
    _delete: 1,
    _tpm: 4,
    _any_calls: 2,
    _long_list: 1,
    _of_the_apic: 4,
}
_BURSTS = Weighed(*BURSTS.items())


# --- what a host does that follows no rule -----------------------------------------------------------


def _host_page(pick: Pick, at: int, to: str) -> Command:
    made: Command = {"op": "host_page", "gpa": at & (1 << 52) - 1, "to": to}
    if to == "remap":
        made["spa"] = pick.choice((ELSEWHERE, ELSEWHERE + PAGE, at, SVSM + 3 * PAGE))
        made["spa"] &= (1 << 52) - 1
    if pick.random() < 0.3:
        made["fill"] = pick.choice((0, 0x77))
    return made


def _takes(pick: Pick, cpu: int) -> list[Command]:
    """A page is taken, split, joined or exchanged, and then comes what the guest does."""
    to = pick.choice(("shared", "private", "split", "join", "remap"))
    at = page(pick) if to in ("shared", "private", "remap") else pick.choice(CHUNKS)
    return [_host_page(pick, at, to), *_BURSTS.one(pick)(pick, cpu)]


def _exchanges(pick: Pick, cpu: int) -> list[Command]:
    """A page is exchanged, made valid again, and put back; or exchanged once it is invalid."""
    at = pick.choice((*pick.pages, *LEGACY))
    to = pick.choice((ELSEWHERE, SVSM + 3 * PAGE))
    moved: Command = {"op": "host_page", "gpa": at, "to": "remap", "spa": to}
    first = _pvalidate(cpu, at) if pick.random() < 0.5 else []
    again = _pvalidate(cpu, at | _VALID | pick.choice((0, _IGNORE_CF)))
    return [*first, moved, *again, moved | {"spa": at}, *_pvalidate(cpu, entry(pick))]


def _lies(pick: Pick, cpu: int) -> list[Command]:
    """The secure processor's answers are exchanged, left out or changed."""
    return [*_attest(pick, cpu), *_attest(pick, cpu, LIES), *_attest(pick, cpu, LIES)]


HOSTILE: dict[Burst, int] = {_takes: 8, _exchanges: 6, _lies: 6}
"""Beside `BURSTS`."""
