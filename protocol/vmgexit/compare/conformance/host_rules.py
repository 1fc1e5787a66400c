"""The rules of an adapter for a GHCB host, in the order in which they build up.

Expected answers were written by hand, from the layout of the GHCB page and from how KVM's own code answers
(corpus/recordings/kvm). The exchanges ask nothing in which KVM and the reference differ.
"""

from __future__ import annotations

import dataclasses

from ...descriptions import Answer, Command
from ...hosts.vm import KEYS, Vcpu
from ...wire.exit_codes import ExitCode
from ...wire.ghcb import BITMAP_OFFSET, GhcbPage
from .rule import OK, Chapter, Rule, Step, numbered

_AT = 0x7000  # where the guest's GHCB page is
_INFO_2 = GhcbPage.declaration["sw_exit_info_2"].byte_offset
_DOORBELL = 0x9000
_RESTRICTED = 1 | 8  # SEV_FEATURES: SNP, restricted injection
_NMI, _MACHINE_CHECK, _HV = 0x8000_0200, 0x8000_0312, 0x8000_031C  # as EVENTINJ holds them


def _page(exit: ExitCode | int, *, usage: int = 0, **fields: int) -> list[tuple[int, str]]:
    """The pieces of a page: the exit, and the fields given; all of them marked valid."""
    held = {"sw_exit_code": int(exit), "sw_exit_info_1": 0, "sw_exit_info_2": 0, **fields}
    bits, pieces = 0, []
    for name, value in held.items():
        at = GhcbPage.declaration[name].byte_offset
        bits |= 1 << at // 8
        if value:
            pieces.append((at, value.to_bytes(8, "little").hex()))
    pieces.append((BITMAP_OFFSET, bits.to_bytes(16, "little").hex()))
    pieces.append((GhcbPage.declaration["protocol_version"].byte_offset, "0200"))
    if usage:
        pieces.append(
            (GhcbPage.declaration["ghcb_usage"].byte_offset, usage.to_bytes(4, "little").hex())
        )
    return pieces


def _begin(**setup: object) -> Step:
    return {"op": "init", "registered": _AT, **setup}, OK


def _exits(exit: ExitCode | int, *, cpu: int = 0, usage: int = 0, **fields: int) -> Command:
    pieces = [list(piece) for piece in _page(exit, usage=usage, **fields)]
    return {"op": "vmgexit", "page": pieces, "gpa": _AT} | ({"cpu": cpu} if cpu else {})


def _irq(vector: int) -> Command:
    return {"op": "irq", "cpu": 0, "vector": vector}


def _of_vcpu(op: str, **arguments: int) -> Command:
    return {"op": op, "cpu": 0, **arguments}


def _interrupt(vector: int) -> int:
    """An external interrupt as EVENTINJ holds it."""
    return 0x8000_0000 | vector


def _done(detail: int = 0, **more: object) -> Answer:
    return {"run": "guest", "status": 0, "detail": detail, **more}


def _refused(why: int) -> Answer:
    return {"run": "guest", "status": 2, "detail": why, "asked": []}


_DEFAULTS = "; ".join(
    f"`{name}` {key.metadata['meaning']}"
    + (f" (default {key.default})" if isinstance(key.default, int) else "")
    for name, key in KEYS.items()
)

_KEPT = "; ".join(
    f"`{one.name}` {one.metadata['meaning']}"
    for one in dataclasses.fields(Vcpu)
    if "meaning" in one.metadata
)

_EXCHANGE = Chapter(
    "Exchange with a host",
    (
        Rule(
            "Hello",
            'As that of an SVSM, with `"machine": "host"`. With `"stays": true` the process goes on after a'
            " panic, which answers every command until the next `init`.",
        ),
        Rule(
            "One answer",
            "As for an SVSM: each command has one answer on one line, in order, flushed before a wait.",
            (_begin(),),
        ),
        Rule(
            "A fresh VM",
            "Each `init` starts a fresh VM in the same process. Nothing of the one before is left.",
            (
                _begin(),
                ({"op": "write", "gpa": 0x1000, "hex": "0102"}, OK),
                ({"op": "read", "gpa": 0xFFF, "size": 4}, {"hex": "00010200"}),
                _begin(),
                ({"op": "read", "gpa": 0xFFF, "size": 4}, {"hex": "00000000"}),
            ),
        ),
        Rule(
            "What is not supported",
            "An operation that the adapter does not know, or a set-up or a use that it cannot have, is"
            " answered by the one key `unsupported`, and has changed nothing.",
            (
                _begin(),
                ({"op": "an_operation_of_2030"}, {"unsupported": "an_operation_of_2030"}),
            ),
        ),
        Rule(
            "The set-up",
            f"What `init` leaves out has its default. {_DEFAULTS}. Guest memory begins at 0 and is zero"
            " but for `memory`.",
            (
                _begin(memory=[[0x2000, "aabb"]], memory_top=0x10000),
                ({"op": "read", "gpa": 0x2000, "size": 2}, {"hex": "aabb"}),
                ({"op": "read", "gpa": 0xFFFF, "size": 2}, {"hex": None}),
            ),
        ),
    ),
)

_PAGE = Chapter(
    "A GHCB page in, an answer out",
    (
        Rule(
            "The answer",
            "`vmgexit` says which bytes of the page are not zero, and where it is. `run` says how it"
            ' goes on: `"guest"`, `["error", n]` where KVM_RUN fails, `["terminate", word]`,'
            ' `["internal-error", code]`. After the last three the VM has ended. `status` and `detail`'
            " are what SW_EXITINFO1 and SW_EXITINFO2 hold afterwards, `valid` the fields that the host"
            " marked valid, `registers` the values of those of RAX, RBX, RCX and RDX.",
            (
                _begin(features=3),
                (_exits(ExitCode.HYPERVISOR_FEATURES), _done(3, asked=[])),
                (
                    _exits(ExitCode.CPUID, rax=0, rcx=0),
                    _done(
                        registers={
                            "rax": 0x10,
                            "rbx": 0x6874_7541,
                            "rcx": 0x444D_4163,
                            "rdx": 0x6974_6E65,
                        }
                    ),
                ),
            ),
        ),
        Rule(
            "What was asked",
            "`asked` lists what the host asked of devices, user space, firmware and memory, in order: a"
            " name and its values. Bytes are hex.",
            (
                _begin(),
                (
                    _exits(ExitCode.IOIO, sw_exit_info_1=0x80 << 16 | 1 << 10 | 1 << 4, rax=0x41),
                    _done(asked=[["out", 0x80, 1, "41"]]),
                ),
            ),
        ),
        Rule(
            "The shared buffer",
            "`buffer` lists what changed from 0x800 to 0xFEF: a place in the page and hex, for each run"
            " that begins and ends with a changed byte. Changed bytes no more than 7 apart are one run.",
            (
                _begin(device_byte=0xAB),
                (
                    _exits(
                        ExitCode.MMIO_READ,
                        sw_exit_info_1=0xFEE0_0000,
                        sw_exit_info_2=4,
                        sw_scratch=_AT + 0x800,
                    ),
                    _done(buffer=[[0x800, "abababab"]], asked=[["mmio-read", 0xFEE0_0000, 4]]),
                ),
            ),
        ),
        Rule(
            "Memory and firmware",
            "Guest memory that the host reads and writes is asked for too; zeros at the end of what it"
            " writes are left out. The firmware answers `firmware_error` and writes a page of zeros.",
            (
                _begin(),
                (
                    _exits(
                        ExitCode.SNP_GUEST_REQUEST, sw_exit_info_1=0x2000, sw_exit_info_2=0x3000
                    ),
                    _done(
                        asked=[
                            ["read-memory", 0x2000, 4096],
                            ["firmware"],
                            ["write-memory", 0x3000, 4096, ""],
                        ]
                    ),
                ),
            ),
        ),
        Rule(
            "A refusal",
            "It has status 2, and why it is one as detail: 2 for a usage that is not 0, 4 for a field"
            " that is not marked valid, 6 for an exit that the host does not know.",
            (
                _begin(),
                (_exits(ExitCode.INVD, usage=1), _refused(2)),
                (_exits(ExitCode.CPUID), _refused(4)),
                (_exits(0xDEAD), _refused(6)),
            ),
        ),
        Rule(
            "An untouched page",
            'Where the host wrote nothing to the page, `page` is `"untouched"`, and no key but `run` and'
            " `asked` is there.",
            (
                _begin(memory_top=0x10000),
                (
                    _exits(ExitCode.INVD) | {"gpa": 0x20000},
                    {"run": "guest", "page": "untouched", "asked": [], "status": None},
                ),
            ),
        ),
        Rule(
            "The page as it is in memory",
            "Without `page` the guest exits with what is at `gpa`. What a host answers is there"
            " afterwards.",
            (
                _begin(),
                (_exits(ExitCode.INVD), _done()),
                ({"op": "vmgexit", "gpa": _AT}, _refused(4)),
            ),
        ),
        Rule(
            "A page that changes",
            "With `meanwhile` another vCPU writes to the page after each access of the host. The host's"
            " first access takes all up to the end of the valid bitmap, 0x400: what is written to a field"
            " by then does not change what is done. The usage and the shared buffer are read after it. The"
            " answer tells the page as it is at the end.",
            (
                _begin(),
                (
                    _exits(
                        ExitCode.MMIO_WRITE,
                        sw_exit_info_1=0xFEE0_0000,
                        sw_exit_info_2=4,
                        sw_scratch=_AT + 0x800,
                    )
                    | {"meanwhile": [[_INFO_2, "01"], [0x802, "abcd"]]},
                    _done(
                        1,
                        buffer=[[0x802, "abcd"]],
                        asked=[["mmio-write", 0xFEE0_0000, "0000abcd"]],
                    ),
                ),
            ),
        ),
    ),
)

_MSR = Chapter(
    "The MSR protocol, and vCPUs",
    (
        Rule(
            "A word",
            "`msr` is an exit with this word in the GHCB MSR. `word` is what the MSR holds afterwards.",
            (
                _begin(ghcb_version=2, c_bit=51),
                (
                    {"op": "msr", "request": 0x002},
                    {"run": "guest", "word": 2 << 48 | 1 << 32 | 51 << 24 | 0x001, "asked": []},
                ),
                ({"op": "msr", "request": 0x8012}, {"run": "guest", "word": 0x8013}),
            ),
        ),
        Rule(
            "The end of the VM",
            "A termination request ends the run. The word stays as it was. No vCPU runs from then on:"
            " an exit answers `ended`, and its page is untouched. The process goes on: a later `init`"
            " starts another VM.",
            (
                _begin(),
                ({"op": "msr", "request": 0x100}, {"run": ["terminate", 0x100], "word": 0x100}),
                (_exits(ExitCode.INVD), {"run": "ended", "page": "untouched", "asked": []}),
                ({"op": "msr", "request": 2}, {"run": "ended", "word": 2, "asked": []}),
                _begin(),
                (_exits(ExitCode.INVD), _done()),
            ),
        ),
        Rule(
            "vCPUs",
            "`cpu` says which vCPU exits; without it, it is 0. One that waits for a start-up IPI does"
            " not run: an exit answers `held`, and its page is untouched. `sipi` releases it, once, and"
            " the page by which it waits then holds 1 in SW_EXITINFO2.",
            (
                _begin(vcpus=2),
                (_exits(ExitCode.AP_RESET_HOLD, cpu=1), _done(0, asked=[["hold"]])),
                (_exits(ExitCode.INVD, cpu=1), {"run": "held", "page": "untouched", "asked": []}),
                ({"op": "sipi", "cpu": 1}, {"released": True}),
                ({"op": "sipi", "cpu": 1}, {"released": False}),
                ({"op": "read", "gpa": _AT + _INFO_2, "size": 8}, {"hex": "0100000000000000"}),
                (_exits(ExitCode.INVD, cpu=1), _done()),
            ),
        ),
        Rule(
            "What the host keeps",
            "`state` tells it. `pages` are the runs of pages that user space made private or shared:"
            " address, count, state; in order, and no two beside each other have the same state."
            " `mappings` counts what user space was asked for, with what it failed. `vcpus` has what is not"
            f" as it was set up, of each vCPU where there is something: {_KEPT}. What the adapter cannot"
            " tell it leaves out, with the key `unsupported`.",
            (
                _begin(vcpus=2, jump_table=0x5000),
                (_exits(ExitCode.AP_RESET_HOLD, cpu=1), _done(0)),
                (
                    {"op": "msr", "request": 1 << 52 | 0x10 << 12 | 0x014},
                    {"word": 0x015, "asked": [["map", 0x10000, 1, 16]]},
                ),
                (
                    {"op": "state"},
                    {
                        "ended": False,
                        "jump_table": 0x5000,
                        "mappings": 1,
                        "pages": [[0x10000, 1, "private"]],
                        "vcpus": {"1": {"held": True, "held_by": _AT}},
                    },
                ),
            ),
        ),
    ),
)

_EVENTS = Chapter(
    "Events for VMPL 0",
    (
        Rule(
            "An event that is injected",
            "By `irq`, `nmi` and `machine_check` an event for VMPL 0 waits with the host; one that waits"
            " already waits no second time. `waiting` lists them: `machine check`, `NMI`, vectors in"
            " ascending order. `enter` is an entry of the vCPU: without restricted injection, bit 3 of"
            " `vmsa_features`, the event that stands first is injected, of vectors the highest."
            " `event_inj` is EVENTINJ, 0 where nothing is injected. By `take` the guest takes it. A host"
            " that has no such events answers `unsupported`.",
            (
                _begin(),
                (_irq(0x41), {"waiting": [0x41]}),
                (_irq(0x61), {"waiting": [0x41, 0x61]}),
                (_of_vcpu("nmi"), {"waiting": ["NMI", 0x41, 0x61]}),
                (_of_vcpu("machine_check"), {"waiting": ["machine check", "NMI", 0x41, 0x61]}),
                (_of_vcpu("enter"), {"vmpl": 0, "event_inj": _MACHINE_CHECK}),
                (_of_vcpu("take"), {"events": [_MACHINE_CHECK], "doorbell": None}),
                (_of_vcpu("enter"), {"event_inj": _NMI, "waiting": [0x41, 0x61]}),
                (_of_vcpu("take"), {"events": [_NMI]}),
                (_of_vcpu("enter"), {"event_inj": _interrupt(0x61), "waiting": [0x41]}),
            ),
        ),
        Rule(
            "An entry that is cancelled",
            "`cancel` says that the last entry did not come to VMRUN. What it told waits again, and"
            " `events` lists it as EVENTINJ would hold it. It is cancelled once.",
            (
                _begin(),
                (_irq(0x41), {"waiting": [0x41]}),
                (_of_vcpu("enter"), {"event_inj": _interrupt(0x41), "waiting": []}),
                (_of_vcpu("cancel"), {"events": [_interrupt(0x41)], "waiting": [0x41]}),
                (_of_vcpu("cancel"), {"events": [], "waiting": [0x41]}),
                (_of_vcpu("take"), {"events": []}),
            ),
        ),
        Rule(
            "The doorbell page",
            "With restricted injection the host writes what waits to PendingEvent, the first two bytes of"
            " the page that the guest named: a vector, and flags: bit 0 an NMI, bit 1 a machine check,"
            " bit 7 NoFurtherSignal. `doorbell` is that word, null without a page. #HV is injected with"
            " what is new, and NoFurtherSignal set, unless that is set. The guest takes all and clears"
            " the word. With `tpr`, a class of task priority, it leaves a vector that is not above it, and"
            " a machine check, which `events` tells all the same. A host without restricted injection may"
            " not know the exit.",
            (
                _begin(vmsa_features=_RESTRICTED),
                (
                    _exits(ExitCode.HV_DOORBELL_PAGE, sw_exit_info_1=1, sw_exit_info_2=_DOORBELL),
                    _done(_DOORBELL),
                ),
                (_irq(0x41), {"waiting": [0x41]}),
                (_of_vcpu("enter"), {"event_inj": _HV, "doorbell": 0x8041, "waiting": []}),
                (_of_vcpu("nmi"), {"waiting": ["NMI"]}),
                (_of_vcpu("enter"), {"event_inj": 0, "doorbell": 0x8141, "waiting": []}),
                ({"op": "read", "gpa": _DOORBELL, "size": 2}, {"hex": "4181"}),
                (_of_vcpu("take", tpr=4), {"events": [_NMI], "doorbell": 0x0041}),
                (_of_vcpu("take"), {"events": [_interrupt(0x41)], "doorbell": 0}),
            ),
        ),
        Rule(
            "A cancelled #HV",
            "All that stands in the doorbell page waits again, and the page is as if nothing had been"
            " told. Where the last entry injected nothing, nothing goes back.",
            (
                _begin(vmsa_features=_RESTRICTED),
                (
                    _exits(ExitCode.HV_DOORBELL_PAGE, sw_exit_info_1=1, sw_exit_info_2=_DOORBELL),
                    _done(_DOORBELL),
                ),
                (_irq(0x41), {"waiting": [0x41]}),
                (_of_vcpu("enter"), {"event_inj": _HV, "doorbell": 0x8041, "waiting": []}),
                (
                    _of_vcpu("cancel"),
                    {"events": [_interrupt(0x41)], "doorbell": 0, "waiting": [0x41]},
                ),
                (_of_vcpu("enter"), {"event_inj": _HV, "doorbell": 0x8041, "waiting": []}),
                (_of_vcpu("enter"), {"event_inj": 0, "doorbell": 0x8041}),
                (_of_vcpu("cancel"), {"events": [], "doorbell": 0x8041, "waiting": []}),
            ),
        ),
        Rule(
            "The end",
            "When standard input ends, the adapter exits within a second.",
        ),
    ),
)

CHAPTERS = numbered((_EXCHANGE, _PAGE, _MSR, _EVENTS), "PEER-H")
RULES: dict[str, Rule] = {rule.title: rule for chapter in CHAPTERS for rule in chapter.rules}
"""Every rule by its title, in the order in which they build up."""
