"""Each bug planted in rules, hosts, builders and codecs has one input of its target that shows it."""

import struct
from collections.abc import Sequence

import pytest

from tests.campaigns.planted import Bug, bugs, planted
from vmgexit import GhcbPage, HypervisorFeatures, PscEntry, PscHeader, SevStatus
from vmgexit.schema import Structure
from vmgexit.wire.apic import ApicCall
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.ghcb_msr import GhcbInfo, PageStateRequest
from vmgexit.wire.svsm import CoreCall, Protocol
from vmgexit_fuzz.targets import Finding, as_finding, codec, differential, find
from vmgexit_fuzz.targets.ghcb import programs
from vmgexit_fuzz.targets.ghcb.exit import WORDS, chosen
from vmgexit_fuzz.targets.msr import _CODES

OURS = {
    name: bug for name, bug in bugs().items() if bug.place.startswith("tests.campaigns.planted.w")
}

PSC = ExitCode.SNP_PAGE_STATE_CHANGE


def exits(code: int, variant: int = 0, buffer: bytes | None = None, **words: int) -> bytes:
    """An input of `ghcb-exit`: right arguments for the exit, and the words that replace some."""
    number = next(n for n in range(256) if chosen(bytes([n]))[0] == code)
    replaced = sum(1 << WORDS.index(name) for name in words) | (buffer is not None) << 15
    values = [words.get(name, 0) for name in WORDS]
    head = struct.pack(f"<2B4x2H{len(WORDS)}Q", number, variant, replaced, 0, *values)
    return head + (buffer or b"")


def about(classes: Sequence[type[Structure]], cls: type[Structure], *choices: int) -> bytes:
    """What chooses a structure, before the bytes for it."""
    return classes.index(cls).to_bytes(2, "little") + bytes(choices)


def decoded(cls: type[Structure], data: bytes) -> bytes:
    return about(codec.classes(codec.CHAPTERS["codec-ghcb"]), cls, 0) + data


def compared(cls: type[Structure], data: bytes, how: int = 0, field: int = 0) -> bytes:
    low, high = field.to_bytes(2, "little")
    return about(differential.classes(), cls, 0, how, low, high) + data


def words(one: int, other: int = 0) -> bytes:
    """An input of `msr`: two values as they are."""
    return struct.pack("<3B2Q", 0, 0, 0, one, other)


def call(request: int, rcx: int, protocol: int = Protocol.CORE) -> bytes:
    """A program: `init`, and one call."""
    init = bytes([0, 1]).ljust(12, b"\0") + (1).to_bytes(8, "little") + bytes(16)
    return init + struct.pack("<4B2I3Q", 1, 0, 0, 0, protocol, request, rcx, 0, 0)


def pages(*entries: PscEntry, last: int | None = None) -> bytes:
    header = PscHeader(end_entry=len(entries) - 1 if last is None else last)
    return header.encode() + b"".join(entry.encode() for entry in entries)


SHARED = PscEntry(frame=0x12345, operation=2)
LARGE = PscEntry(frame=0x40000, operation=1, large=True)


def page_list() -> bytes:
    """An input of `ghcb-host`: a 2 MiB entry with 2 pages done, then the page at its frame and 510."""
    operation = bytearray(programs.SIZE)
    operation[0] = programs.code_of("vmgexit")
    operation[4] = programs.exit_choices()[ExitCode.SNP_PAGE_STATE_CHANGE]
    operation[11] = 0x80  # the buffer is what follows the words
    entries = 1 << 56 | 2 << 52 | 0x40000 << 12 | 2, 2 << 52 | (0x40000 + 510) << 12
    data = b"".join(word.to_bytes(8, "little") for word in (1 << 16, *entries))
    operation[118 : 118 + len(data)] = data
    return bytes(programs.SIZE) + operation


# What the finding's cause holds, and the input.
INPUTS: dict[str, tuple[str, bytes]] = {
    "scratch-outside-the-buffer": (
        "MMIO_READ: outside the shared buffer",
        exits(ExitCode.MMIO_READ, sw_scratch=0x7F8),
    ),
    "scratch-past-the-buffer": (
        "MMIO_WRITE: outside the shared buffer",
        exits(ExitCode.MMIO_WRITE, sw_scratch=0xFEE),
    ),
    "page-list-as-long-as-info2": (
        "SNP_PAGE_STATE_CHANGE: outside the shared buffer",
        exits(PSC, sw_scratch=0xFEC),
    ),
    "page-list-of-253-anywhere": (
        "SNP_PAGE_STATE_CHANGE: outside the shared buffer",
        exits(PSC, sw_scratch=0xFE0, buffer=pages(SHARED, last=252)),
    ),
    "mmio-of-no-length": (
        "MMIO_READ is carried out otherwise",
        exits(ExitCode.MMIO_READ, sw_exit_info_2=0),
    ),
    "mmio-above-8-bytes": (
        "MMIO_WRITE: MMIO of a wrong length",
        exits(ExitCode.MMIO_WRITE, sw_exit_info_2=16),
    ),
    "string-of-no-element": (
        "IOIO is carried out otherwise",
        exits(ExitCode.IOIO, 2, sw_exit_info_2=0),
    ),
    "string-elements-taken-for-bytes": (
        "IOIO: more than the buffer holds",
        exits(ExitCode.IOIO, 4, sw_exit_info_2=509),
    ),
    "page-list-fetched-twice": ("SNP_PAGE_STATE_CHANGE: fetched twice", exits(PSC)),
    "hint-changes-pages": ("SNP_PAGE_STATE_CHANGE is carried out otherwise", exits(PSC, 2)),
    "begun-entry-from-its-start": (
        "SNP_PAGE_STATE_CHANGE is carried out otherwise",
        exits(
            PSC,
            buffer=pages(LARGE, PscEntry(frame=0x40200, operation=1, large=True, current_page=5)),
        ),
    ),
    "small-entry-ends-at-512": ("SNP_PAGE_STATE_CHANGE is left otherwise", exits(PSC)),
    "msr-read-marks-nothing": ("the answer to MSR is wrong", exits(ExitCode.MSR)),
    "ipi-loses-its-destination": (
        "HV_IPI is carried out otherwise",
        exits(ExitCode.HV_IPI, sw_exit_info_1=0x0000000500000061),
    ),
    "cpuid-without-rcx": ("the builder's CPUID is refused", exits(ExitCode.CPUID)),
    "scratch-not-marked": ("the builder's MMIO_READ is refused", exits(ExitCode.MMIO_READ)),
    "exit-words-not-marked": ("the builder's RDTSC is refused", exits(ExitCode.RDTSC)),
    "page-list-one-too-long": ("the builder's SNP_PAGE_STATE_CHANGE is refused", exits(PSC)),
    "page-operation-of-one-bit": ("psc-entry is not lossless", decoded(PscEntry, SHARED.encode())),
    "frame-shifted-in-40-bits": (
        "psc-entry is not lossless",
        decoded(PscEntry, bytes.fromhex("0000000000011000")),  # 1 TiB
    ),
    "cpl-stored-as-a-quadword": (
        "ghcb is not lossless",
        decoded(GhcbPage, bytes(0xCC) + b"\x01"),
    ),
    "features-are-bit-numbers": (
        "hypervisor-features is not lossless",
        decoded(HypervisorFeatures, b"\x03"),
    ),
    "sev-status-one-bit-lower": (
        "sev-status differs from",
        compared(SevStatus, b"\x00\x00\x01"),
    ),
    "frame-runs-into-operation": (
        "ghcb-msr-page-state-request differs from construct in what is refused",
        compared(PageStateRequest, b"\x14", how=10, field=1),  # one above what fits the frame
    ),
    "run-vmpl-without-parentheses": (
        "ghcb-msr-run-vmpl-request is made otherwise",
        words(0x0000000100000016),
    ),
    "cpuid-reserved-bits-12-to-19": (
        "ghcb-msr-cpuid-response is wrongly accepted",
        words(0x0000000000100005),
    ),
    "preferred-request-wants-data": ("DecodeError", words(0x010)),
    "unregister-awaits-another-code": (
        "ghcb-msr-unregister-gpa-request is wrongly refused",
        words(0x018, 0x7019),
    ),
    "run-vmpl-error-ignored": (
        "ghcb-msr-run-vmpl-response is wrongly not read as a failure",
        words(0x0000000100000017),
    ),
    "core-queried-as-protocol-1": (
        "value of RCX of SVSM_CORE_QUERY_PROTOCOL",
        call(CoreCall.QUERY_PROTOCOL, 0x0000000000000001),
    ),
    "begun-entry-is-merged": ("HOST-5 the exit SNP_PAGE_STATE_CHANGE", page_list()),
    "query-past-the-table": ("INV-10", call(CoreCall.QUERY_PROTOCOL, 0x0000000500000001)),
}


def test_every_bug_has_an_input() -> None:
    assert OURS.keys() == INPUTS.keys()
    assert all(bug.wrong.endswith(".") and bug.source for bug in OURS.values())
    assert {bug.target for bug in OURS.values()} == {
        "codec-ghcb",
        "codec-differential",
        "msr",
        "ghcb-exit",
        "ghcb-host",
        "svsm-calls",
    }


@pytest.mark.parametrize("bug", OURS.values(), ids=OURS.keys())
def test_the_bug_is_found_and_nothing_is_without_it(bug: Bug) -> None:
    cause, data = INPUTS[bug.name]
    target = find(bug.target).open()
    target.run(data)
    with planted(bug), pytest.raises(Exception) as found:  # noqa: PT011
        target.run(data)
    assert cause in as_finding(found.value).cause
    target.run(data)


def test_inputs_are_what_the_bug_is_about() -> None:
    """The builders above choose what they say, so that a bug is not found by chance."""
    assert "0x34" not in find("msr").open().read(words(GhcbInfo.FEATURES_REQUEST))
    assert "CpuidRequest" in find("msr").open().read(words(4))
    assert _CODES[0] is None
    assert (
        find("codec-ghcb").open().read(decoded(PscEntry, SHARED.encode())).startswith("psc-entry: ")
    )
    assert "frame = 1099511627776" in find("codec-differential").open().read(
        INPUTS["frame-runs-into-operation"][1]
    )
    shown = find("svsm-calls").open().read(call(ApicCall.READ_REGISTER, 0x808, Protocol.APIC))
    assert "SVSM_APIC_READ_REGISTER" in shown
    assert "rcx=0x808" in shown
    assert "sw_scratch 0x77f8" in find("ghcb-exit").open().read(
        INPUTS["scratch-outside-the-buffer"][1]
    )


def test_a_bug_of_the_rules_is_a_finding_of_the_hosts_guard() -> None:
    with planted(OURS["mmio-above-8-bytes"]), pytest.raises(Finding) as found:
        find("ghcb-exit").open().run(INPUTS["mmio-above-8-bytes"][1])
    assert found.value.message == "MMIO_WRITE: MMIO of a wrong length: 0x10"
