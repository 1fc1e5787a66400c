"""What must hold of a GHCB host after every command: the invariants HOST-1 to HOST-12.

Each is a function of one step. It answers what is wrong, in words, or None where the step gave it nothing
to check. They are written from the descriptions of exits and MSR words, and know nothing of quirks.
`HostWatch` runs scenarios under them; a broken one is a `Violation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ...descriptions import Answer, Command
from ...hosts.asked import Asked
from ...hosts.host import INFOS
from ...hosts.quirks import REFERENCE
from ...hosts.restricted import HV, MACHINE_CHECK, NMI, interrupt, is_restricted
from ...hosts.scenario import Session
from ...hosts.vm import Vm
from ...rules import msr
from ...rules.exits import problems_of_answer
from ...wire.exit_codes import ExitCode, MalformedInput, Status
from ...wire.exits import find_exit
from ...wire.ghcb import BITMAP_OFFSET, BUFFER_END, BUFFER_OFFSET, GhcbPage
from ...wire.ghcb_msr import (
    NO_FRAME,
    RESPONSE_TO,
    GhcbInfo,
    PageStateRequest,
    RegisterGpaRequest,
    RegisterGpaResponse,
    decode_msr,
)
from ...wire.page_size import PAGE
from ...wire.vmsa import EventInj, EventType
from ..judged import Invariant, Violation, Wrong, adding_to
from . import documented
from .documented import Run
from .steps import (
    OF_EVENTS,
    Kept,
    SinglePage,
    Step,
    mapped,
    single_pages,
    waiting,
)

_READS = ("read-memory",)

HOST_INVARIANTS: list[Invariant] = []
_add_rule = adding_to(HOST_INVARIANTS)
_Check = Callable[[Step], "str | None"]


def _invariant(name: str, meaning: str, *, when: str) -> Callable[[_Check], _Check]:
    """Add a rule, whose function says what is wrong: "" for nothing, None where it had nothing to check."""

    def add(check: _Check) -> _Check:
        def wrong(vm: Vm, books: None, step: Step) -> Wrong | None:
            told = check(step)
            return None if told is None else [(step.place(), told)] if told else []

        _add_rule(name, meaning, when=when)(wrong)
        return check

    return add


# --- pages ------------------------------------------------------------------------------------------


@_invariant(
    "HOST-1",
    "every page of guest memory is answered, by the rules of answers",
    when="a guest exited with a page",
)
def _answered(step: Step) -> str | None:
    if not step.is_answered:
        return None
    after = step.after
    if not after.is_answer:
        return "no answer: the status is not marked valid"
    given = step.page
    return next((str(one) for one in problems_of_answer(after, given)), "")


@_invariant("HOST-2", "nothing is fetched twice", when="a guest exited with a page")
def _fetched_once(step: Step) -> str | None:
    if step.request is None:
        return None
    twice = step.request.page.fetched_twice()
    return f"{twice[0][1]} bytes at page offset {twice[0][0]:#x} fetched again" if twice else ""


@_invariant(
    "HOST-3", "nothing is used that is not marked valid", when="an exit was done with status 0"
)
def _used_valid(step: Step) -> str | None:
    if not step.is_done or step.request is None:
        return None
    used = sorted(step.request.assumed - _MAY_BE_ZERO.get(step.page.sw_exit_code, set()))
    return f"{', '.join(used)} used, and not marked valid" if used else ""


_MAY_BE_ZERO: dict[int, set[str]] = {
    ExitCode.IOIO: {"rax"},  # the rest of RAX after a short IN
    ExitCode.VMMCALL: {"rbx", "rcx", "rdx", "rsi"},  # as many as the hypercall has
}
"""What counts as 0 where a guest does not give it."""


@_invariant(
    "HOST-4",
    "nothing is touched that the page does not offer: of the page, the scratch area and the answer's"
    " fields; of guest memory, what the exit names and is there",
    when="a guest exited with a page",
)
def _within(step: Step) -> str | None:
    if step.request is None:
        return None
    page = step.request.page
    for at, data in (*page.stores, *((at, d) for at, d in page.fetches if at >= BUFFER_OFFSET)):
        end = at + len(data)
        is_fields = end <= BITMAP_OFFSET + 16 or at >= BUFFER_END
        if not is_fields and not BUFFER_OFFSET <= at <= end <= BUFFER_END:
            return f"{len(data)} bytes at page offset {at:#x}: outside the shared buffer"
    top = step.vm.setup.memory_top
    for what in step.asked:
        if what[0] in ("write-memory", "clear-memory"):
            gpa, size = what[1], what[2]
            assert isinstance(gpa, int)
            assert isinstance(size, int)
            if gpa + size > top:
                return f"{size} bytes at {gpa:#x}: outside guest memory"
    return ""


@_invariant(
    "HOST-5",
    "page states follow what was asked: each entry's own pages, in order, no others",
    when="a page state change was carried out",
)
def _page_states(step: Step) -> str | None:
    changed = [one for one in mapped(step) if one[1]]
    if step.request is None:
        return _of_the_word(step, changed) if step.command["op"] == "msr" else None
    if "status" not in step.answer or step.answer["run"] != "guest":
        return None
    page = step.page
    if page.sw_exit_code != ExitCode.SNP_PAGE_STATE_CHANGE:
        return _unasked(changed)
    refused = step.answer["status"] != Status.DONE
    if refused or not step.vm.setup.map_exit:
        return _unasked(changed)
    asked = documented.work(page, step.request.gpa)
    if tuple(changed) != asked.runs[: len(changed)]:  # they may be the same pages in other runs
        due, done = single_pages(asked.runs), single_pages(changed)
        if wrong := _other_pages(due, done):
            return wrong
    if step.vm.setup.map_fails_at is None and step.vm.setup.page_budget is None:
        made, of = (sum(pages for _, pages, _ in runs) for runs in (changed, asked.runs))
        if made < of:
            return f"{made} pages changed of {of}"
        if step.answer["detail"] != asked.result:
            return f"answered {step.answer['detail']:#x}, {asked.result:#x} expected"
    return ""


def _other_pages(due: list[SinglePage], done: list[SinglePage]) -> str:
    if done != due[: len(done)]:
        at = next((n for n, pair in enumerate(done) if due[n : n + 1] != [pair]), 0)
        frame, state = done[at]
        return f"frame {frame:#x} made {state.name.lower()}, {_told(due, at)}"
    return ""


def _told(due: list[SinglePage], at: int) -> str:
    if at >= len(due):
        return "and the list asks for no more"
    frame, state = due[at]
    return f"where the list asks for {frame:#x} {state.name.lower()}"


def _unasked(changed: list[Run]) -> str | None:
    return (
        f"{changed[0][1]} pages at frame {changed[0][0]:#x} changed, unasked" if changed else None
    )


def _of_the_word(step: Step, changed: list[Run]) -> str | None:
    if step.command["request"] & 0xFFF != GhcbInfo.PAGE_STATE_REQUEST:
        return _unasked(changed)
    asked = PageStateRequest.of(step.command["request"])
    wanted = (asked.frame, 1, asked.operation)
    return "" if not changed or changed == [wanted] else f"frame {changed[0][0]:#x} changed"


@_invariant("HOST-6", "a refused exit changes nothing", when="an exit was refused, with status 2")
def _unchanged(step: Step) -> str | None:
    if not step.is_answered or step.answer["status"] != Status.MALFORMED_INPUT:
        return None
    did = [what for what in step.asked if what[0] not in _READS]
    if did:
        return f"{' '.join(map(str, did[0]))} was asked for"
    if step.answer["buffer"]:
        return "the shared buffer was written"
    differs = step.before.differs(step.vm)
    return f"{differs} changed" if differs else ""


@_invariant(
    "HOST-7",
    "an exit is refused for what it is, and only then; and does what its description says",
    when="a guest exited with a page",
)
def _as_described(step: Step) -> str | None:
    if not step.is_answered or step.request is None:
        return None
    page, setup, gpa = step.page, step.vm.setup, step.request.gpa
    if page.sw_exit_code in documented.ANSWERED_OTHERWISE:
        return None
    status, detail, error = step.answer["status"], step.answer["detail"], step.error
    if error is not None:
        if status != Status.MALFORMED_INPUT:
            return f"status {status}, {error.name} expected"
        return "" if detail == error else f"error {detail}, {int(error)} {error.name} expected"
    if status == Status.MALFORMED_INPUT:
        for_vm = (
            page.sw_exit_code in documented.OF_THE_VM and detail == MalformedInput.INVALID_INPUT
        )
        scratch = documented.uses_scratch(page) and detail == MalformedInput.INVALID_SCRATCH_AREA
        return "" if for_vm or scratch else f"refused by error {detail}, and it breaks no rule"
    faults = documented.faults(page, setup)
    if faults != (status == Status.RAISE_EVENT):
        return f"status {status}, {'an event' if faults else 'no event'} expected"
    return _effects(step, page, gpa) or ("" if faults else _results(step, page))


def _effects(step: Step, page: GhcbPage, gpa: int) -> str:
    asks = documented.ASKED.get(page.sw_exit_code)
    if asks is None or step.vm.setup.ghcb_version < 2:
        return ""
    expected = asks(page, step.vm.setup, gpa)
    if step.asked == expected:
        return ""
    return f"asked for {_listed(step.asked)}, {_listed(expected)} expected"


def _results(step: Step, page: GhcbPage) -> str:
    for name, value in documented.results(page, step.vm.setup).items():
        found = step.answer["registers"].get(name)
        if found != value:
            told = "nothing" if found is None else f"{found:#x}"
            return f"{name.upper()} is {told}, {value:#x} expected"
    return ""


def _listed(asked: list[Asked]) -> str:
    return "; ".join(" ".join(map(str, what)) for what in asked[:4]) or "nothing"


@_invariant(
    "HOST-8",
    "the registers that an exit returns come back, and no others",
    when="a page was answered",
)
def _returned(step: Step) -> str | None:
    if not step.is_answered:
        return None
    page, after = step.page, step.after
    row = find_exit(page.sw_exit_code)
    due: set[str] = set()
    if row is not None and step.is_done:
        due = {one.field for one in row.returns if one.applies(page, after)}
    marked = set(step.answer["valid"]) - set(INFOS)
    if extra := sorted(marked - due):
        return f"{', '.join(extra)} came back, which it does not return"
    return ""


# --- runs, words, events ----------------------------------------------------------------------------


@_invariant(
    "HOST-9",
    "a run ends where the guest asks for it, and nowhere else",
    when="a guest exited, by a page or by the MSR",
)
def _run_goes_on(step: Step) -> str | None:
    if "run" not in step.answer or step.answer["run"] in ("ended", "held"):
        return None
    run = step.answer["run"]
    if step.request is not None:
        wants = _asks_to_end(step)
    else:
        wants = step.command.get("request", 0) & 0xFFF == GhcbInfo.TERMINATION_REQUEST
    if wants:
        return "" if run[0] == "terminate" else "the guest asked to be terminated, and goes on"
    return "" if run == "guest" else f"ended by {' '.join(map(str, run))}"


def _asks_to_end(step: Step) -> bool:
    page = step.page
    row = find_exit(page.sw_exit_code)
    # Whatever its words say, a guest that terminates is not run again.
    known = row is not None and row.since <= step.vm.setup.ghcb_version
    is_request = page.sw_exit_code == ExitCode.TERMINATION_REQUEST
    return known and is_request and step.error in (None, MalformedInput.INVALID_INPUT)


@_invariant(
    "HOST-10",
    "a request in the GHCB MSR is answered by its response; a word that is none stays",
    when="a guest exited with a word in the GHCB MSR",
)
def _word_answered(step: Step) -> str | None:
    if step.command["op"] != "msr" or step.answer["run"] != "guest":
        return None
    request, word = step.command["request"], step.answer["word"]
    info, setup = request & 0xFFF, step.vm.setup
    snp_only = (
        GhcbInfo.PREFERRED_GPA_REQUEST,
        GhcbInfo.REGISTER_GPA_REQUEST,
        GhcbInfo.PAGE_STATE_REQUEST,
        GhcbInfo.RUN_VMPL_REQUEST,
    )
    if not info or info not in RESPONSE_TO or (info in snp_only and not setup.snp):
        return "" if word == request else f"{word:#x} answered, the word should stay"
    if why := msr.pair(request, word):
        return why
    if problems := decode_msr(word).problems():
        return f"{word:#x} answered: {problems[0]}"
    return _registration(step, request, word) if info == GhcbInfo.REGISTER_GPA_REQUEST else ""


def _registration(step: Step, request: int, word: int) -> str:
    asked, given = RegisterGpaRequest.of(request), RegisterGpaResponse.of(word)
    there = step.vm.memory.holds(asked.frame * PAGE, PAGE)
    if given.frame != NO_FRAME and not there:
        return f"frame {asked.frame:#x} registered, which is not in guest memory"
    return ""


@_invariant(
    "HOST-11",
    "no event for VMPL 0 is lost, and none is made up",
    when="events wait with the host or in the doorbell page",
)
def _events_kept(step: Step) -> str | None:
    if step.waiting is None:
        return None
    before, after = step.waiting, waiting(step.vm, step.vm.vcpus[step.cpu])
    taken = set(step.answer.get("events", ())) if step.command["op"] == "take" else set()
    added = _added_by(step.command)
    there = before.all
    if step.command["op"] == "enter":  # what the last entry injected was delivered since
        there -= set(before.injected - before.with_host - before.in_page)
    lost = there - after.all - taken
    made = (after.all | taken) - there - added
    if lost:
        return f"event {min(lost):#x} is nowhere"
    return f"event {min(made):#x} comes from nowhere" if made else ""


def _added_by(command: Command) -> set[int]:
    match command["op"]:
        case "irq":
            return {interrupt(command["vector"])}
        case "nmi":
            return {NMI}
        case "machine_check":
            return {MACHINE_CHECK}
    return set()


@_invariant(
    "HOST-12",
    "VMPL 0 runs next when an event waits for it, and is told by #HV unless it was told",
    when="a vCPU is entered",
)
def _runs_next(step: Step) -> str | None:
    if step.command["op"] != "enter" or step.waiting is None:
        return None
    vm, cpu = step.vm, step.vm.vcpus[step.cpu]
    if step.waiting.with_host and cpu.vmpl:
        return f"VMPL {cpu.vmpl} runs, and VMPL 0 has events"
    before = step.waiting
    news = set(waiting(vm, cpu).in_page - before.in_page)
    if any(
        map(_is_interrupt, before.in_page)
    ):  # a higher vector may take its place without a signal
        news = {event for event in news if not _is_interrupt(event)}
    if is_restricted(vm) and news and not before.no_further_signal and cpu.event_inj != HV:
        return "the page has a new event, and no #HV is injected"
    return ""


def _is_interrupt(event: int) -> bool:
    return EventInj.of(event).type == EventType.EXTERNAL_INTERRUPT


# --- the watch --------------------------------------------------------------------------------------


class HostWatch:
    """A host under watch: `execute` raises Violation when a command breaks an invariant.

    `checked` counts for each invariant the commands that gave it something to check.
    """

    def __init__(self, session: Session | None = None) -> None:
        self.session = session if session is not None else Session(REFERENCE)
        self.checked: Counter[Invariant] = Counter()
        self.index = 0

    def execute(self, command: Command) -> Answer:
        """Carry out one command, then check everything. Raises Violation and ScenarioError."""
        session, cpu = self.session, command.get("cpu", 0)
        vm = session.host.vm
        if command["op"] == "init" or cpu >= len(vm.vcpus):
            self.index += 1
            return session.execute(command)
        events = waiting(vm, vm.vcpus[cpu]) if command["op"] in OF_EVENTS else None
        step = Step(self.index, command, vm, Kept.of(vm), events)
        session.host.last = None
        step.answer = session.execute(command)
        step.request = session.host.last
        for invariant in HOST_INVARIANTS:
            wrong = invariant.check(step.vm, None, step)
            if wrong is None:
                continue
            self.checked[invariant] += 1
            if wrong:
                raise Violation(invariant, *wrong[0], self.index)
        self.index += 1
        return step.answer
