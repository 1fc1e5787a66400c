"""A GHCB host: from a VMGEXIT to its answer.

    host = Host(Vm.of(Setup(registered=0x7000)), profile("kvm"))
    host.vmgexit(SharedPage(data), 0x7000)

An answer says how the guest goes on (`run`), what the page holds then (`status` and `detail`, the words at
SW_EXITINFO1 and 2; `valid`; `registers`; `buffer`, the changed bytes) and what the host asked of devices,
memory, firmware and user space (`asked`, in order). Where the host did not look at the page, because it is
not in guest memory or the vCPU does not run, `page` is "untouched".
"""

from __future__ import annotations

from ..descriptions import Answer
from ..wire.exit import Exit
from ..wire.exit_codes import Status
from ..wire.ghcb import BITMAP_OFFSET
from ..wire.page_size import PAGE
from . import msr
from .checks import checked
from .page import OFFSETS, SharedPage, changed_runs
from .quirks import Quirks
from .request import Refused, Request, Services, Stop
from .rules import EXITS
from .vm import Vm

RETURNED = ("rax", "rbx", "rcx", "rdx")
Run = str | list[int | str]
INFOS = ("sw_exit_info_1", "sw_exit_info_2")


class Host:
    """One host and its VM."""

    def __init__(self, vm: Vm, quirks: Quirks) -> None:
        self.vm = vm
        self.quirks = quirks
        self.last: Request | None = None  # of the last command, where that was a page's exit

    def msr(self, word: int, cpu: int = 0) -> Answer:
        """What follows a VMGEXIT with `word` in the GHCB MSR: `run`, the `word` after it, `asked`."""
        if not word & 0xFFF:
            page = SharedPage(self.vm.memory.read(word, PAGE) or b"")
            answer = self.vmgexit(page, word, cpu)
            return {"run": answer["run"], "word": word, "asked": answer["asked"]}
        stands = self._stands(cpu)
        if stands:
            return {"run": stands, "word": word, "asked": []}
        services = Services(self.vm, self.quirks, self.vm.vcpus[cpu])
        run: Run = "guest"
        try:
            word = msr.answer(services, word)
        except Stop as stop:
            run, self.vm.ended = stop.run, True
        return {"run": run, "word": word, "asked": services.asked}

    def vmgexit(self, page: SharedPage, gpa: int, cpu: int = 0) -> Answer:
        """What follows a VMGEXIT with `page` at `gpa`, whose low 12 bits are 0. The page becomes a part of
        guest memory."""
        stands = self._stands(cpu)
        if stands or not gpa or not self.vm.memory.holds(gpa, PAGE):
            return {"run": stands or "guest", "page": "untouched", "asked": []}
        self.vm.memory.place(gpa, page.memory)
        request = self.last = Request(self.vm, self.quirks, self.vm.vcpus[cpu], page=page, gpa=gpa)
        run = self._carry_out(request)
        return {"run": run, **_told(page), "asked": request.asked}

    def start(self, cpu: int) -> bool:
        """Send a start-up IPI; whether the vCPU was held, and is released by it."""
        vcpu = self.vm.vcpus[cpu]
        if not vcpu.held:
            return False
        vcpu.held = False
        if vcpu.held_by:
            self.vm.memory.write(
                vcpu.held_by + OFFSETS["sw_exit_info_2"], (1).to_bytes(8, "little")
            )
        return True

    def _stands(self, cpu: int) -> str:
        """Why a vCPU does not run and cannot exit; "" if it does."""
        return "ended" if self.vm.ended else "held" if self.vm.vcpus[cpu].held else ""

    def _carry_out(self, request: Request) -> Run:
        """Take a page over, do what it asks for, and store the answer; returns how the guest goes on."""
        request.take_over()
        if self.quirks.xcr0_taken_always and request.is_marked("xcr0"):
            request.ask("xcr0", request.field("xcr0"))
        row = None
        try:
            row = checked(request)
            _exit(row, request)
        except Refused as refused:
            request.status, request.detail = Status.MALFORMED_INPUT, refused.error
            request.results.clear()
        except Stop as stop:
            self.vm.ended = True
            words = {} if row is None else dict.fromkeys(INFOS, 0)
            _store(request.page, words)
            return stop.run
        if request.area is not None:
            request.area.give_back()
        words = dict(zip(INFOS, (request.status, request.detail), strict=True))
        _store(request.page, words | self._returned(request))
        return "guest"

    def _returned(self, request: Request) -> dict[str, int]:
        """The registers that come back."""
        if not self.quirks.registers_always_returned:
            return request.results
        given = {
            name: request.held(name)
            if request.is_marked(name) or not self.quirks.unmarked_registers_zeroed
            else 0
            for name in RETURNED
        }
        return given | request.results


def _exit(row: Exit, request: Request) -> None:
    carry_out = EXITS.get(row.code)
    if carry_out is not None:
        carry_out(request)
    else:
        _by_row(row, request)


def _by_row(row: Exit, request: Request) -> None:
    """An exit of which no more is known than its row: its words are judged, and 0 is returned."""
    words = []
    for name, word in zip(INFOS, (row.info1, row.info2), strict=True):
        if word.layout is not None:
            request.sound(word.layout, request.field(name))
        if word.layout is not None or word.value:
            words.append(request.field(name))
    request.ask("exit", int(row.code), *words)
    done = _Done()
    request.results |= {
        returned.field: 0 for returned in row.returns if returned.applies(request, done)
    }


class _Done:
    """An answer without an error, as the conditions of a row look at it."""

    sw_exit_info_1 = sw_exit_info_2 = rax = 0


def _store(page: SharedPage, words: dict[str, int]) -> None:
    """Put words into the page; they are what is valid then."""
    marked = 0
    for name, value in words.items():
        page.store(OFFSETS[name], value.to_bytes(8, "little"))
        marked |= 1 << OFFSETS[name] // 8
    page.store(BITMAP_OFFSET, marked.to_bytes(16, "little"))


def _told(page: SharedPage) -> Answer:
    """The page after an exit, as an answer tells it."""
    after = bytes(page.memory)

    def held(name: str) -> int:
        return int.from_bytes(after[OFFSETS[name] : OFFSETS[name] + 8], "little")

    marked = int.from_bytes(after[BITMAP_OFFSET : BITMAP_OFFSET + 16], "little")
    valid = [name for name, at in OFFSETS.items() if marked >> at // 8 & 1]
    return {
        "status": held("sw_exit_info_1"),
        "detail": held("sw_exit_info_2"),
        "valid": valid,
        "registers": {name: held(name) for name in RETURNED if name in valid},
        "buffer": changed_runs(page.given, after),
    }
