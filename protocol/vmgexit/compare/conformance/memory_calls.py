"""The rules of an adapter for an SVSM with memory about vCPUs, calls, and the devices behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ...descriptions import Command
from ...machine.commands import call
from ...wire.attestation import VTPM_GUID, AttestationCall, guid_bytes
from ...wire.page_size import LARGE_PAGE, PAGE
from ...wire.svsm import CoreCall, Protocol
from ...wire.vmsa import EFER_SVME
from ...wire.vtpm import VtpmCall
from .memory_steps import (
    AREA,
    CERTIFICATES,
    FILL,
    HUGE,
    LIST,
    MANIFEST,
    NONCE,
    ONE,
    OPERATION,
    OTHER,
    PRIVATE,
    REPORT,
    SHARED,
    VMSA,
    begin,
    filled,
    host,
    no,
    page,
    read,
    words,
    write,
)
from .rule import OK, Chapter, Rule, Step, on

_VALIDATE = 4
_IN = [["flush_all"], ["enter", VMSA]]  # how a call of vCPU 0 ends


def _core(request: int, rcx: int = 0, rdx: int = 0, r8: int = 0, cpu: int = 0) -> Command:
    return call(cpu, request, rcx, rdx, r8, protocol=Protocol.CORE)


def _requested(protocol: Protocol, request: int) -> list[object]:
    """What `did` says of a call that is served."""
    return ["request", int(protocol), int(request)]


def _pvalidate(entry: int, *did: Iterable[object], rax: int = 0) -> tuple[Step, Step]:
    """A list of one entry, the call that does it, and what it did."""
    call_, expected = _core(CoreCall.PVALIDATE, LIST), {"ran": True, "rax": rax}
    done = [_requested(Protocol.CORE, CoreCall.PVALIDATE), *map(list, did), *_IN]
    return write(LIST, words(1, entry)), (call_, expected | {"did": done})


_QUERY = _core(CoreCall.QUERY_PROTOCOL, 1)
_QUERIED = _requested(Protocol.CORE, CoreCall.QUERY_PROTOCOL)
_PRESENT = 1 << 32 | 1
_NO_ANSWER = {"rax": None, "rcx": None, "rdx": None, "r8": None}
_NEW: Step = (
    {"op": "vmsa", "gpa": ONE, "by": 2, "vmpl": 2, "efer": EFER_SVME, "sev_features": 1}, OK
)  # fmt: skip
_CREATE: Step = (_core(CoreCall.CREATE_VCPU, ONE, OTHER, 1), {"rax": 0})


VCPUS = Chapter(
    "vCPUs, and calls from end to end",
    (
        Rule(
            "The first vCPU",
            "Its VMSA is the second page of the SVSM's range: zero but for VMPL 2, EFER.SVME and"
            " SEV_FEATURES. It is in its guest; the other vCPUs have no VMSA, and are idle."
            " `calling_area` says where the SVSM was told that a vCPU is, with the first 8 bytes of its"
            " calling area. `registry` lists what the SVSM knows, by the VMSA's address: VMSA, calling"
            " area, vCPU, whether a guest named it, whether it is in use. The first one is neither.",
            (
                begin(),
                (
                    on("calling_area"),
                    {"vmsa": VMSA, "caa": AREA, "hex": "11" * 8, "state": "guest"},
                ),
                (on("calling_area", 1), {"vmsa": None, "caa": None, "hex": "", "state": "idle"}),
                ({"op": "registry"}, {"entries": [[VMSA, AREA, 0, False, False]]}),
                page(VMSA, vmsa=True, validated=True),
            ),
        ),
        Rule(
            "A call",
            "The guest runs if VMRUN is possible: its VMSA is a page of this guest, validated, marked as a"
            " VMSA, of 4 KiB, with EFER.SVME. It then puts RAX (the protocol above the request), RCX, RDX"
            " and R8 into its VMSA, 0x403 as exit code, and sets call_pending. The SVSM serves the call and"
            " enters the guest again. The answer has the registers as the VMSA holds them then, the VMSA"
            " and the calling area in use, and in `did` what the SVSM did, in order.",
            (
                begin(),
                (
                    {**_QUERY, "rdx": 2, "r8": 3},
                    {
                        "ran": True, "vmsa": VMSA, "caa": AREA, "rax": 0, "rcx": _PRESENT, "rdx": 2,
                        "r8": 3, "did": [_QUERIED, *_IN], "idle": None,
                    },
                ),
                (on("calling_area"), {"hex": "00" + "11" * 7}),
            ),
        ),
        Rule(
            "No call that waits",
            "With `pending` false the guest leaves call_pending as it is. The same comes of a calling area"
            " that VMPL 2 may not write to. The SVSM then serves nothing, and the registers come back as"
            " they went.",
            (
                begin(),
                write(AREA, bytes(8)),
                (
                    {**_QUERY, "pending": False},
                    {"ran": True, "rax": int(CoreCall.QUERY_PROTOCOL), "rcx": 1, "did": _IN},
                ),
            ),
        ),
        Rule(
            "A guest that cannot run",
            "The vCPU goes to the SVSM without it. `ran` is false, and the answer has no registers. The"
            " SVSM sets EFER.SVME when it enters a guest.",
            (
                begin(),
                ({"op": "write", "gpa": VMSA + 0xD0, "hex": "00" * 8}, OK),
                (_QUERY, {"ran": False, "vmsa": VMSA, "did": _IN, **_NO_ANSWER}),
                (_QUERY, {"ran": True, "rax": 0, "rcx": _PRESENT}),
            ),
        ),
        Rule(
            "A vCPU without a guest",
            "It is idle: the SVSM looks for a VMSA to enter, and finds none. `idle` is true, and there are"
            " no keys of a guest.",
            (
                begin(),
                (
                    {**_QUERY, "cpu": 1},
                    {"ran": False, "idle": True, "did": [], "vmsa": None, "caa": None, **_NO_ANSWER},
                ),
            ),
        ),
        Rule(
            "PVALIDATE and RMPADJUST",
            "The SVSM's instructions work on these entries. PVALIDATE sets validated, and leaves"
            " permissions as they are; its carry flag says that nothing changed. RMPADJUST sets one VMPL's"
            " permissions, and the VMSA mark, always. Here a page is made valid: it is cleared, and then"
            " granted to VMPL 2.",
            (
                begin([PRIVATE, LARGE_PAGE, "private", 0x33]),
                *_pvalidate(
                    PRIVATE | _VALIDATE,
                    ("pvalidate", PRIVATE, 0, 1, 0, 0),
                    ("zero", PRIVATE, PAGE),
                    ("rmpadjust", PRIVATE, 0, 2, 15, 0, 0),
                ),
                page(PRIVATE, validated=True, perms=[0, 15, 0], hash=filled(0)),
                read(LIST, 4, 2, OK | {"hex": "01000100"}),
            ),
        ),
        Rule(
            "A large page that is split",
            "An instruction on 4 KiB of an entry of 2 MiB makes the host split it, and starts again. Here a"
            " page is taken from VMPL 2 and 3, and made invalid.",
            (
                begin([HUGE, LARGE_PAGE, "huge-valid", 0x22]),
                *_pvalidate(
                    HUGE + PAGE,
                    ("psmash", HUGE),
                    ("rmpadjust", HUGE + PAGE, 0, 2, 0, 0, 0),
                    ("rmpadjust", HUGE + PAGE, 0, 3, 0, 0, 0),
                    ("pvalidate", HUGE + PAGE, 0, 0, 0, 0),
                    ("flush", HUGE + PAGE, 0),
                ),
                page(HUGE + PAGE, validated=False, huge=False, perms=[0, 0, 0], hash=filled(0x22)),
                page(HUGE, validated=True, huge=False, perms=[0, 15, 0]),
            ),
        ),
        Rule(
            "An instruction of another size",
            "One on 2 MiB of entries of 4 KiB fails by 6, FAIL_SIZEMISMATCH.",
            (
                begin([PRIVATE, LARGE_PAGE, "private", 0]),
                *_pvalidate(
                    PRIVATE | _VALIDATE | 1, ("pvalidate", PRIVATE, 1, 1, 6, 0), rax=0x8000_1006
                ),
            ),
        ),
        Rule(
            "RMPADJUST of a page that is not validated",
            "Sources differ, so `unvalidated` says what comes of it: `input`, it fails by 1, FAIL_INPUT;"
            " `vc`, it is #VC.",
            (
                begin([PRIVATE, LARGE_PAGE, "private", 0]),
                (
                    _core(CoreCall.CREATE_VCPU, PRIVATE + PAGE, OTHER, 1),
                    {
                        "rax": 0x8000_1001,
                        "did": [
                            _requested(Protocol.CORE, CoreCall.CREATE_VCPU),
                            ["rmpadjust", PRIVATE + PAGE, 0, 2, 0, 0, 1],
                            ["flush_all"],
                            *_IN,
                        ],
                    },
                ),
            ),
        ),
        Rule(
            "A nested page fault",
            "An instruction, or an access of the SVSM, to a page that is not assigned to its address is a"
            " nested page fault. With `npf` `assign` the host assigns the page, not validated. `did` notes"
            " that of an instruction, which starts again; an access is then #VC.",
            (
                begin(npf="assign"),
                *_pvalidate(
                    SHARED | _VALIDATE,
                    ("npf", SHARED),
                    ("pvalidate", SHARED, 0, 1, 0, 0),
                    ("zero", SHARED, PAGE),
                    ("rmpadjust", SHARED, 0, 2, 15, 0, 0),
                ),
                page(SHARED, assigned=True, validated=True, perms=[0, 15, 0]),
            ),
        ),
        Rule(
            "The host ends the VM",
            "With `npf` `stop` it does so at a nested page fault: the answer is `terminated`.",
            (
                begin(),
                write(LIST, words(1, SHARED | _VALIDATE)),
                (_core(CoreCall.PVALIDATE, LIST), {"terminated": "a nested page fault"}),
            ),
        ),
        Rule(
            "A page that the SVSM cannot do without",
            "A VMSA that the host took stops the SVSM, by an assertion or by a termination request.",
            (
                begin(npf="assign"),
                host(VMSA, "private"),
                (_QUERY, {"panic": "a VMSA that is not validated"}),
            ),
        ),
        Rule(
            "A new vCPU",
            "`vmsa` writes a page as a guest does, zero but for the fields of a VMSA that are given."
            " SVSM_CORE_CREATE_VCPU makes it the vCPU's. A vCPU that was idle stays so until it is called"
            " for: it then enters its guest first.",
            (
                begin(),
                _NEW,
                _CREATE,
                page(ONE, vmsa=True, validated=True),
                (
                    {"op": "registry"},
                    {"entries": [[ONE, OTHER, 1, True, True], [VMSA, AREA, 0, False, False]]},
                ),
                (on("calling_area", 1), {"vmsa": ONE, "caa": OTHER, "state": "idle"}),
                (
                    {**_QUERY, "cpu": 1},
                    {
                        "ran": True, "vmsa": ONE, "caa": OTHER, "rax": 0, "rcx": _PRESENT,
                        "did": [
                            ["flush_all"], ["enter", ONE], _QUERIED, ["flush_all"], ["enter", ONE],
                        ],
                    },
                ),
                (on("calling_area", 1), {"state": "guest"}),
            ),
        ),
        Rule(
            "A vCPU that executes",
            "`run` makes a vCPU execute in its guest, where it has one that can run, until its next call or"
            " until it is told not to. The page of its VMSA is `in_use` to the host.",
            (
                begin(),
                _NEW,
                _CREATE,
                (on("run", 1, on=True), {"ok": False}),
                ({**_QUERY, "cpu": 1}, {"rax": 0}),
                (on("run", 1, on=True), OK),
                host(ONE, "shared", no("in_use")),
                (on("run", 1, on=False), OK),
                host(ONE, "shared"),
            ),
        ),
        Rule(
            "Another calling area",
            "SVSM_CORE_REMAP_CA names a page of the guest, whose first 8 bytes become zero. The answer"
            " names it already.",
            (
                begin(),
                (_core(CoreCall.REMAP_CA, ONE), {"rax": 0, "vmsa": VMSA, "caa": ONE}),
                (on("calling_area"), {"caa": ONE, "hex": "00" * 8}),
                read(ONE, 9, 2, OK | {"hex": "00" * 8 + "11"}),
            ),
        ),
    ),
)  # fmt: skip

_MANIFEST_BYTES = bytes((7 * i + 3) % 256 for i in range(314))
_REPORT_DATA = hashlib.sha512(bytes([FILL]) * 64 + _MANIFEST_BYTES).digest()
_MOST = 4 * PAGE  # bytes of certificates
_TOO_SHORT, _BUSY = 1 << 32, 2 << 32  # errors of the host
_OPERATION_BYTES = (
    words(REPORT, PAGE) + words(NONCE, 64) + words(MANIFEST, PAGE) + bytes(16)
    + guid_bytes(VTPM_GUID) + bytes(8)
)  # fmt: skip
_WITH_ROOM = _OPERATION_BYTES[:48] + words(CERTIFICATES, _MOST) + _OPERATION_BYTES[64:]
_ATTEST = call(0, AttestationCall.ATTEST_SINGLE_SERVICE, OPERATION, protocol=Protocol.ATTESTATION)
_ATTESTED = _requested(Protocol.ATTESTATION, AttestationCall.ATTEST_SINGLE_SERVICE)


def _attested(rax: int, *did: list[object], **registers: int) -> Step:
    """A call for a report, and the exits to the host that it makes."""
    requests = [["guest_request", *one] for one in did]
    return _ATTEST, {"rax": rax, **registers, "did": [_ATTESTED, *requests, *_IN]}


def _words_at(at: int, *values: int) -> Step:
    """What anyone finds in memory."""
    return {"op": "read", "gpa": at, "len": 8 * len(values)}, OK | {"hex": words(*values).hex()}


_TPM_GET_RANDOM = bytes.fromhex("80010000000a0000017b")

DEVICES = Chapter(
    "The secure processor and the TPM",
    (
        Rule(
            "A report",
            "A report has 1184 bytes, zero but for version 2 at 0, 1 at 0x34, REPORT_DATA at 0x50, 48 bytes"
            " 0xa1 at 0x90, and SHA-512 of the first 0x2a0 bytes at 0x2a0. The manifest of the vTPM has 314"
            " bytes, the i-th 7i + 3 modulo 256. REPORT_DATA is SHA-512 of nonce and manifest.",
            (
                begin(),
                write(OPERATION, _OPERATION_BYTES),
                _attested(0, [0, "ok"], rcx=314, rdx=0, r8=1184),
                read(REPORT + 0x50, 64, 2, OK | {"hex": _REPORT_DATA.hex()}),
                read(REPORT + 0x90, 2, 2, OK | {"hex": "a1a1"}),
                read(MANIFEST, 4, 2, OK | {"hex": "030a1118"}),
            ),
        ),
        Rule(
            "Prepared answers",
            "`psp` says what comes of the next guest requests, one after the other; without one left, it"
            ' is `"ok"`. `{"err": e, "rbx": b}` is an error of the host, `{"status": n}` one of the secure'
            ' processor. `"invalid"`: the host says that the exit was not valid. `"stale"`: the response'
            ' page stays as it was. `"tamper"` and `"size"`: the response was changed, or has another size.'
            " `certs` are the certificates that the host has: pages, the byte that fills them, and whether"
            " their first 24 bytes are such a byte too, or zero. At first there is one page of 0xce.",
            (
                begin(),
                write(OPERATION, _OPERATION_BYTES),
                ({"op": "psp", "answers": [{"status": 22}, "size"]}, OK),
                _attested(0x8000_0006, [0, "status", 22]),
                _attested(0x8000_0004, [0, "size"]),
                _attested(0, [0, "ok"]),
            ),
        ),
        Rule(
            "An error of the host",
            "`did` has the error and RBX. The error's upper half is the host's own: 2 is busy, and the SVSM"
            " asks once more by the same message, which nobody has answered.",
            (
                begin(),
                write(OPERATION, _OPERATION_BYTES),
                ({"op": "psp", "answers": [{"err": _BUSY, "rbx": 9}]}, OK),
                _attested(0, [0, "err", _BUSY, 9], [0, "ok"], r8=1184),
            ),
        ),
        Rule(
            "Certificates",
            "An SVSM that wants them has room for 4 pages, and `did` says 4. More than that is the host's"
            " error 1 in the upper half, with RBX the pages that there are; no `psp` has to prepare it. The"
            " SVSM then asks without certificates, so that its message is answered, and tells the guest how"
            " many bytes it needs.",
            (
                begin(),
                write(OPERATION, _WITH_ROOM),
                ({"op": "psp", "answers": [], "certs": [4, 0xAB, True]}, OK),
                _attested(0, [4, "ok"], rcx=314, rdx=_MOST, r8=1184),
                read(CERTIFICATES + _MOST - 2, 2, 2, OK | {"hex": "abab"}),
                ({"op": "psp", "answers": [], "certs": [5, 0xAB, True]}, OK),
                _attested(
                    0x8000_0005, [4, "err", _TOO_SHORT, 5], [0, "ok"], rcx=314, rdx=5 * PAGE
                ),
            ),
        ),
        Rule(
            "The TPM",
            "It answers by the command code: 0x144 with success, 0x17b with success and the bytes 00 04 de"
            " ad be ef, 0x20000001 with as many bytes as the 16-bit number after the code says, the i-th"
            " i exclusive-or 0x5a, 0x20000002 with the command, reversed. A command below 10 bytes is"
            " answered by 0x142, any other by 0x143.",
            (
                begin(),
                write(OPERATION, words(8, size=4) + b"\0" + words(10, size=4) + _TPM_GET_RANDOM),
                (
                    call(0, VtpmCall.COMMAND, OPERATION, protocol=Protocol.VTPM),
                    {
                        "rax": 0,
                        "did": [_requested(Protocol.VTPM, VtpmCall.COMMAND), ["tpm", 10], *_IN],
                    },
                ),
                read(
                    OPERATION, 20, 2, OK | {"hex": "10000000" + "80010000001000000000" + "0004deadbeef"}
                ),
            ),
        ),
        Rule(
            "Interrupts and memory",
            "With `reg_count` the SVSM emulates APICs too, where SEV_FEATURES has Alternate Injection,"
            " 0x10. EVENTINJ, EXITINTINFO, VINTR_CTRL and RFLAGS are then those of the VMSA: at first only"
            " VGIF is set. What only a guest can do is answered by `ran` false where there is none that"
            " could run. The host can post to any vCPU.",
            (
                begin(reg_count=1, sev_features=0x11),
                (call(0, 0), {"rax": 0, "rcx": 0}),
                (on("guest_take"), {"taken": "none", "vector": 0}),
                (on("guest_take", 1), {"ran": False, "taken": None}),
                (on("host_irq", 1, vector=97, level=False), {"posted": True, "hv": True, "status": 97}),
                (on("guest", **{"if": True, "shadow": True, "cr8": 3}), OK),
                _words_at(VMSA + 0x170, 0x200),  # RFLAGS.IF
                _words_at(VMSA + 0x3B8, 3 | 1 << 9 | 1 << 10),  # V_TPR, VGIF, the shadow
                ({"op": "write", "gpa": VMSA + 0x170, "hex": "00" * 8}, OK),
                (on("state"), {"if": False, "shadow": True, "v_tpr": 3, "alt_inj": True}),
            ),
        ),
    ),
)  # fmt: skip
