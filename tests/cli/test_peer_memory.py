"""`vmgexit peer new --for svsm-memory`: projects that compile without a warning and answer as our machine,
whatever they are asked."""

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checkout import quirk_scenario
from tests.cli.test_peer_new import asked
from tests.peers.made import (
    LANGUAGES,
    NO_WARNING,
    SANITIZED,
    Made,
    answers,
    built,
    once,
    project,
)
from tests.peers.opened import opener
from vmgexit.cli import main
from vmgexit.descriptions import Command
from vmgexit.machine import program
from vmgexit.machine.commands import call
from vmgexit_fuzz.targets import Finding
from vmgexit_fuzz.targets.svsm_peer import SvsmPeer

pytestmark = pytest.mark.slow

SURFACE = "svsm-memory"
LACKS = ("validated-twice", "boot-calling-area-stuck")
"""What the small SVSM does otherwise than the reference, by our names."""
Opened = Callable[..., SvsmPeer]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return once(tmp_path_factory, SURFACE, CFLAGS="-O0")


def of(language: str, folder: Path) -> Path:
    return project(language, folder, filled_in=False, surface=SURFACE)


@pytest.fixture
def opened() -> Iterator[Opened]:
    yield from opener("svsm-peer", SvsmPeer)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_adapter_passes_the_check(
    language: str, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["peer", "check", "--peer", str(made(language))]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1].endswith(" 0 broken")
    on_memory = [line for line in told if line.startswith("PEER-M")]
    assert len(on_memory) == 29
    assert all(line.endswith(": holds") for line in on_memory)


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_answers_as_our_machine_with_two_quirks(
    language: str, made: Made, opened: Opened
) -> None:
    target = opened(str(made(language)), profile=",".join(LACKS))
    for seed in range(60):
        target.run(target.make(random.Random(seed)))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["attest", "vtpm", "core-honest"])
def test_recorded_commands_are_answered_as_by_our_machine(
    kind: str, language: str, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = asked(f"memory/{kind}", tmp_path, 40 if kind == "attest" else 10)
    words = ["--peer", str(made(language)), "--profile", ",".join(LACKS)]
    assert main(["replay", file, *words]) == 0
    assert ", 0 mismatches" in capsys.readouterr().out


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", LACKS)
def test_what_it_does_otherwise_is_named(
    language: str, name: str, made: Made, opened: Opened
) -> None:
    commands = quirk_scenario(name)
    with pytest.raises(Finding) as caught:
        opened(str(made(language))).run(program.write(commands))
    assert caught.value.cause == name


BUGS = {
    "vmsa-at-2m": (" || !(page % VMGEXIT_LARGE_PAGE)", ""),
    "remap-to-current-refused": ("area != home->area && !calls_is_free", "!calls_is_free"),
    "deleted-keeps-calling-area": (
        "*home = (struct vmgexit_home){ .has_vmsa = false };",
        "home->has_vmsa = false;",
    ),
    "unvalidated-calling-area-accepted": (
        "    if (!vmgexit_touch(area, HEAD))\n"
        "        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;\n"
        "    if (count",
        "    if (count",
    ),
    "call SVSM_CORE_REMAP_CA: rax is not INVALID_PARAMETER": (
        "if (area % VMGEXIT_PAGE)\n        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;",
        "if (area % VMGEXIT_PAGE)\n        return VMGEXIT_RESULT_CODE_INVALID_REQUEST;",
    ),
    "call SVSM_CORE_PVALIDATE: rax is FAIL_NOCHANGE": (
        "    bool unchanged;\n    unsigned status = revoke(",
        "    bool unchanged;\n    ignores_cf = false;\n    unsigned status = revoke(",
    ),
    "call SVSM_CORE_CONFIGURE_VTOM: rax is not INVALID_REQUEST": (
        "rcx & 1))\n            return VMGEXIT_RESULT_CODE_INVALID_REQUEST;",
        "rcx & 1))\n            return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;",
    ),
}
"""Bugs of the small SVSM in C: what each is found as, and the edit that makes it."""


@pytest.mark.needs("cc")
def test_seven_bugs_are_no_more_findings(tmp_path: Path, opened: Opened) -> None:
    folder = of("c", tmp_path / "project")
    source = folder / "calls.c"
    text = source.read_text()
    for right, wrong in BUGS.values():
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    source.write_text(text)
    target, found = opened(str(built(folder, CFLAGS="-O0")), profile=",".join(LACKS)), set[str]()
    for seed in range(120):
        try:
            target.run(target.make(random.Random(seed)))
        except Finding as finding:
            found.add(finding.cause)
    assert found <= set(BUGS)
    assert len(found) >= 4


OF_ATTESTATION = {
    "nonce-reused": ("        has_key = false;", "        has_key = made.kind == VMGEXIT_INVALID;"),
    "buffers-may-overlap": ("if (overlap(&parts[i]", "if (count > 3 && overlap(&parts[i]"),
    "unknown-attest-call": ("RESULT_CODE_UNSUPPORTED_CALL", "RESULT_CODE_UNSUPPORTED_PROTOCOL"),
}
"""Bugs of its attestation in C: the quirk that each is named by, and the edit that makes it."""


@pytest.mark.needs("cc")
@pytest.mark.parametrize("name", OF_ATTESTATION)
def test_a_bug_of_attestation_is_named(name: str, tmp_path: Path, opened: Opened) -> None:
    folder, (right, wrong) = of("c", tmp_path / "project"), OF_ATTESTATION[name]
    source = folder / "attestation.c"
    assert source.read_text().count(right) == 1
    source.write_text(source.read_text().replace(right, wrong))
    target = opened(str(built(folder, CFLAGS="-O0")), profile=",".join(LACKS))
    with pytest.raises(Finding) as caught:
        target.run(program.write(quirk_scenario(name)))
    assert caught.value.cause == name


INIT: Command = {
    "op": "init", "cpus": 2, "memory": [[0, 0x400000]], "svsm": [0x200000, 0x2000], "caa": 0x8000,
    "sev_features": 1, "npf": "stop", "unvalidated": "vc", "pages": [[0, 0x200000, "valid", 7]],
}  # fmt: skip
READ: Command = {"op": "read", "gpa": 0x1000, "len": 2, "by": 2}
ODD_INITS: tuple[Command, ...] = (
    {"memory": [[0, 0x1001]]},
    {"memory": [[0x1000, 0]]},
    {"memory": [[0, 0x2000], [0x1000, 0x1000]]},
    {"memory": [[0]]},
    {"memory": [[0, 1, 2]]},
    {"memory": [[n * 4096, 4096] for n in range(5000)]},
    {"memory": [[(1 << 51) - 4096, 8192]]},
    {"svsm": [0x200000, 0x1000]},
    {"svsm": [0x200000]},
    {"svsm": None},
    {"caa": 0x8001},
    {"npf": "maybe"},
    {"pages": [[0x1000, 0x200000, "huge-valid", 0]]},
    {"pages": [[0, 0x1000, "public", 0]]},
    {"pages": [[0, 0x1000, "valid", 256]]},
    {"apic_ids": [1, 1]},
    {"reg_count": 4294967296},
)
STRANGE: tuple[Command, ...] = (
    *(INIT | odd for odd in ODD_INITS),
    {key: INIT[key] for key in ("op", "cpus", "memory")},
    {key: INIT[key] for key in INIT if key != "unvalidated"},
    {"op": "init", "cpus": 2},
    {"op": "init", "cpus": 2, "reg_count": 1, "apic_ids": [1, 1]},
    {"op": "init", "cpus": 0, "reg_count": 1},
    {"op": "read", "gpa": (1 << 51) - 1, "len": 2},
    {"op": "read", "gpa": 0, "len": 4097},
    {"op": "read", "gpa": 1 << 51, "len": 1},
    {"op": "read", "gpa": 0, "len": 1, "by": 0},
    {"op": "read", "gpa": 0, "len": 1, "by": 4},
    {"op": "read", "gpa": 0, "len": 1, "by": "guest"},
    {"op": "write", "gpa": 0, "hex": "0"},
    {"op": "write", "gpa": 0, "hex": "00" * 4097},
    {"op": "host_page", "gpa": 0, "to": "remap"},
    {"op": "host_page", "gpa": 0, "to": "split", "spa": 0},
    {"op": "host_page", "gpa": 0, "to": "away"},
    {"op": "vmsa", "gpa": 0, "vmpl": 2},
    {"op": "adjust", "gpa": 0, "vmpl": 2, "perms": 16},
    {"op": "calling_area", "cpu": 2},
    {"op": "run", "cpu": 2, "on": True},
    {"op": "run", "cpu": 0, "on": 1},
    {"op": "psp", "answers": ["err"]},
    {"op": "psp", "answers": [{"err": 1}]},
    {"op": "psp", "answers": [{"status": 1, "err": 1, "rbx": 1}]},
    {"op": "psp", "answers": [{}]},
    {"op": "psp", "answers": ["ok"], "certs": [1, 2]},
    call(2, 6, 1, protocol=0),
    {"op": "enter", "cpu": 2},
    {"op": "set_vmsa", "cpu": 0},
    {"op": "host_irq", "cpu": 0, "vector": 256, "level": True},
)
BEYOND = (
    b'{"op": ["page"], "gpa": 0}',
    b"[" * 100_000,
    b'{"op": "read", "gpa": -1, "len": 1}',
    b"x" * 2_000_000,
    b"\xff",
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_has_one_answer(language: str, made: Made) -> None:
    """One that is no command is not supported, and changes nothing."""
    strange = [*(json.dumps(one).encode() for one in STRANGE), *BEYOND]
    usual = [json.dumps(one).encode() for one in (INIT | {"reg_count": 1}, READ)]
    found = answers(made(language), [*usual, *strange, usual[1]])
    assert found[0] == {"ok": True, "cpus": 2, "reg_count": 1}
    assert found[1] == found[-1] == {"ok": True, "hex": "0707"}
    for line, answer in zip(strange, found[2:-1], strict=True):
        assert list(answer) == ["unsupported"], line[:200]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_machine_without_memory_has_none(language: str, made: Made) -> None:
    without = {"op": "init", "cpus": 1, "reg_count": 1}
    asked = [READ, INIT, READ, without, READ, {"op": "doorbell", "cpu": 0}, INIT, READ]
    found = answers(made(language), [json.dumps(one).encode() for one in asked])
    assert found[2] == found[7] == {"ok": True, "hex": "0707"}
    assert list(found[0]) == list(found[4]) == ["unsupported"]
    assert found[5] == {"hex": "00" * 256}


PANICS = {
    "c": (
        "        if (!(registers->rcx & 1))\n            return VMGEXIT_RESULT_CODE_INVALID_REQUEST;",
        '        vmgexit_panic("no vTOM");',
    ),
    "rust": (
        "require(registers.rcx & 1 != 0, Refused(ResultCode::INVALID_REQUEST.0))?;",
        'assert!(registers.rcx & 1 != 0, "no vTOM");',
    ),
    "python": (
        "require(bool(registers.rcx & 1), ResultCode.INVALID_REQUEST)",
        'raise AssertionError("no vTOM")',
    ),
}
"""By a language, an edit of CONFIGURE_VTOM that makes it an assertion."""


@pytest.mark.parametrize(
    "language",
    [
        pytest.param("c", marks=pytest.mark.needs("cc")),
        pytest.param("rust", marks=[pytest.mark.needs("rustc"), pytest.mark.long]),
        "python",
    ],
)
def test_it_stays_after_an_assertion(language: str, tmp_path: Path) -> None:
    folder, (right, wrong) = of(language, tmp_path / "project"), PANICS[language]
    [source] = folder.glob("calls.[!h]*")
    text = source.read_text()
    assert text.count(right) == 1
    source.write_text(text.replace(right, wrong))
    asked = [INIT, call(0, 7, 0, protocol=0), READ, INIT, READ]
    sent = b"".join(json.dumps(one).encode() + b"\n" for one in asked)
    run = subprocess.run([built(folder, CFLAGS="-O0")], input=sent, capture_output=True, timeout=60)
    hello, *found = map(json.loads, run.stdout.splitlines())
    assert hello["stays"] is True
    assert found[1] == found[2]
    assert "no vTOM" in found[1]["panic"]
    assert found[4] == {"ok": True, "hex": "0707"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_stays_after_a_stop(language: str, made: Made) -> None:
    taken: Command = {"op": "host_page", "gpa": 0x8000, "to": "shared"}
    asked = [INIT, taken, call(0, 6, 1, protocol=0), READ, INIT, READ]
    found = answers(made(language), [json.dumps(one).encode() for one in asked])
    assert list(found[2]) == list(found[3]) == ["terminated"]
    assert found[5] == {"ok": True, "hex": "0707"}


@pytest.mark.needs("cc", "clang")
def test_no_compiler_warns(tmp_path: Path) -> None:
    folder = of("c", tmp_path / "project")
    for compiler in ("gcc", "clang"):
        built(folder, CC=compiler, CFLAGS=NO_WARNING)


@pytest.mark.needs("cc")
@pytest.mark.long
def test_sanitizers_find_nothing(tmp_path: Path, opened: Opened) -> None:
    adapter = built(of("c", tmp_path / "project"), CFLAGS=SANITIZED)
    answers(adapter, [json.dumps(one).encode() for one in (INIT, *STRANGE)] + list(BEYOND))
    target = opened(str(adapter), profile=",".join(LACKS))
    for seed in range(1000):
        target.run(target.make(random.Random(seed)))
