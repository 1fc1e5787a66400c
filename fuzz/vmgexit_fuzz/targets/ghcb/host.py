"""A host that carries out the exits of a GHCB page, and touches nothing that the page does not offer.

It copies the page once, lets `vmgexit.rules.exits` judge the copy, and carries out what they let pass. It
reads numbers by masks and shifts of its own, and every access is guarded: what no host may do, such as
use a field that is not marked valid or pass the end of the buffer, is a `Breach`, a bug of the rules or
of the host. What it did are plain tuples; it has no devices.

Facts: KVM arch/x86/kvm/svm/sev.c; the exits themselves as their rows in `wire.exits` say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vmgexit.rules import exits as exit_rules
from vmgexit.wire.exit import Exit
from vmgexit.wire.exit_codes import ExitCode, MalformedInput, Status
from vmgexit.wire.exits import find_exit
from vmgexit.wire.ghcb import BITMAP_OFFSET, BUFFER_END, BUFFER_OFFSET, GhcbPage
from vmgexit.wire.page_size import PAGE

UNLIMITED = 1 << 62
SCRATCH_LIMIT = 65536  # bytes, in version 1

OFFSETS = {
    "cpl": 0x0CB,
    "xss": 0x140,
    "rax": 0x1F8,
    "rcx": 0x308,
    "rdx": 0x310,
    "rbx": 0x318,
    "rsi": 0x330,
    "sw_exit_code": 0x390,
    "sw_exit_info_1": 0x398,
    "sw_exit_info_2": 0x3A0,
    "sw_scratch": 0x3A8,
    "xcr0": 0x3E8,
}

Effect = tuple[str | int | bytes | None, ...]


class Breach(Exception):
    """Something that no host may do. `cause` is the same for the same kind of thing."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(f"{cause}: {message}")
        self.cause, self.message = cause, message


class SharedPage:
    """The page as guest and host share it. The guest may change it at any time, so that what the host
    fetches twice may differ."""

    def __init__(self, data: bytes) -> None:
        self.memory = bytearray(data)
        self.fetched = 0  # one bit for each byte

    def fetch(self, at: int = 0, size: int = PAGE) -> bytes:
        """A copy, once."""
        wanted = (1 << size) - 1 << at
        if self.fetched & wanted:
            raise Breach("fetched twice", f"bytes {at:#x} to {at + size - 1:#x}")
        self.fetched |= wanted
        return bytes(self.memory[at : at + size])

    def store(self, at: int, data: bytes) -> None:
        """Write to the guest."""
        self.memory[at : at + len(data)] = data


class Refused(Exception):
    """What the host answers as malformed."""

    def __init__(self, error: MalformedInput) -> None:
        super().__init__(error.name)
        self.error = error


@dataclass(slots=True)
class Request:
    """The copy of a page that a guest exits with, and what the host does for it."""

    page: SharedPage
    gpa: int
    copy: bytes = b""
    answers: dict[str, int] = field(default_factory=dict)
    written: dict[int, bytes] = field(default_factory=dict)  # into the buffer, by page offset
    effects: list[Effect] = field(default_factory=list)

    def field(self, name: str) -> int:
        """A field that the guest marked valid."""
        at = OFFSETS[name]
        if not self._word(BITMAP_OFFSET, 16) >> at // 8 & 1:
            raise Breach(f"{name} is not valid", "and its value is used")
        return self._word(at, 1 if name == "cpl" else 8)

    @property
    def info1(self) -> int:
        return self.field("sw_exit_info_1")

    @property
    def info2(self) -> int:
        return self.field("sw_exit_info_2")

    @property
    def version(self) -> int:
        return self._word(0xFFA, 2) or 2  # where the page states none

    @property
    def usage(self) -> int:
        return self._word(0xFFC, 4)

    def _word(self, at: int, size: int) -> int:
        return int.from_bytes(self.copy[at : at + size], "little")

    def scratch(self) -> int:
        """Where in the page SW_SCRATCH leads to. This host cannot map anything elsewhere."""
        at = self.field("sw_scratch") - self.gpa
        if not 0 <= at < PAGE:
            raise Refused(MalformedInput.INVALID_SCRATCH_AREA)
        return at

    def load(self, at: int, size: int) -> bytes:
        """Bytes of the shared buffer."""
        self._guard(at, size)
        return self.copy[at : at + size]

    def write(self, at: int, data: bytes) -> None:
        """Put bytes into the shared buffer, when the exit is done."""
        self._guard(at, len(data))
        self.written[at] = data

    def _guard(self, at: int, size: int) -> None:
        if BUFFER_OFFSET <= at <= at + size <= BUFFER_END:
            return
        if self.version < 2:  # whose data may be anywhere that a host can map
            raise Refused(MalformedInput.INVALID_SCRATCH_AREA)
        raise Breach("outside the shared buffer", f"{size} bytes at page offset {at:#x}")

    def did(self, *effect: str | int | bytes | None) -> None:
        self.effects.append(effect)


def _must(holds: bool, cause: str, value: int) -> None:
    if not holds:
        raise Breach(cause, f"{value:#x}")


@dataclass(slots=True)
class GhcbHost:
    """One host. `budget` is how many 4 KiB pages a page state change works on before it gives way."""

    gpa: int
    budget: int = UNLIMITED

    def exit(self, page: SharedPage) -> Request:
        """Carry out the exit of a page and store the answer. Raises Breach."""
        request = Request(page, self.gpa)
        try:
            self._carry_out(request)
            status, detail = Status.DONE, request.answers.pop("sw_exit_info_2", 0)
        except Refused as refused:
            request.answers.clear()
            request.written.clear()
            status, detail = Status.MALFORMED_INPUT, refused.error
        answers = {"sw_exit_info_1": int(status), "sw_exit_info_2": int(detail), **request.answers}
        bitmap = 0
        for name, value in answers.items():
            at = OFFSETS[name]
            page.store(at, value.to_bytes(8, "little"))
            bitmap |= 1 << at // 8
        page.store(BITMAP_OFFSET, bitmap.to_bytes(16, "little"))
        for at, data in request.written.items():
            page.store(at, data)
        return request

    def _carry_out(self, request: Request) -> None:
        request.copy = request.page.fetch()
        if request.usage:
            raise Refused(MalformedInput.INVALID_USAGE)
        page = GhcbPage.decode(request.copy)
        for problem in exit_rules.problems_of_request(page):
            if problem.path != "shared_buffer":  # a page list tells its faults in its result
                raise Refused(exit_rules.refusal(page, problem))
        code = request.field("sw_exit_code")
        if code in _EXITS:
            _EXITS[code](self, request)
            return
        row = find_exit(code)
        if row is None:
            raise Breach("not an exit", f"{code:#x}")
        _by_row(page, row, request)


# --- exits ----------------------------------------------------------------------------------------


def _by_row(page: GhcbPage, row: Exit, request: Request) -> None:
    """An exit that only reads what its row says it needs, and answers 0 where its row returns."""
    words = ("sw_exit_info_1", row.info1), ("sw_exit_info_2", row.info2)
    names = [name for name, word in words if word.value]
    names += [need.field for need in row.needs if need.applies(page)]
    request.did("done", request.field("sw_exit_code"), *(request.field(name) for name in names))
    for returned in row.returns:
        request.answers[returned.field] = 0


def _cpuid(host: GhcbHost, request: Request) -> None:
    leaf, subleaf = request.field("rax") & 0xFFFFFFFF, request.field("rcx") & 0xFFFFFFFF
    xcr0 = request.field("xcr0") if leaf == 0xD else None
    request.did("cpuid", leaf, subleaf, xcr0)
    request.answers |= dict.fromkeys(("rax", "rbx", "rcx", "rdx"), 0)


def _ioio(host: GhcbHost, request: Request) -> None:
    info, count = request.info1, request.info2
    size, port = info >> 4 & 7, info >> 16 & 0xFFFF
    _must(size in (1, 2, 4), "no operand size", info)
    is_in = info & 1
    if not info & 4:
        if is_in:
            request.did("in", port, size)
            request.answers["rax"] = 0
        else:
            value = request.field("rax") & (1 << 8 * size) - 1
            request.did("out", port, size, value)
        return
    if not count:
        return
    at, length = request.scratch(), size * count
    most = BUFFER_END - BUFFER_OFFSET if request.version >= 2 else SCRATCH_LIMIT
    _must(length <= most, "more than the buffer holds", length)
    if is_in:
        request.write(at, bytes(length))
        request.did("ins", port, size, count)
    else:
        request.did("outs", port, size, request.load(at, length))


def _mmio(host: GhcbHost, request: Request) -> None:
    where, length = request.info1, request.info2
    most = 8 if request.version >= 2 else SCRATCH_LIMIT
    _must(length <= most, "MMIO of a wrong length", length)
    if not length:
        return
    at = request.scratch()
    if request.field("sw_exit_code") == ExitCode.MMIO_READ:
        request.write(at, bytes(length))
        request.did("read", where, length)
    else:
        request.did("write", where, request.load(at, length))


def _msr(host: GhcbHost, request: Request) -> None:
    number = request.field("rcx") & 0xFFFFFFFF
    _must(request.info1 <= 1, "neither read nor write", request.info1)
    if request.info1:
        low, high = request.field("rax") & 0xFFFFFFFF, request.field("rdx") & 0xFFFFFFFF
        request.did("wrmsr", number, high << 32 | low)
    else:
        request.did("rdmsr", number)
        request.answers |= {"rax": 0, "rdx": 0}


def _jump_table(host: GhcbHost, request: Request) -> None:
    _must(request.info1 <= 1, "neither set nor get", request.info1)
    if request.info1:
        request.did("get jump table")
    else:
        request.did("set jump table", request.info2)


PRIVATE, SHARED, PSMASH, UNSMASH = 1, 2, 3, 4
_INVALID = 1  # class of an error: 1 header, 2 entry


def _page_state(host: GhcbHost, request: Request) -> None:
    """The entries from the current one on, as far as the budget goes; then the header is moved on.

    It stops at what is wrong with the list, and says so in the result.
    """
    start = request.scratch()
    faults = exit_rules.page_list_problems(GhcbPage.decode(request.copy))
    fault = next((index for index, _ in faults), None)
    if fault is not None and fault < 0:
        request.answers["sw_exit_info_2"] = _INVALID << 32 | 1
        return
    header = int.from_bytes(request.load(start, 8), "little")
    current, last = header & 0xFFFF, header >> 16 & 0xFFFF
    left = host.budget
    while current <= last and left > 0:
        if current == fault:
            request.answers["sw_exit_info_2"] = _INVALID << 32 | 2
            break
        at = start + 8 + 8 * current
        entry = int.from_bytes(request.load(at, 8), "little")
        done = _change(request, current, entry, left)
        left -= done
        if _pages_of(entry) > done:
            request.write(at, (entry + done).to_bytes(8, "little"))
            break
        request.write(at, (entry & ~0xFFF | _size_of(entry)).to_bytes(8, "little"))
        current += 1
    request.write(start, (header & ~0xFFFF | current).to_bytes(8, "little"))


def _size_of(entry: int) -> int:
    """What the current page of a finished entry is; a 4 KiB one keeps its own."""
    return 512 if entry >> 56 & 1 else entry & 1


def _pages_of(entry: int) -> int:
    """Pages that an entry still has to do."""
    return (512 if entry >> 56 & 1 else 1) - (entry & 0xFFF)


def _change(request: Request, index: int, entry: int, most: int) -> int:
    """Work on one entry; how many pages that was."""
    done, frame, operation = entry & 0xFFF, entry >> 12 & (1 << 40) - 1, entry >> 52 & 15
    large = entry >> 56 & 1
    _must(PRIVATE <= operation <= UNSMASH, "unknown page operation", entry)
    _must(not entry >> 57, "reserved bits of an entry", entry)
    _must(done <= (512 if large else 1), "current page outside its entry", entry)
    _must(not large or frame % 512 == 0, "large page that is not aligned", entry)
    pages = min(_pages_of(entry), most)
    if operation in (PRIVATE, SHARED) and pages:  # the others are hints
        request.did("page state", index, frame + done, pages, operation)
    return pages


def _guest_request(host: GhcbHost, request: Request) -> None:
    asked, answered = request.info1, request.info2
    _must(asked % PAGE == 0 and answered % PAGE == 0, "page that is not aligned", asked | answered)
    _must(asked != answered, "request and response in one page", asked)
    data: tuple[int, ...] = ()
    if request.field("sw_exit_code") == ExitCode.SNP_EXTENDED_GUEST_REQUEST:
        data = request.field("rax"), request.field("rbx")
        _must(data[0] % PAGE == 0, "page that is not aligned", data[0])
    request.did("message", asked, answered, *data)


def _ap_creation(host: GhcbHost, request: Request) -> None:
    info, vmsa = request.info1, request.info2
    operation, vmpl = info & 0xFFFF, info >> 16 & 15
    _must(operation <= 2, "unknown AP operation", operation)
    _must(vmpl <= 3, "unknown VMPL", vmpl)
    features = None
    if operation != 2:
        features = request.field("rax")
        _must(vmsa % PAGE == 0 and vmsa % (2 << 20) != 0, "VMSA at a wrong place", vmsa)
    request.did("ap", operation, vmpl, info >> 32, vmsa if operation != 2 else None, features)


def _doorbell(host: GhcbHost, request: Request) -> None:
    operation, address = request.info1, request.info2
    _must(operation <= 3, "unknown doorbell operation", operation)
    _must(operation != 1 or address % PAGE == 0, "page that is not aligned", address)
    request.did("doorbell", operation, address if operation == 1 else None)
    request.answers["sw_exit_info_2"] = address if operation == 1 else (1 << 64) - 1


def _ipi(host: GhcbHost, request: Request) -> None:
    icr = request.info1
    _must(not icr >> 20 & 0xFFF and not icr >> 13 & 1, "reserved bits of the ICR", icr)
    _must(icr >> 8 & 7 != 3, "unknown message type", icr)
    request.did("ipi", icr & 0xFF, icr >> 8 & 7, icr >> 11 & 1, icr >> 18 & 3, icr >> 32)


def _apic_id_list(host: GhcbHost, request: Request) -> None:
    request.did("APIC IDs", request.info1, request.field("rax"))
    request.answers["rax"] = 1  # page that the list needs


def _run_vmpl(host: GhcbHost, request: Request) -> None:
    _must(request.info1 <= 3, "unknown VMPL", request.info1)
    request.did("run", request.info1)


def _secure_avic(host: GhcbHost, request: Request) -> None:
    operation, target = request.info1, request.field("rax")
    _must(operation <= 1, "neither register nor unregister", operation)
    if operation:
        request.did("unregister", target)
        request.answers["rbx"] = 0
    else:
        request.did("register", target, request.field("rbx"))


def _notify(host: GhcbHost, request: Request) -> None:
    vector = request.info1
    _must(31 <= vector <= 255, "vector of an exception", vector)
    request.did("notify by", vector)


def _lower_vmpl(request: Request, name: str, *numbers: int) -> None:
    vmpl = request.info1 >> 16 & 0xFF
    _must(1 <= vmpl <= 3, "not a lower VMPL", vmpl)
    _must(not request.info1 >> 24, "reserved bits", request.info1)
    request.did(name, vmpl, *numbers)


def _disable(host: GhcbHost, request: Request) -> None:
    info = request.info1
    _lower_vmpl(request, "hand over", info & 1, info >> 1 & 1, info >> 8 & 0xFF)


def _eoi(host: GhcbHost, request: Request) -> None:
    _must(not request.info1 >> 8 & 0xFF, "reserved bits", request.info1)
    _lower_vmpl(request, "eoi", request.info1 & 0xFF)


def _terminate(host: GhcbHost, request: Request) -> None:
    request.did("terminate", request.info1 & 15, request.info1 >> 4 & 0xFF, request.info2)


_EXITS: dict[int, Callable[[GhcbHost, Request], None]] = {
    ExitCode.CPUID: _cpuid,
    ExitCode.IOIO: _ioio,
    ExitCode.MSR: _msr,
    ExitCode.MMIO_READ: _mmio,
    ExitCode.MMIO_WRITE: _mmio,
    ExitCode.AP_JUMP_TABLE: _jump_table,
    ExitCode.SNP_PAGE_STATE_CHANGE: _page_state,
    ExitCode.SNP_GUEST_REQUEST: _guest_request,
    ExitCode.SNP_EXTENDED_GUEST_REQUEST: _guest_request,
    ExitCode.SNP_AP_CREATION: _ap_creation,
    ExitCode.HV_DOORBELL_PAGE: _doorbell,
    ExitCode.HV_IPI: _ipi,
    ExitCode.APIC_ID_LIST: _apic_id_list,
    ExitCode.SNP_RUN_VMPL: _run_vmpl,
    ExitCode.SECURE_AVIC: _secure_avic,
    ExitCode.CONFIGURE_INJECTION: _notify,
    ExitCode.DISABLE_ALTERNATE_INJECTION: _disable,
    ExitCode.SPECIFIC_EOI: _eoi,
    ExitCode.TERMINATION_REQUEST: _terminate,
}
"""By exit code, what the host does; the others are carried out by their rows."""
