"""Adapters of GHCB hosts as `vmgexit peer new` makes them, beside our own host as a peer."""

import json
import lzma
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.peers.host_shows import exits
from tests.peers.made import LANGUAGES, NO_WARNING, Made, answers, built, once, project
from vmgexit.cli import main
from vmgexit.compare.conformance import host_rules
from vmgexit.compare.host_causes import first
from vmgexit.compare.peer import Peer, is_unsupported, stops
from vmgexit.descriptions import Answer, Command
from vmgexit.hosts.quirks import REFERENCE
from vmgexit.machine.scenario import to_lines
from vmgexit.wire.exit_codes import ExitCode
from vmgexit_fuzz.targets import Conditions, find
from vmgexit_fuzz.targets.ghcb import programs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OWN = shlex.join([sys.executable, str(ROOT / "specs" / "peers" / "python_host.py")])

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(list(words))
        return code, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return once(tmp_path_factory, "host", CFLAGS=NO_WARNING, PYTHON=sys.executable)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_host_keeps_the_rules(language: str, run: Run, made: Made) -> None:
    code, told = run("peer", "check", "--peer", str(made(language)))
    assert code == 0
    assert told[0] == "PEER-H1 Hello: holds: a small host, profile reference"
    assert told[-1] == "22 rules hold, 0 not supported, 0 broken"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One in four of the pages and words that KVM was asked, without its answers."""
    file = tmp_path_factory.mktemp("asked") / "asked.jsonl"
    with file.open("w") as stream:
        for kind in ("ghcb", "msr"):
            name = ROOT / "corpus" / "recordings" / "kvm" / f"kvm-{kind}.jsonl.xz"
            for line in lzma.decompress(name.read_bytes()).splitlines()[::4]:
                command = {key: value for key, value in json.loads(line).items() if key != "answer"}
                stream.write(json.dumps(command) + "\n")
    return str(file)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_host_answers_as_the_reference(
    language: str, run: Run, made: Made, asked: str
) -> None:
    code, told = run("replay", asked, "--peer", str(made(language)))
    assert (code, len(told)) == (0, 1)
    assert told[0].startswith("500 sequences, 1000 operations, 0 mismatches, ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_host_answers_scenarios_as_the_reference(language: str, made: Made) -> None:
    """What campaigns ask: many commands to one VM."""
    target = find("host-peer").open(Conditions(peer=str(made(language))))
    pick = random.Random(1)
    try:
        for _ in range(100):
            target.run(target.make(pick))
    finally:
        target.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_host_keeps_what_the_reference_keeps(language: str, made: Made) -> None:
    """The same, with a look at the state after each command. What it does not have are exits and words."""
    target, pick = find("ghcb-host").open(Conditions()), random.Random(2)
    with Peer([str(made(language))]) as new:
        for _ in range(60):
            commands = programs.read(target.make(pick))
            assert first(new, REFERENCE, commands) is None
            for command, answer in zip(commands, new.answers(commands), strict=True):
                assert not is_unsupported(answer) or command["op"] in ("vmgexit", "msr")


def told(command: str, *commands: Command) -> list[Answer]:
    """What a peer answers after an `init` with three vCPUs."""
    init = {"op": "init", "vcpus": 3, "registered": 0x7000, "jump_table": 0x5000}
    with Peer(shlex.split(command)) as peer:
        return [peer.execute(one) for one in (init, *commands)][1:]


PEERS = [*LANGUAGES, "our own"]


@pytest.fixture(scope="module")
def named(made: Made) -> Callable[[str], str]:
    """The command of a peer in `PEERS`."""
    return lambda which: OWN if which == "our own" else str(made(which))


def page_state(operation: int, frame: int) -> Command:
    """A word that makes a page private (1) or shared (2)."""
    return {"op": "msr", "request": operation << 52 | frame << 12 | 0x014}


@pytest.mark.parametrize("which", PEERS)
def test_a_host_tells_what_it_keeps(which: str, named: Callable[[str], str]) -> None:
    *_, before, last = told(
        named(which),
        {"op": "msr", "cpu": 1, "request": 0x8 << 12 | 0x012},
        exits(ExitCode.AP_RESET_HOLD) | {"cpu": 2},
        *(page_state(2, frame) for frame in (0x10, 0x11, 0x14)),
        *(page_state(1, frame) for frame in (0x11, 0x12, 0x10)),
        page_state(3, 0x20),  # no such operation
        {"op": "state"},
        {"op": "sipi", "cpu": 2},
        {"op": "msr", "request": 0x100},
        {"op": "state"},
    )[-4::3]
    assert before == {
        "ended": False,
        "jump_table": 0x5000,
        "mappings": 6,
        "pages": [[0x10000, 3, "private"], [0x14000, 1, "shared"]],
        "vcpus": {"1": {"registered": 0x8000}, "2": {"held": True, "held_by": 0x7000}},
    }
    vcpus = {"1": {"registered": 0x8000}, "2": {"held_by": 0x7000}}
    assert last == before | {"ended": True, "vcpus": vcpus}


@pytest.mark.parametrize("which", PEERS)
def test_another_vcpu_writes_to_the_page_meanwhile(which: str, named: Callable[[str], str]) -> None:
    """The fields are as the guest gave them, the shared buffer is as it is then, and so is the answer."""
    mmio = exits(ExitCode.MMIO_WRITE, 0xFEE0_0000, 2, sw_scratch=0x7810)
    at_info_2, at_buffer = 0x3A0, 0x811
    [answer] = told(named(which), mmio | {"meanwhile": [[at_info_2, "04"], [at_buffer, "abcd"]]})
    assert (answer["status"], answer["detail"]) == (0, 4)
    assert answer["asked"] == [["mmio-write", 0xFEE0_0000, "00ab"]]
    assert answer["buffer"] == [[at_buffer, "abcd"]]


@pytest.mark.parametrize("which", PEERS)
def test_what_was_written_meanwhile_stays_in_memory(
    which: str, named: Callable[[str], str]
) -> None:
    request = exits(ExitCode.SNP_GUEST_REQUEST, 0x2000, 0x3000)
    answer, held, written = told(
        named(which),
        request | {"meanwhile": [[0x3A0, "0050"], [0x7F0, "77"], [0x398, "0200"]]},
        {"op": "read", "gpa": 0x77F0, "size": 1},
        exits(ExitCode.INVD) | {"meanwhile": [[0x390, "72"]]},
    )
    assert answer["asked"][-1] == ["write-memory", 0x3000, 0x1000, ""]
    assert (answer["status"], answer["detail"]) == (2, 0x5000)
    assert held == {"hex": "77"}
    assert (written["status"], written["asked"]) == (0, [])


FIELDS = {
    "c": (
        "int main(void)",
        """static void fill_in(const struct vmgexit_vm *vm)
{
    struct vmgexit_vcpu *vcpu = &vmgexit_vcpus[2];
    (void)vm;
    vcpu->vmsas[3] = (struct vmgexit_vmsa){ true, 0x4000, 9, true };
    vcpu->vmpl = 3;
    vcpu->has_doorbell = vcpu->has_avic_page = true;
    vcpu->avic_page = 0xb000;
    vcpu->waiting_irqs.bits[0] = vcpu->waiting_irqs.bits[3] = UINT64_C(0x8000000100000000);
    vcpu->waiting_nmi = vcpu->waiting_machine_check = true;
    vcpu->event_inj = 0x8000031c;
    vcpu->has_notify_vector = true;
    vcpu->notify_vector = 0x50;
    vmgexit_now.jump_table = 0x6000;
}

int main(void)""",
        ".tells = true,",
        ".tells = true,\n        .init = fill_in,",
        "        return cpuid(page);",
        "        if (!page->rax)\n            vmgexit_panic(\"no 'CPUID'\");\n        return cpuid(page);",
    ),
    "rust": (
        "impl Host for Small {",
        """impl Host for Small {
    fn init(&mut self, vm: &mut Vm) {
        let vmsa = crate::kit::state::Vmsa { gpa: 0x4000, features: 9, starts: true };
        let vcpu = &mut vm.vcpus[2];
        vcpu.vmsas[3] = Some(vmsa);
        vcpu.vmpl = 3;
        (vcpu.doorbell, vcpu.avic_page) = (Some(0), Some(0xb000));
        (vcpu.waiting_irqs.0[0], vcpu.waiting_irqs.0[3]) = (0x8000_0001_0000_0000, 0x8000_0001_0000_0000);
        (vcpu.waiting_nmi, vcpu.waiting_machine_check) = (true, true);
        (vcpu.event_inj, vcpu.notify_vector) = (0x8000_031c, Some(0x50));
        vm.jump_table = 0x6000;
    }
""",
        "return cpuid(vm)",
        '{ assert!(vm.page.rax != 0, "no \'{}\'", "CPUID"); return cpuid(vm) }',
    ),
    "python": (
        "        self.vm = vm\n",
        """        self.vm = vm
        vcpu = vm.vcpus[2]
        vcpu.vmsas[3] = __import__("kit.state").state.Vmsa(0x4000, 9, True)
        vcpu.vmpl, vcpu.doorbell, vcpu.avic_page = 3, 0, 0xB000
        vcpu.waiting_irqs = [32, 63, 224, 255]
        vcpu.waiting_nmi = vcpu.waiting_machine_check = True
        vcpu.event_inj, vcpu.notify_vector = 0x8000_031C, 0x50
        vm.jump_table = 0x6000
""",
        "            return self.cpuid(page)",
        "            raise AssertionError(\"no 'CPUID'\")",
    ),
}
"""What of a project is replaced, and by what: a host that has filled in every field at the beginning, and
panics at CPUID."""


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The adapter of a language with `FIELDS`."""
    return cache(lambda language: _changed(language, tmp_path_factory.mktemp("changed")))


def _changed(language: str, parent: Path) -> str:
    folder = project(language, parent / "project", filled_in=False, surface="host")
    file = folder / {"c": "adapter.c", "rust": "host.rs", "python": "host.py"}[language]
    text, replaced = file.read_text(), FIELDS[language]
    for before, after in zip(replaced[::2], replaced[1::2], strict=True):
        assert text.count(before) == 1
        text = text.replace(before, after)
    file.write_text(text)
    flags = {"CFLAGS": NO_WARNING, "RUSTFLAGS": "-C opt-level=0", "PYTHON": sys.executable}
    return str(built(folder, **flags))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_of_a_vcpu_is_told(language: str, changed: Callable[[str], str]) -> None:
    [answer] = told(changed(language), {"op": "state"})
    assert answer["jump_table"] == 0x6000
    assert answer["vcpus"] == {
        "2": {
            "vmsas": {"3": {"gpa": 0x4000, "features": 9, "starts": True}},
            "vmpl": 3,
            "doorbell": 0,
            "avic_page": 0xB000,
            "waiting_irqs": [32, 63, 224, 255],
            "waiting_nmi": True,
            "waiting_machine_check": True,
            "event_inj": 0x8000_031C,
            "notify_vector": 0x50,
        }
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_after_a_panic_it_answers_by_that_until_the_next_init(
    language: str, changed: Callable[[str], str]
) -> None:
    init = {"op": "init", "registered": 0x7000}
    right, panics = exits(ExitCode.INVD), exits(ExitCode.CPUID, rax=0, rcx=0)
    sent = [init, right, panics, right, {"op": "state"}, init, right]
    run = subprocess.run(
        [changed(language)], input=to_lines(sent).encode(), capture_output=True, timeout=60
    )
    hello, *found = map(json.loads, run.stdout.splitlines())
    assert (run.returncode, hello["stays"], len(found)) == (0, True, len(sent))
    assert "no 'CPUID'" in found[2]["panic"]
    assert found[2] == found[3] == found[4]
    assert found[5:] == found[:2]
    with Peer([changed(language)]) as stays:
        assert [stops(stays.execute(one)) for one in sent[:4]] == [False, False, True, True]
        process = stays.pid
        assert [stops(stays.execute(one)) for one in sent[5:]] == [False, False]
        assert stays.pid == process


def test_a_host_that_has_less(tmp_path: Path) -> None:
    """What it does not tell is not compared, it has no events, and a panic ends its process."""
    folder = project("python", tmp_path / "project", filled_in=False, surface="host")
    file = folder / "host.py"
    text = file.read_text()
    for line in re.findall(r"    (?:stays|tells|has_events) = True.*\n", text):
        text = text.replace(line, "")
    file.write_text(text.replace("return self.cpuid(page)", "raise AssertionError"))
    adapter = str(built(folder, PYTHON=sys.executable))
    state, irq = told(adapter, {"op": "state"}, {"op": "irq", "vector": 97})
    assert state == {
        "unsupported": "what the host keeps",
        "ended": False,
        "mappings": 0,
        "pages": [],
    }
    assert irq == {"unsupported": "events for VMPL 0"}
    registered = {"op": "msr", "request": 0x8 << 12 | 0x012}
    with Peer([adapter]) as new:
        assert first(new, REFERENCE, [{"op": "init"}, registered]) is None
    sent = [{"op": "init", "registered": 0x7000}, exits(ExitCode.CPUID, rax=0, rcx=0), registered]
    run = subprocess.run([adapter], input=to_lines(sent).encode(), capture_output=True, timeout=60)
    hello, *found = map(json.loads, run.stdout.splitlines())
    assert "stays" not in hello
    assert [list(one) for one in found] == [["ok"], ["panic"]]


STRANGE = [
    b'{"op": "vmgexit", "gpa": 0}',
    b'{"op": "init"}',
    b"\0",
    b'{"op": "init", "memory": [[0, "00"], [1]]}',
    b'{"op": "init", "features": null, "map_fails_at": null, "page_budget": null}',
    b'{"op": "init", "cpuid": [[0, null, 1, 2, 3]]}',
    b'{"op": "init", "cpuid": [[null, 0, 1, 2, 3, 4]]}',
    b'{"op": "init", "snp": null}',
    b'{"op": "init", "vcpus": 4097}',
    b'{"op": "vmgexit", "gpa": 1}',
    b'{"op": "vmgexit", "gpa": 0, "cpu": 8}',
    b'{"op": "vmgexit", "gpa": 0, "page": [[4095, "0000"]]}',
    b'{"op": "vmgexit", "gpa": 0, "page": [[0, "00", 1]]}',
    b'{"op": "vmgexit", "gpa": 18446744073709547520, "page": [[912, "76"]]}',
    b'{"op": "read", "gpa": 18446744073709551615, "size": 2}',
    b'{"op": "write", "gpa": 18446744073709551615, "hex": "0000"}',
    b'{"op": "msr", "request": null}',
    b'{"op": "read", "gpa": 4095, "size": 2}',
    b'{"op": "write", "gpa": 4096, "hex": "' + b"11" * 500_000 + b'"}',
    b'{"op": "read", "gpa": 504095, "size": 2}',
]
"""Lines of which only those in `KNOWN` are commands."""

KNOWN = {
    1: {"ok": True},
    4: {"ok": True},
    13: {"run": "guest", "page": "untouched", "asked": []},
    14: {"hex": None},
    15: {"ok": False},
    17: {"hex": "0000"},
    18: {"ok": True},
    19: {"hex": "1100"},
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_to_a_host_has_one_answer(language: str, made: Made) -> None:
    told = answers(made(language), STRANGE)
    assert {n: one for n, one in enumerate(told) if list(one) != ["unsupported"]} == KNOWN


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_host_never_runs_out_of_room(language: str, made: Made) -> None:
    """What it has no room for is not supported, and the VM stays."""
    leaves = (
        b'{"op": "init", "cpuid": [' + b"[0, null, 1, 2, 3, 4], " * 64 + b"[0, 0, 1, 2, 3, 4]]}"
    )
    memory = b'{"op": "init", "memory": [' + b'[4096, "00"], ' * 600 + b'[0, "00"]]}'
    full = [
        b'{"op": "write", "gpa": %d, "hex": "%s"}' % (n << 20, b"11" * 500_000) for n in range(10)
    ]
    sent = [b'{"op": "init", "vcpus": 2}', leaves, memory, *full, b'{"op": "sipi", "cpu": 1}']
    *others, last = answers(made(language), sent)
    assert last == {"released": False}
    assert all(one == {"ok": True} or list(one) == ["unsupported"] for one in others)


@pytest.mark.parametrize("language", LANGUAGES)
def test_more_doorbell_pages_than_there_is_room_for(language: str, made: Made) -> None:
    """Each has another place, and the event in it makes it a page that is not zero."""
    commands: list[Command] = [{"op": "init", "registered": 0x7000, "vmsa_features": 9}]
    for frame in range(16, 1100):
        doorbell = exits(ExitCode.HV_DOORBELL_PAGE, 1, frame << 12)
        commands += [doorbell, {"op": "irq", "vector": 99}, {"op": "enter"}]
    told = answers(made(language), [json.dumps(one).encode() for one in commands])
    told_of = [one for one in told[3::3] if one["event_inj"] == 0x8000_031C]
    assert len(told_of) == 1084 if language == "python" else 900 < len(told_of) < 1000
    assert {one["doorbell"] for one in told[3::3]} == {0x8063}


@pytest.mark.parametrize("language", LANGUAGES)
def test_more_runs_of_pages_than_can_be_told(language: str, made: Made) -> None:
    *_, last = told(
        str(made(language)), *(page_state(1, 2 * n) for n in range(1200)), {"op": "state"}
    )
    assert (last["mappings"], last["vcpus"]) == (1200, {})
    if language == "python":
        assert len(last["pages"]) == 1200
    else:
        assert "unsupported" in last
        assert "pages" not in last


@pytest.mark.parametrize("language", LANGUAGES)
def test_damaged_commands_to_a_host(language: str, made: Made) -> None:
    chance = random.Random(3)
    right = json.dumps(host_rules.RULES["The answer"].steps[2][0]).encode()
    sent = [b'{"op": "init", "registered": 28672}']
    for _ in range(1500):
        text = bytearray(right)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(text))
            text[at : at + 1] = bytes([chance.randrange(256)] * chance.randrange(2))
        sent.append(bytes(text).replace(b"\n", b""))
    told = answers(made(language), [*sent, right])
    assert told[-1]["registers"]["rax"] == 0x10
