"""The rules of an adapter for an SVSM without memory, in the order in which they build up.

Expected answers were written by hand, from the layouts of the doorbell page and the VMSA and from how the
recordings were made (corpus/recordings); none is computed by the machine.
"""

from __future__ import annotations

from ...machine.commands import call
from ...wire.apic import ApicCall, ApicRegister, ConfigureRequest
from ...wire.svsm import CoreCall, Protocol
from .rule import (
    OK,
    Chapter,
    Rule,
    Step,
    begin,
    numbered,
    on,
    page,
    post,
    posted,
    refused,
    runs,
)

_EVENT_61 = 0x8000_0061  # EVENTINJ: an external interrupt, vector 0x61
_LAST = (1 << 64) - 1
_ALLOW: Step = (call(0, ApicCall.CONFIGURE_VECTOR, 1 << 8 | 0x61), {"rax": 0})
_DEREGISTER = call(0, ApicCall.CONFIGURE_EMULATION, ConfigureRequest.DEREGISTER)


def _remap(page: int) -> dict[str, object]:
    return call(0, CoreCall.REMAP_CA, page, protocol=Protocol.CORE)


_EXCHANGE = Chapter(
    "Exchange",
    (
        Rule(
            "Hello",
            'The adapter\'s first line is `{"vmgexit": 2, "name": ..., "profile": ...}`, before it reads'
            " anything. 2 is the version of this page. The name is a text that is not empty; `profile` is"
            " the profile that the adapter means to follow, and may be left out.",
        ),
        Rule(
            "One answer",
            "Each command has one answer: one JSON object on one line of at most 1 MiB, in the order of the"
            " commands. The driver may have written further commands by then. Before the adapter waits for"
            " more of them, it has flushed its answers. Nothing else goes to standard output; standard"
            " error is free.",
            (begin(2),),
        ),
        Rule(
            "A fresh machine",
            "Each `init` starts a fresh machine in the same process. Nothing of the one before is left.",
            (
                begin(),
                (post(0x61), posted(0x61, hv=True)),
                begin(),
                (on("doorbell"), {"hex": page()}),
            ),
        ),
        Rule(
            "What is not supported",
            "An operation that the adapter does not know, or a use of it, has the one key `unsupported`,"
            " and has changed nothing.",
            (
                begin(),
                ({"op": "an_operation_of_2030", "cpu": 0}, {"unsupported": "an_operation_of_2030"}),
                (post(0x61), posted(0x61, hv=True)),
            ),
        ),
        Rule(
            "Numbers",
            "A number has up to 64 bits, and none is lost. The registers of a call come back as they were"
            " unless the call says otherwise; `rax` is the result code.",
            (
                begin(),
                (
                    {**call(0, 0, 7, _LAST, _LAST - 1, protocol=99)},
                    {"rax": 0x8000_0001, "rcx": 7, "rdx": _LAST, "r8": _LAST - 1},
                ),
            ),
        ),
    ),
)

_FIRST = Chapter(
    "What there is after `init`",
    (
        Rule(
            "The vCPUs",
            "There are `cpus` vCPUs, numbered from 0. Their APIC ids are 0, 1, ... or the ones of"
            " `apic_ids`. Each has a doorbell page, a VMSA and a calling area of its own, and Alternate"
            " Injection is on. `reg_count` is how many registrations for it stand.",
            (
                begin(2, apic_ids=[17, 5]),
                (call(0, ApicCall.READ_REGISTER, ApicRegister.ID), {"rax": 0, "rdx": 17}),
                (call(1, ApicCall.READ_REGISTER, ApicRegister.ID), {"rax": 0, "rdx": 5}),
                (post(0x61), posted(0x61, hv=True)),
                (on("doorbell", 1), {"hex": page()}),
            ),
        ),
        Rule(
            "The guest",
            "A guest starts with RFLAGS.IF 0, no interrupt shadow, TPR 0, VGIF 1, no event in EVENTINJ"
            " and EXITINTINFO, and no vector allowed. It runs at VMPL 2.",
            (
                begin(),
                (on("guest_take"), {"taken": "none", "vector": 0}),
                (
                    on("state"),
                    {"if": False, "shadow": False, "v_tpr": 0, "event_inj": 0, "alt_inj": True},
                ),
            ),
        ),
        Rule(
            "Calling areas",
            "The calling area of vCPU 0 is at 0x20002000. Those of the others are at addresses that no"
            " scenario names. There is no other memory: a call whose operand is in memory answers"
            " INVALID_ADDRESS.",
            (begin(), (_remap(0x2000_2000), {"rax": 0x8000_0003})),
        ),
        Rule(
            "The doorbell page",
            "`doorbell` answers the first 256 bytes, in small hex digits. `set_doorbell` overwrites them"
            " all and raises nothing. The descriptor of the guest VMPL is at 0x80.",
            (
                begin(),
                (on("set_doorbell", hex=page(at0x84="01020304", at0xFC="ff")), OK),
                (on("doorbell"), {"hex": page(at0x84="01020304", at0xFC="ff")}),
            ),
        ),
    ),
)

_HOST = Chapter(
    "The host posts",
    (
        Rule(
            "An edge interrupt alone",
            "It is written into the empty vector field of the descriptor's status word. The guest VMPL's"
            " bit is set in the SVSM's own event byte, at 3, and NoFurtherSignal in its flags, at 1. `hv`"
            " says whether NoFurtherSignal was clear, so that a #HV is raised. `status` is the status word"
            " afterwards.",
            (
                begin(),
                (post(0x61), posted(0x61, hv=True)),
                (on("doorbell"), {"hex": page(at0x1="80", at0x3="02", at0x80="61")}),
            ),
        ),
        Rule(
            "The same again",
            "An edge vector that is in the field already adds nothing. The post is accepted.",
            (begin(), (post(0x61), posted(0x61, hv=True)), (post(0x61), posted(0x61, hv=False))),
        ),
        Rule(
            "More than one",
            "A second edge vector goes into the IRR of the descriptor, and the one in the field moves"
            " there. The field is 0 then. MultipleVectors, bit 14, is set last. While it is set, each edge"
            " vector goes into the IRR; 31 has bit 31 of the status word.",
            (
                begin(),
                (post(0x61), posted(0x61, hv=True)),
                (post(0x62), posted(0x4000, hv=False)),
                (post(31), posted(0x8000_4000, hv=False)),
                (
                    on("doorbell"),
                    {"hex": page(at0x1="80", at0x3="02", at0x80="00400080", at0x8C="06")},
                ),
            ),
        ),
        Rule(
            "A level-triggered interrupt",
            "It lives in the field only, with LevelSensitive, bit 10. The same one again adds nothing;"
            " another level-triggered one is refused. An edge vector beside it goes into the IRR, and the"
            " field stays.",
            (
                begin(),
                (post(0x61, level=True), posted(0x461, hv=True)),
                (post(0x61, level=True), posted(0x461, hv=False)),
                (post(0x62, level=True), refused(0x461)),
                (post(0x70), posted(0x4461, hv=False)),
                (
                    on("doorbell"),
                    {"hex": page(at0x1="80", at0x3="02", at0x80="6144", at0x8E="01")},
                ),
            ),
        ),
        Rule(
            "A level-triggered interrupt after an edge one",
            "The edge vector moves from the field into the IRR, and MultipleVectors is set.",
            (
                begin(),
                (post(0x61), posted(0x61, hv=True)),
                (post(0x70, level=True), posted(0x4470, hv=False)),
                (
                    on("doorbell"),
                    {"hex": page(at0x1="80", at0x3="02", at0x80="7044", at0x8C="02")},
                ),
            ),
        ),
        Rule(
            "What is refused",
            "Vector 0. An edge vector below 31 where the field is occupied or MultipleVectors is set, and"
            " any other vector while an edge vector below 31 is in the field: the IRR has no place for"
            " those. A post that is refused has changed nothing. A vector below 31 is accepted into an"
            " empty field, and level-triggered ones are not looked at this way.",
            (
                begin(),
                (post(0), refused(0)),
                (post(20), posted(20, hv=True)),
                (post(0x61), refused(20)),
                (post(0x61, level=True), refused(20)),
                begin(),
                (post(20, level=True), posted(0x414, hv=True)),
                (post(21), refused(0x414)),
            ),
        ),
    ),
)

_GUEST = Chapter(
    "The guest, and its entry",
    (
        Rule(
            "Entering",
            "`enter` is everything from the #HV handler to VMRUN: NoFurtherSignal is cleared, interrupts"
            " are taken from the host and from other vCPUs, and what can be delivered is presented. The"
            " answer is what VMRUN sees. A guest with interrupts on gets an allowed vector in EVENTINJ.",
            (
                begin(),
                _ALLOW,
                runs(interrupts=True),
                (post(0x61), posted(0x61, hv=True)),
                (on("enter"), {"event_inj": _EVENT_61, "v_irq": False, "cancelled": 0}),
                (on("doorbell"), {"hex": page()}),
            ),
        ),
        Rule(
            "Taking an event",
            "`guest_take` is what the CPU does next. It takes EVENTINJ whatever RFLAGS.IF is. `gate`"
            " clears RFLAGS.IF where something was taken, as an interrupt gate does. To take is not to"
            " end.",
            (
                begin(),
                _ALLOW,
                runs(interrupts=True),
                (post(0x61), posted(0x61, hv=True)),
                (on("enter"), {"event_inj": _EVENT_61}),
                (on("guest_take", gate=True), {"taken": "event", "vector": 0x61}),
                (on("guest_take", gate=True), {"taken": "none", "vector": 0}),
                (on("state"), {"if": False, "event_inj": 0}),
            ),
        ),
        Rule(
            "Taking a virtual interrupt",
            "Else the CPU takes V_IRQ, if VGIF and RFLAGS.IF are 1, there is no interrupt shadow, and"
            " V_IGN_TPR is set or V_INTR_PRIO is above the low 4 bits of V_TPR. V_IRQ is then 0;"
            " V_INTR_VECTOR and V_INTR_PRIO keep their values.",
            (
                begin(),
                _ALLOW,
                (post(0x61), posted(0x61, hv=True)),
                (on("enter"), {"event_inj": 0, "v_irq": True, "v_intr_vector": 0x61}),
                (on("guest_take"), {"taken": "none"}),
                runs(interrupts=True, shadow=True),
                (on("guest_take"), {"taken": "none"}),
                runs(interrupts=True, cr8=6),
                (on("guest_take"), {"taken": "none"}),
                runs(interrupts=True, cr8=5),
                (on("guest_take"), {"taken": "virq", "vector": 0x61}),
                (on("state"), {"v_irq": False, "v_intr_vector": 0x61, "v_intr_prio": 6}),
            ),
        ),
        Rule(
            "Lazy EOI",
            "`guest_lazy_eoi` reads NoEoiRequired in the calling area and clears it. `was` is what it"
            " read. The SVSM ends the interrupt when it next looks.",
            (
                begin(),
                _ALLOW,
                runs(interrupts=True),
                (post(0x61), posted(0x61, hv=True)),
                (on("enter"), {"no_eoi_required": 1}),
                (on("guest_take"), {"taken": "event"}),
                (on("guest_lazy_eoi"), {"was": 1}),
                (on("guest_lazy_eoi"), {"was": 0}),
            ),
        ),
        Rule(
            "The switch window",
            "Interrupts in `late` are posted once, between the SVSM's last look at NoFurtherSignal and"
            " VMGEXIT. A #HV there cancels the switch: the SVSM starts over, as if the guest had run and"
            " left. `cancelled` counts how often that was.",
            (
                begin(),
                _ALLOW,
                runs(interrupts=True),
                (
                    on("enter", late=[{"vector": 0x61, "level": False}]),
                    {"event_inj": _EVENT_61, "cancelled": 1},
                ),
                (on("doorbell"), {"hex": page()}),
            ),
        ),
        Rule(
            "When a #HV is handled",
            "At the start of `call`, `enter` and `intercept`, and at no other command. The handler clears"
            " NoFurtherSignal, the SVSM's own NMI bit and its own vector. `call` and `intercept` take"
            " nothing from the descriptor: only `enter` does.",
            (
                begin(),
                (post(0x61), posted(0x61, hv=True)),
                (call(0, ApicCall.QUERY_FEATURES), {"rax": 0, "rcx": 0}),
                (on("doorbell"), {"hex": page(at0x3="02", at0x80="61")}),
            ),
        ),
        Rule(
            "Leaving for the host's reasons",
            "`intercept` sets EXITINTINFO and VINTR_CTRL.busy, and the SVSM then does what it does after"
            " an exit: a valid EXITINTINFO goes back into EVENTINJ, and busy is cleared. The answer is"
            " what VMRUN would see. VMRUN clears EXITINTINFO; so does `call`, before the SVSM looks.",
            (
                begin(),
                _ALLOW,
                runs(interrupts=True),
                (post(0x61), posted(0x61, hv=True)),
                (on("enter"), {"event_inj": _EVENT_61}),
                (on("guest_take"), {"taken": "event"}),
                (on("intercept", exitintinfo=_EVENT_61, busy=True), {"event_inj": _EVENT_61}),
                (on("enter"), {"event_inj": _EVENT_61}),
                (on("guest_take"), {"taken": "event", "vector": 0x61}),
            ),
        ),
        Rule(
            "A new VMSA",
            "`set_vmsa` is CREATE_VCPU for this vCPU: a VMSA as after `init`, but for the values given,"
            " and a calling area of zeros at the same address. It is used from this vCPU's next `call`,"
            " `enter` or `intercept` on; `guest`, `guest_take`, `guest_lazy_eoi` and `state` see the old"
            " one until then.",
            (
                begin(),
                (on("set_vmsa", vintr=0x203), OK),
                runs(interrupts=True),
                (on("state"), {"v_tpr": 0, "if": True}),
                (on("enter"), {"v_tpr": 3}),
                (on("state"), {"v_tpr": 3, "if": False}),
            ),
        ),
        Rule(
            "A moved calling area",
            "SVSM_CORE_REMAP_CA names a page, which is zero. It is used from this vCPU's next `call`,"
            " `enter` or `intercept` on, and no other vCPU can have it.",
            (
                begin(),
                (_remap(0x2000_3000), {"rax": 0}),
                (_remap(0x2000_3000), {"rax": 0x8000_0003}),
                (_remap(0x2000_2000), {"rax": 0}),
            ),
        ),
    ),
)

_DISABLE = {"cpu": 0, "call": "disable_alternate_injection", "info1": 0x2_0000, "info2": 0}
_EOI = {"cpu": 0, "call": "specific_eoi", "info1": 0x2_0061, "info2": 0}

_REQUESTS = Chapter(
    "GHCB requests, and stops",
    (
        Rule(
            "Requests",
            "`calls` lists the requests to the host that a command caused, in order, each with"
            " SW_EXITINFO1 and SW_EXITINFO2 in `info1` and `info2`. Without one the key is not there."
            " `history` has all since `init`.",
            (
                begin(),
                (call(0, ApicCall.QUERY_FEATURES), {"rax": 0, "calls": None}),
                (_DEREGISTER, {"rax": 0, "calls": [_DISABLE]}),
                (on("state"), {"reg_count": 0, "alt_inj": False, "history": [_DISABLE]}),
            ),
        ),
        Rule(
            "A host that refuses",
            "`host_refuse` makes the host refuse this vCPU's next request of that name, and no other one."
            " Two of them refuse two. The request counts as made.",
            (
                begin(),
                (on("host_refuse", call="specific_eoi"), OK),
                (post(0x61, level=True), posted(0x461, hv=True)),
                (on("enter"), {"calls": [_EOI]}),
            ),
        ),
        Rule(
            "A termination request",
            'Where the SVSM asks the host to end the VM, the answer is `{"terminated": "text"}`. The text'
            " is free. The adapter may exit then; it is asked nothing more, and the next `init` goes to a"
            ' new process. One whose hello says `"stays": true` goes on, which saves the time of a start:'
            " it answers every command by the stop until the next `init`.",
            (
                begin(),
                (on("host_refuse", call="disable_alternate_injection"), OK),
                (_DEREGISTER, {"terminated": "the host refused to disable Alternate Injection"}),
                (on("enter"), {"terminated": "the host refused to disable Alternate Injection"}),
            ),
        ),
        Rule(
            "A machine check",
            "A machine check that the host signals to the SVSM itself ends in a termination request, too.",
            (
                begin(),
                (on("set_doorbell", hex=page(at0x1="82")), OK),
                (on("enter"), {"terminated": "the host signalled a machine check"}),
            ),
        ),
        Rule(
            "After a stop",
            "The next `init` starts a machine as if nothing had been, in a new process or, of one that"
            " stays, in the same.",
            (begin(), (on("doorbell"), {"hex": page()})),
        ),
        Rule(
            "The end",
            "When standard input ends, the adapter exits within a second.",
        ),
    ),
)

CHAPTERS = numbered((_EXCHANGE, _FIRST, _HOST, _GUEST, _REQUESTS), "PEER-")

RULES: dict[str, Rule] = {rule.title: rule for chapter in CHAPTERS for rule in chapter.rules}
"""Every rule by its title, in the order in which they build up."""
