"""The rules of adapters: our machine keeps each, and a mistake breaks the rule that says so."""

from collections.abc import Callable

import pytest

from vmgexit.compare.conformance.check import Outcome, Support, held
from vmgexit.compare.conformance.host_rules import CHAPTERS as OF_A_HOST
from vmgexit.compare.conformance.memory_rules import CHAPTERS as MEMORY_CHAPTERS
from vmgexit.compare.conformance.memory_rules import RULES as MEMORY_RULES
from vmgexit.compare.conformance.rule import Chapter, Rule
from vmgexit.compare.conformance.rules import CHAPTERS, RULES
from vmgexit.descriptions import Answer, Command, checked
from vmgexit.hosts import commands as host_commands
from vmgexit.hosts import quirks as hosts
from vmgexit.hosts.scenario import Session
from vmgexit.kits.surface import COMMANDS as OF_KITS
from vmgexit.machine.commands import COMMANDS, ON_MEMORY
from vmgexit.machine.machine import Machine
from vmgexit.machine.memory import instructions
from vmgexit.machine.vcpu import STATUS_WORD

WITH_EXCHANGE = [rule for rule in RULES.values() if rule.steps]

Mistake = Callable[[Machine, Command, Answer], Answer]


class Adapter:
    """Our machine as a peer, with a mistake."""

    def __init__(
        self,
        mistake: Mistake = lambda machine, command, answer: answer,
        profile: str = "reference",
    ) -> None:
        self.machine, self.mistake = Machine(profile), mistake

    def execute(self, command: Command) -> Answer:
        if command["op"] not in COMMANDS:
            return {"unsupported": "it"}
        return self.mistake(self.machine, command, self.machine.execute(command))


@pytest.mark.parametrize("rule", WITH_EXCHANGE, ids=lambda rule: rule.title)
def test_our_machine_keeps_each_rule(rule: Rule) -> None:
    assert held(rule, Adapter(), Support()).outcome is Outcome.HOLDS


@pytest.mark.parametrize("profile", ["reference", "coconut"])
@pytest.mark.parametrize("rule", MEMORY_RULES.values(), ids=lambda rule: rule.title)
def test_our_machine_keeps_each_rule_on_memory_and_so_does_coconut(
    rule: Rule, profile: str
) -> None:
    result = held(rule, Adapter(profile=profile), Support())
    assert result.outcome is Outcome.HOLDS


class Host:
    """Our host as a peer, with a mistake: what answers in the place of a session."""

    def __init__(
        self, profile: str, mistake: Callable[[Session, Command], Answer] = Session.execute
    ) -> None:
        self.session, self.mistake = Session(hosts.profile(profile)), mistake

    def execute(self, command: Command) -> Answer:
        if command["op"] not in host_commands.COMMANDS:
            return {"unsupported": "it"}
        return self.mistake(self.session, checked(command, host_commands.COMMANDS))


OF_HOSTS = {rule.title: rule for chapter in OF_A_HOST for rule in chapter.rules}
LACKING = {("kvm", "The doorbell page"), ("kvm", "A cancelled #HV")}
"""The rules for which a profile has no exit."""


@pytest.mark.parametrize("profile", ["reference", "kvm"])
@pytest.mark.parametrize(
    "rule", [rule for rule in OF_HOSTS.values() if rule.steps], ids=lambda rule: rule.title
)
def test_our_host_keeps_each_rule_and_so_does_kvm(rule: Rule, profile: str) -> None:
    is_lacking = (profile, rule.title) in LACKING
    due = Outcome.UNSUPPORTED if is_lacking else Outcome.HOLDS
    assert held(rule, Host(profile), Support()).outcome is due


def fetches_twice(session: Session, command: Command) -> Answer:
    """The fields are read when another vCPU has written to them."""
    pieces = [*command.get("page", ()), *command.get("meanwhile", ())]
    return session.execute(command | {"page": pieces} if pieces else command)


def signals_again(session: Session, command: Command) -> Answer:
    answer = session.execute(command)
    return answer | {"event_inj": 0x8000_031C} if answer.get("doorbell") else answer


def loses_what_is_cancelled(session: Session, command: Command) -> Answer:
    answer = session.execute(command)
    if command["op"] == "cancel":
        session.host.vm.vcpus[0].waiting_irqs.clear()
        answer["waiting"] = []
    return answer


def keeps_the_vector(session: Session, command: Command) -> Answer:
    """As COCONUT-SVSM with the highest priority, whatever is said."""
    return session.execute(command | {"tpr": 15} if command["op"] == "take" else command)


def maps_are_not_counted(session: Session, command: Command) -> Answer:
    answer = session.execute(command)
    return answer | {"mappings": 0} if "mappings" in answer else answer


def knows_no_exit(session: Session, command: Command) -> Answer:
    answer = session.execute(command)
    return answer | {"status": 2, "detail": 6} if "status" in answer else answer


@pytest.mark.parametrize(
    ("mistake", "title", "why"),
    [
        (fetches_twice, "A page that changes", "asked: [['mmio-write', 4276092928, '00']] found"),
        (signals_again, "The doorbell page", "event_inj: 0x8000031c found, 0 expected"),
        (loses_what_is_cancelled, "An entry that is cancelled", "waiting: [] found, [65] expected"),
        (keeps_the_vector, "The doorbell page", "events: [] found, [2147483713] expected"),
        (maps_are_not_counted, "What the host keeps", "mappings: 0 found, 1 expected"),
        (knows_no_exit, "The answer", "status: 2 found, 0 expected"),
        (knows_no_exit, "The shared buffer", "status: 2 found, 0 expected"),
    ],
)
def test_a_mistake_of_a_host_breaks_the_rule_that_says_so(
    mistake: Callable[[Session, Command], Answer], title: str, why: str
) -> None:
    result = held(OF_HOSTS[title], Host("reference", mistake), Support())
    assert result.outcome is Outcome.BROKEN
    assert why in result.why


def test_an_exit_that_needs_a_feature_may_be_unknown() -> None:
    support = Support()
    result = held(OF_HOSTS["The doorbell page"], Host("reference", knows_no_exit), support)
    assert result.outcome is Outcome.UNSUPPORTED
    assert list(support.none) == ["the exit HV_DOORBELL_PAGE"]


def test_every_operation_of_a_host_is_in_an_exchange() -> None:
    asked = {command["op"] for rule in OF_HOSTS.values() for command, _ in rule.steps}
    assert asked >= host_commands.COMMANDS.keys()


@pytest.mark.parametrize(
    ("chapters", "prefix"),
    [(CHAPTERS, "PEER-"), (MEMORY_CHAPTERS, "PEER-M"), (OF_A_HOST, "PEER-H")],
)
def test_ids_are_the_places_on_the_page(chapters: tuple[Chapter, ...], prefix: str) -> None:
    rules = [rule for chapter in chapters for rule in chapter.rules]
    assert [rule.id for rule in rules] == [f"{prefix}{n}" for n in range(1, len(rules) + 1)]
    assert len({rule.title for rule in rules}) == len(rules)


def test_every_operation_on_memory_is_in_an_exchange() -> None:
    asked = [command for rule in MEMORY_RULES.values() for command, _ in rule.steps]
    assert {command["op"] for command in asked} >= {*ON_MEMORY, "init", "call"}
    to = {command["to"] for command in asked if command["op"] == "host_page"}
    assert to == {"shared", "private", "split", "join", "remap"}
    did = {
        line[0]
        for rule in MEMORY_RULES.values()
        for _, answer in rule.steps
        for line in answer.get("did", ())
    }
    assert did == {
        *("request", "pvalidate", "rmpadjust", "npf", "psmash", "zero", "flush", "flush_all"),
        *("guest_request", "tpm", "enter"),
    }
    assert not MEMORY_RULES.keys() & RULES.keys()


def test_every_operation_of_an_svsm_without_memory_is_in_an_exchange() -> None:
    asked = {command["op"] for rule in WITH_EXCHANGE for command, _ in rule.steps}
    assert (
        asked & COMMANDS.keys()
        == set(OF_KITS)
        == {
            *("init", "call", "host_irq", "enter", "guest_take", "guest", "guest_lazy_eoi"),
            *("intercept", "set_vmsa", "doorbell", "set_doorbell", "state", "host_refuse"),
        }
    )


# --- mistakes --------------------------------------------------------------------------------------


def no_event_bit(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] == "host_irq":
        machine.vm.vcpus[0].page[3] = 0
    return answer


def always_signals(machine: Machine, command: Command, answer: Answer) -> Answer:
    return answer | {"hv": True} if answer.get("posted") else answer


def signals_in_the_wrong_type(machine: Machine, command: Command, answer: Answer) -> Answer:
    return answer | {"posted": 1} if answer.get("posted") else answer


def keeps_the_field(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] != "host_irq" or answer["status"] != 0x4000:
        return answer
    words = machine.vm.vcpus[0].words
    words[STATUS_WORD] |= 0x61
    return answer | {"status": words[STATUS_WORD]}


def a_gate_that_does_nothing(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] == "guest_take" and answer["taken"] != "none":
        machine.vm.vcpus[0].guest.interrupts_enabled = True
    return answer


def only_low_words(machine: Machine, command: Command, answer: Answer) -> Answer:
    return {
        key: value & 0xFFFFFFFF if key in ("rdx", "r8") else value for key, value in answer.items()
    }


def no_calls(machine: Machine, command: Command, answer: Answer) -> Answer:
    return {key: value for key, value in answer.items() if key != "calls"}


def no_stop(machine: Machine, command: Command, answer: Answer) -> Answer:
    return {"rax": 0} if "terminated" in answer else answer


def lazy_eoi_stays(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] == "guest_lazy_eoi":
        machine.vm.vcpus[0].calling.no_eoi_required = answer["was"]
    return answer


def late_is_early(machine: Machine, command: Command, answer: Answer) -> Answer:
    return answer | {"cancelled": 0} if "cancelled" in answer else answer


MISTAKES = [
    (no_event_bit, "An edge interrupt alone", "hex: byte 0x3 is 00, 02 expected"),
    (always_signals, "The same again", "hv: True found, False expected"),
    (
        signals_in_the_wrong_type,
        "What is not supported",
        "posted: 1 found, True expected",
    ),
    (keeps_the_field, "More than one", "status: 0x4061 found, 0x4000 expected"),
    (a_gate_that_does_nothing, "Taking an event", "if: True found, False expected"),
    (
        only_low_words,
        "Numbers",
        "rdx: 0xffffffff found, 0xffffffffffffffff expected",
    ),
    (no_calls, "Requests", "calls: nothing found, [{'cpu': 0"),
    (no_stop, "A termination request", "{'rax': 0} found, terminated expected"),
    (lazy_eoi_stays, "Lazy EOI", "was: 1 found, 0 expected"),
    (late_is_early, "The switch window", "cancelled: 0 found, 1 expected"),
]


def test_what_is_not_supported_is_not_held_against_it() -> None:
    support = Support()
    adapter = Adapter(lambda machine, command, answer: {"unsupported": "it"})
    rule = RULES["A new VMSA"]
    assert held(rule, adapter, support).outcome is Outcome.UNSUPPORTED
    assert list(support.none) == ["init"]


def test_a_part_of_an_answer_is_held_against_the_rule() -> None:
    def part(machine: Machine, command: Command, answer: Answer) -> Answer:
        if command["op"] != "state":
            return answer
        return {"unsupported": "flags", "if": True}

    support = Support()
    result = held(RULES["The guest"], Adapter(part), support)
    assert (result.outcome, result.why) == (Outcome.BROKEN, "if: True found, False expected")
    assert list(support.part) == ["state"]


# --- mistakes on memory ----------------------------------------------------------------------------


def no_later_row(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] == "init" and len(command["pages"]) > 1:
        machine.execute(command | {"pages": command["pages"][::-1]})
    return answer


def the_host_may_write_anywhere(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] == "read" and command.get("by") == "host" and not answer["ok"]:
        return machine.execute({"op": "read", "gpa": command["gpa"], "len": command["len"]})
    return answer


def keeps_what_was_validated(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] == "host_page" and command["to"] == "private" and machine.vm.memory:
        instructions.pvalidate(machine.vm.memory, command["gpa"], 0, valid=True)
    return answer


def put_back_afresh(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] == "host_page" and command["to"] == "remap" and machine.vm.memory:
        machine.vm.memory.rmp.assign(command["spa"], command["gpa"])
    return answer


def big_endian(machine: Machine, command: Command, answer: Answer) -> Answer:
    if "hash" not in answer:
        return answer
    return answer | {"hash": bytes.fromhex(answer["hash"])[::-1].hex()}


def not_told(what: str) -> Mistake:
    def mistake(machine: Machine, command: Command, answer: Answer) -> Answer:
        if "did" not in answer:
            return answer
        return answer | {"did": [line for line in answer["did"] if line[0] != what]}

    return mistake


def always_pending(machine: Machine, command: Command, answer: Answer) -> Answer:
    return machine.execute(command | {"pending": True}) if "pending" in command else answer


def idle_has_registers(machine: Machine, command: Command, answer: Answer) -> Answer:
    return answer | {"rax": 0} if answer.get("idle") else answer


def no_termination(machine: Machine, command: Command, answer: Answer) -> Answer:
    return {"panic": "npf"} if "terminated" in answer else answer


def runs_for_ever(machine: Machine, command: Command, answer: Answer) -> Answer:
    if command["op"] == "run" and not command["on"] and machine.vm.memory:
        machine.vm.memory.running[1] = 0x30000
    return answer


MISTAKES_ON_MEMORY = [
    (no_later_row, "Pages at first", "assigned: True found, False expected"),
    (the_host_may_write_anywhere, "Who may read and write", "ok: True found, False expected"),
    (
        keeps_what_was_validated,
        "The host takes a page, and gives one",
        "validated: True found, False expected",
    ),
    (put_back_afresh, "Another page behind it", "validated: False found, True expected"),
    (big_endian, "A page", "hash: '"),
    (not_told("flush"), "A large page that is split", "did: [["),
    (not_told("psmash"), "A large page that is split", "did: [["),
    (always_pending, "No call that waits", "rax: 0 found, 6 expected"),
    (idle_has_registers, "A vCPU without a guest", "rax: 0 found, nothing expected"),
    (no_termination, "The host ends the VM", "{'panic': 'npf'} found, terminated expected"),
    (runs_for_ever, "A vCPU that executes", "ok: False found, True expected"),
]


@pytest.mark.parametrize(("mistake", "title", "why"), [*MISTAKES, *MISTAKES_ON_MEMORY])
def test_a_mistake_breaks_the_rule_that_says_so(mistake: Mistake, title: str, why: str) -> None:
    rules = {**RULES, **MEMORY_RULES}  # which have no title in common
    result = held(rules[title], Adapter(mistake), Support())
    assert result.outcome is Outcome.BROKEN
    assert why in result.why
