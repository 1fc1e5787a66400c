"""`vmgexit replay` and `explore`: recordings, scenarios, counterexamples, and damaged input."""

import json
import lzma
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit.machine.quirks import names
from vmgexit.machine.scenario import to_lines

CORPUS = Path(__file__).parents[2] / "corpus"
HOST = CORPUS / "recordings" / "host.jsonl.xz"
INIT = {"op": "init", "cpus": 1, "reg_count": 1}


def test_a_recording_of_coconut(run: Run) -> None:
    ran = run("replay", "--profile", "coconut", str(HOST))
    assert (ran.code, ran.out) == (0, "120 sequences, 4100 operations, 0 mismatches\n")


def test_the_reference_differs_and_says_where_and_why(run: Run, tmp_path: Path) -> None:
    lines = lzma.decompress(HOST.read_bytes()).splitlines()[:12]
    some = tmp_path / "some.jsonl"
    some.write_bytes(b"\n".join(lines) + b"\n")
    assert run("replay", str(some)).code == 1
    ran = run("replay", "--explain", str(some))
    assert ran.code == 0  # nothing is left to explain
    mismatches, total, counts, last = sections(ran.out)
    operations = sum(len(json.loads(line)["ops"]) for line in lines)
    assert total == f"12 sequences, {operations} operations, {len(mismatches)} mismatches"
    assert last == "0 unexplained"
    told = Counter(
        name
        for line in mismatches
        for name in line.rpartition("(explained by ")[2].removesuffix(")").split(", ")
    )
    assert counts == [f"{name}: {count}" for name, count in told.most_common()]
    assert set(told) <= set(names())


def sections(out: str) -> tuple[list[str], str, list[str], str]:
    """What `replay --explain` prints: the mismatches, the total, a line for each quirk, the last line."""
    lines = out.splitlines()
    [total] = (at for at, line in enumerate(lines) if re.fullmatch(r"\d+ sequences?, .*", line))
    return lines[:total], lines[total], lines[total + 1 : -1], lines[-1]


def test_what_no_quirk_explains_is_told_and_is_a_failure(run: Run, tmp_path: Path) -> None:
    first = json.loads(lzma.decompress(HOST.read_bytes()).splitlines()[0])
    first["ops"][-1]["ans"] = {"ok": False}
    some = tmp_path / "some.jsonl"
    some.write_text(json.dumps(first))
    ran = run("replay", "--explain", "--profile", "coconut", str(some))
    assert ran.code == 1
    mismatches, _, counts, last = sections(ran.out)
    assert [line.rpartition(" (")[2] for line in mismatches] == ["explained by no quirk)"]
    assert (counts, last) == ([], "1 unexplained")


def test_nothing_to_explain(run: Run) -> None:
    ran = run("replay", "--explain", "--profile", "coconut", str(HOST))
    total = "120 sequences, 4100 operations, 0 mismatches"
    assert (ran.code, ran.out) == (0, f"{total}\n0 unexplained\n")


@pytest.mark.clause("INV-5")
def test_a_scenario_under_invariants(run: Run) -> None:
    scenario = CORPUS / "quirks" / "remap-loses-lazy-eoi.jsonl"
    ran = run("replay", "--invariants", "--profile", "coconut", str(scenario))
    assert ran.code == 1
    assert "INV-5 at call of vCPU 0" in ran.out
    assert "->   9 call" in ran.out
    assert run("replay", "--invariants", str(scenario)).code == 0


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_text(to_lines([INIT]))
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run("replay", "-").out == "1 sequence, 1 operation, 0 mismatches\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: [] found, a JSON object expected"),
        ('{"op": "jump"}', "line 1: op 'jump': not one of init, call"),
        ('{"op": "enter"}', "line 1: enter needs cpu"),
        ('{"op": "enter", "cpu": -1}', "line 1: enter.cpu: -1 is not a number from 0 to 254"),
        ('{"op": "enter", "cpu": true}', "line 1: enter.cpu: True is not a number"),
        ('{"op": "enter", "cpu": 0, "x": 1}', "line 1: enter has no argument x"),
        (
            '{"op": "enter", "cpu": 0}',
            "line 1: operation 0: enter: vCPU 0 does not exist, there are 0",
        ),
        (json.dumps(INIT) + '\n{"op": "state", "cpu": 7}', "vCPU 7 does not exist, there are 1"),
        (
            json.dumps(INIT) + '\n{"op": "set_doorbell", "cpu": 0, "hex": "00"}',
            "line 2: set_doorbell.hex",
        ),
        ('{"ops": 5}', "line 1: ops: 5 is not a list"),
        ('{"ops": [{"cmd": {"op": "init"}}]}', "line 1: ops[0]: init needs cpus"),
        ('{"op": "init", "cpus": 2, "reg_count": 1, "apic_ids": [1]}', "1 ids found, 2 expected"),
        ("[" * 100_000, "line 1: not JSON"),
    ],
)
def test_damaged_scenarios_get_one_line(
    run: Run, tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    assert complaint in run("replay", str(path)).complaint


def test_a_recording_that_is_cut_short(run: Run, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.xz"
    cut.write_bytes(HOST.read_bytes()[:20_000])
    ran = run("replay", "--profile", "coconut", str(cut))
    assert ran.code == 2
    assert "damaged or cut short" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_ten_megabytes_of_junk(run: Run, tmp_path: Path) -> None:
    junk = tmp_path / "junk.jsonl"
    junk.write_bytes(b"\xa5" * (10 << 20))
    complaint = run("replay", str(junk)).complaint
    assert complaint.endswith("line 1: bytes that are no text found, JSON expected")


def test_an_empty_file_is_no_sequence(run: Run) -> None:
    assert run("replay", "/dev/null").out == "0 sequences, 0 operations, 0 mismatches\n"


@pytest.mark.parametrize("command", ["replay", "explore"])
def test_an_unknown_profile(run: Run, command: str) -> None:
    words = ("/dev/null",) if command == "replay" else ()
    complaint = run(command, *words, "--profile", "windows").complaint
    assert "unknown profile windows; expected reference, coconut, " in complaint


@pytest.mark.clause("SCHED-3")
def test_exploring_proves_or_shows_a_counterexample_to_replay(run: Run, tmp_path: Path) -> None:
    proved = run("explore", "--vcpus", "1", "--edge", "0x31")
    assert proved.code == 0
    assert "every reachable state" in proved.out
    example = tmp_path / "example.jsonl"
    quirk = ("--profile", "switch-window-unchecked")
    broken = run("explore", "--edge", "0x31", *quirk, "-o", str(example))
    assert broken.code == 1
    assert "INV-3 at enter of vCPU 0" in broken.out
    assert f"again: vmgexit replay --invariants {' '.join(quirk)} {example}" in broken.out
    assert run("replay", "--invariants", *quirk, str(example)).code == 1
    assert run("replay", "--invariants", str(example)).code == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--vcpus", "0"), "--vcpus 0: 1 to 4 expected"),
        (("--edge", "5"), "different vectors from 31 to 255 expected"),
        (("--edge", "0x31,0x31"), "different vectors from 31 to 255 expected"),
        (("--edge", "many"), "'many' is not a list of vectors"),
        (("--depth", "-3"), "-3 is negative"),
        (("--ipis", "0x41"), "--ipis: 2 or more --vcpus expected, an IPI goes to all others"),
        (("--profile", "vmsa-at-2m"), "--profile vmsa-at-2m: only with --memory"),
        (("--memory", "--reduce"), "--reduce: not with --memory"),
        (("--memory", "--handler-in-window"), "--handler-in-window: not with --memory"),
    ],
)
def test_bad_bounds_get_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("explore", *words).complaint


def test_bounds_say_what_was_not_followed(run: Run) -> None:
    ran = run("explore", "--depth", "6")
    assert ran.code == 0
    assert "stopped by depth 6, " in ran.out
    assert "every state within 6 moves was seen" in ran.out
    short = run("explore", "--edge", "0x31,0x51", "--calls", "2", "--depth", "3")
    assert short.out.startswith("--depth 3: to do everything takes 4 moves or more\n")
    assert ": stopped by 1 s, " in run("explore", *_LARGE, "--seconds", "1").out


_LARGE = ("--vcpus", "3", "--edge", "0x31,0x51,0x71")


def test_a_quirk_that_no_move_comes_to_is_named(run: Run) -> None:
    words = ("explore", "--edge", "0x31", "--profile", "self-ipi-below-16")
    assert "self-ipi-below-16: no move that was made comes to it\n" in run(*words).out
    words = ("explore", "--edge", "0x31", "--profile", "level-on-edge-in-service")
    assert "level-on-edge-in-service: no move" not in run(*words).out


def test_fewer_states_with_the_same_verdict(run: Run) -> None:
    words = ("explore", "--vcpus", "3", "--calls", "3", "--reduce")
    assert run(*words).out.startswith("1132 states, ")
    broken = run("explore", "--edge", "0x31", "--profile", "switch-window-unchecked", "--reduce")
    assert broken.code == 1
    assert "INV-3 at enter of vCPU 0" in broken.out
    assert "a shorter scenario may exist" not in broken.out


def test_states_are_counted_by_kind(run: Run) -> None:
    """The second model has 11 kinds, which tell apart which of the vCPUs has its bit."""
    told = run("explore", "--vcpus", "2", "--calls", "2", "--count-by", "registration").out
    kinds = [line.split(maxsplit=1) for line in told.splitlines() if " left, " in line]
    assert len(kinds) == 9
    assert sum(len(set(kind.split(", ")[2:])) for _, kind in kinds) == 11
    assert sum(int(states) for states, _ in kinds) == int(told.splitlines()[-1].split()[0])


def test_a_counterexample_as_a_trace_for_viewers(run: Run, tmp_path: Path) -> None:
    """The Informal Trace Format as Apalache's ADR 15 has it."""
    path = tmp_path / "example.itf.json"
    quirk = ("--profile", "switch-window-unchecked", "--handler-in-window")
    assert run("explore", "--edge", "0x31", *quirk, "--itf", str(path)).code == 1
    trace = json.loads(path.read_text())
    assert trace["#meta"]["format"] == "ITF"
    assert [state["#meta"]["index"] for state in trace["states"]] == list(range(14))
    assert all(state.keys() == {"#meta", *trace["vars"]} for state in trace["states"])
    first, last = trace["states"][0], trace["states"][-1]
    assert first["count"] == {"#bigint": "1"}
    assert first["vcpus"][0]["in_descriptor"] == {"#set": []}
    assert last["command"] == "svsm_step cpu=0"
    [vcpu] = last["vcpus"]
    assert (vcpu["in_descriptor"], vcpu["event_bit"]) == ({"#set": [{"#bigint": "49"}]}, True)
    assert (vcpu["hv_raised"], vcpu["no_further_signal"]) == (False, False)


def test_exploring_with_a_guest_makes_its_calls_alone(run: Run) -> None:
    clean = run("explore", "--guest", "linux", "--edge", "0x31")
    assert clean.code == 0
    assert "linux provokes nothing of reference within these bounds" in clean.out
    assert "every reachable state" in clean.out
    found = run(
        "explore", "--guest", "linux", "--edge", "0x31", "--profile", "ppr-keeps-low-nibble"
    )
    assert found.code == 1
    assert "INV-6 at read PPR of vCPU 0" in found.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--guest", "windows"), "unknown guest windows; there are linux, ovmf"),
        (("--guest", "linux", "--calls", "1"), "--calls 1: linux never configures its APIC"),
        (("--guest", "ovmf", "--ipis", "0x41"), "--ipis: ovmf sends none"),
        (("--ipis", "nmi"), "--ipis nmi: a --guest that sends NMIs expected"),
        (("--intercepts", "-1"), "-1 is negative"),
    ],
)
def test_a_guest_and_bounds_that_do_not_go_together(
    run: Run, words: tuple[str, ...], complaint: str
) -> None:
    assert complaint in run("explore", *words).complaint


def test_a_scenario_beside_what_a_guest_does(run: Run, tmp_path: Path) -> None:
    foreign = run("replay", "--guest", "linux", str(CORPUS / "quirks" / "self-ipi-below-16.jsonl"))
    assert foreign.code == 1
    assert (
        "line 1, command 1: linux never gives RCX 0x83f (SELF_IPI) here, but TPR; EOI; ICR"
        in foreign.out
    )
    path = tmp_path / "own.jsonl"
    words = ("--guest", "linux", "--edge", "0x31", "--profile", "ppr-keeps-low-nibble")
    assert run("explore", *words, "-o", str(path)).code == 1
    own = run("replay", "--guest", "linux", str(path))
    assert own.code == 0
    assert own.out == "1 sequence: 0 commands that linux does not do; 0 ends of linux by itself\n"


def test_with_a_guest_answers_are_not_compared(run: Run) -> None:
    complaint = run("replay", "--guest", "linux", "--invariants", "/dev/null").complaint
    assert "--invariants compares answers: not with --guest" in complaint
    assert "unknown guest x; there are" in run("replay", "--guest", "x", "/dev/null").complaint


PLANES = CORPUS / "hosts" / "cancel-merges-events.jsonl"


def test_a_host_of_restricted_injection(run: Run) -> None:
    kvm = run("replay", "--profile", "kvm-planes", "--explain", str(PLANES))
    assert (kvm.code, kvm.out) == (0, "1 sequence, 9 operations, 0 mismatches\n0 unexplained\n")
    reference = run("replay", "--explain", str(PLANES))
    assert "cancel: events: [0x80000031, 0x80000200] found, [0x80000231] recorded" in reference.out
    assert "cancel-merges-events: 2" in reference.out
    assert reference.out.endswith("0 unexplained\n")


def test_a_profile_and_a_guest_of_the_other_machine(run: Run) -> None:
    svsm = str(CORPUS / "quirks" / "self-ipi-below-16.jsonl")
    complaint = run("replay", "--profile", "kvm-planes", svsm).complaint
    assert "self-ipi-below-16.jsonl line 1: unknown profile kvm-planes; expected refer" in complaint
    complaint = run("replay", "--guest", "linux", str(PLANES)).complaint
    assert "line 1: a guest calls an SVSM, and this is for a GHCB host" in complaint


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ({"op": "irq", "vector": 5}, "irq.vector: 5 is not a number from 16 to 255"),
        ({"op": "irq"}, "irq needs vector"),
        ({"op": "take", "tpr": 16}, "take.tpr: 16 is not a number from 0 to 15"),
        ({"op": "enter", "cpu": 99}, "enter: vCPU 99 does not exist, there are 8"),
    ],
)
def test_wrong_commands_of_a_host_get_one_line(
    run: Run, tmp_path: Path, command: dict[str, object], told: str
) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(json.dumps({"kind": "host", "ops": [{"op": "init"}, command]}) + "\n")
    assert told in run("replay", str(path)).complaint
