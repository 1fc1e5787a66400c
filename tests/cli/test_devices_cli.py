"""`--psp sealed` and `--tpm swtpm`: an attestation with real pages, a real TPM behind the vTPM calls."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Run
from vmgexit.devices.swtpm import Swtpm

ATTEST = """
write 0x1000 0020000000000000a0040000000000000050000000000000400000000000000000300000000000000010
write 0x5000 1111
call attest services rcx=0x1000
messages
messages seen
psp ["invalid"]
call attest services rcx=0x1000
write 0x5000 2222
call attest services rcx=0x1000
messages
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(ran: Ran) -> list[str]:
    return [line.strip() for line in ran.out.splitlines() if not line.startswith("svsm>")]


def test_messages_are_told_and_opened_by_another_command(run: Run, here: Path) -> None:
    Path("attest.txt").write_text(ATTEST)
    ran = run("svsm", "--profile", "nonce-reused,stale-report", "--psp", "sealed", "attest.txt")
    assert (ran.code, ran.err) == (0, "")
    assert [line for line in told(ran) if line.startswith(("req", "resp"))] == [
        "request-1.bin  number 1, IV 010000000000000000000000, 96 bytes",
        "response.bin   number 2, IV 020000000000000000000000, 1216 bytes",
        "request-1.bin  number 1, IV 010000000000000000000000, 96 bytes",
        "request-2.bin  number 3, IV 030000000000000000000000, 96 bytes",
        "request-3.bin  number 3, IV 030000000000000000000000, 96 bytes;"
        " the IV of request-2.bin, which has other bytes",
        "response.bin   number 4, IV 040000000000000000000000, 1216 bytes",
    ]
    assert sorted(path.name for path in Path("seen").iterdir()) == [
        "request-1.bin",
        "response.bin",
        "secrets.bin",
        "vcek.pem",
    ]
    ran = run("decode", "guest-message", "seen/response.bin", "--secrets", "seen/secrets.bin")
    assert (ran.code, ran.err) == (0, "")
    assert "opened by VMPCK0 of seen/secrets.bin: 1216 bytes" in ran.out
    assert "0x6 REPORT_RESPONSE" in ran.out


def test_messages_need_pages(run: Run, here: Path) -> None:
    Path("script.txt").write_text("messages\n")
    ran = run("svsm", "script.txt")
    assert ran.code == 2
    assert (
        ran.err == "vmgexit: script.txt line 1: messages: there are pages only with --psp sealed\n"
    )
    ran = run("svsm", "--psp", "sealed", "script.txt")
    assert (ran.code, told(ran)) == (0, ["none so far"])
    Path("seen/secrets.bin").mkdir(parents=True)
    Path("script.txt").write_text("messages script.txt\nmessages one two\nmessages seen\n")
    ran = run("svsm", "--psp", "sealed", "script.txt")
    assert ran.code == 2
    assert ran.err.splitlines() == [
        "vmgexit: script.txt line 1: script.txt: a file found, a folder expected",
        "vmgexit: script.txt line 2: messages: the name of one folder expected, or nothing",
        "vmgexit: script.txt line 3: seen/secrets.bin: Is a directory",
    ]


def test_devices_are_those_of_our_machine(run: Run, here: Path) -> None:
    Path("a.jsonl").write_text('{"op": "init", "cpus": 1, "reg_count": 1}\n')
    ran = run("replay", "a.jsonl", "--peer", "true", "--psp", "sealed")
    assert ran.err == "vmgexit: --psp: a device of our own machine, not of a peer\n"
    ran = run("replay", "a.jsonl", "--explain", "--psp", "sealed")
    assert (ran.code, ran.err) == (
        2,
        "vmgexit: --explain compares with recorded devices: not with --psp or --tpm\n",
    )


def test_no_tpm_is_one_line(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    ran = run("svsm", "--tpm", "swtpm", "nothing.txt")
    assert (ran.code, ran.err) == (
        2,
        "vmgexit: --tpm swtpm: swtpm is not installed; Debian has it: apt install swtpm\n",
    )


def test_a_tpm_that_does_not_listen_is_one_line(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/false")
    ran = run("svsm", "--tpm", "swtpm", "nothing.txt")
    assert ran.code == 2
    assert ran.err.startswith("vmgexit: --tpm swtpm: swtpm does not listen on ")


def command(code: int, body: bytes = b"", tag: int = 0x8001) -> bytes:
    """A TPM command, as TPM 2.0 part 3 has it."""
    return struct.pack(">HII", tag, 10 + len(body), code) + body


PASSWORD = bytes.fromhex("00000009 40000009 0000 00 0000")  # an empty one
ECC_STORAGE = bytes.fromhex("0023 000b 00030072 0000 0006 0080 0043 0010 0003 0010 0000 0000")
COMMANDS = {
    "startup": command(0x144, b"\0\0"),
    "self test": command(0x143, b"\1"),
    "get random": command(0x17B, struct.pack(">H", 16)),
    "get capability": command(0x17A, struct.pack(">III", 6, 0x105, 1)),  # the manufacturer
    "create primary": command(
        0x131,
        bytes.fromhex("40000001")
        + PASSWORD
        + bytes.fromhex("0004 0000 0000")
        + struct.pack(">H", len(ECC_STORAGE))
        + ECC_STORAGE
        + bytes.fromhex("0000 00000000"),
        tag=0x8002,
    ),
    "nothing": b"",
    "cut": command(0x17B, b"\0\x10")[:11],
}


@pytest.mark.needs("swtpm")
@pytest.mark.slow
def test_a_real_tpm_answers(run: Run, here: Path) -> None:
    lines = []
    for sent in COMMANDS.values():
        request = (8).to_bytes(4, "little") + b"\0" + len(sent).to_bytes(4, "little") + sent
        lines += [f"write 0x4000 {request.hex()}", "call vtpm command rcx=0x4000", "read 0x4000 64"]
    Path("tpm.txt").write_text("\n".join(lines))
    ran = run("svsm", "--tpm", "swtpm", "tpm.txt", "--save", "tpm.jsonl")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("SVSM_VTPM_COMMAND: SUCCESS") == len(COMMANDS)
    found = [bytes.fromhex(line.split()[1]) for line in told(ran) if line.startswith("hex ")]
    answers = dict(zip(COMMANDS, found, strict=True))
    codes = {name: int.from_bytes(answer[10:14], "big") for name, answer in answers.items()}
    assert codes == dict.fromkeys(COMMANDS, 0) | {"nothing": 0x142, "cut": 0x142}
    sizes = {name: int.from_bytes(answer[:4], "little") for name, answer in answers.items()}
    assert sizes["get random"] == 10 + 2 + 16
    assert sizes["create primary"] > 300
    assert b"IBM" in answers["get capability"]
    assert not any(answers["get random"][4 + 28 :])
    # Replayed, the TPM is powered on anew; what it draws by lot and its key differ, and nothing else.
    ran = run("replay", "--tpm", "swtpm", "--invariants", "tpm.jsonl")
    assert ran.code == 1
    assert [line.split(",")[1] for line in ran.out.splitlines()[:-1]] == [
        " operation 9",
        " operation 15",
    ]
    assert ran.out.endswith("1 sequence, 22 operations, 2 mismatches\n")


@pytest.mark.needs("swtpm")
def test_a_tpm_that_is_killed_ends_the_session(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tpms: list[Swtpm] = []

    class Killed(Swtpm):
        def execute(self, command: bytes) -> bytes:
            tpms.append(self)
            self._process.kill()
            self._process.wait()
            return super().execute(command)

    monkeypatch.setattr("vmgexit.cli.devices.Swtpm", Killed)
    request = "08000000 00 0c000000" + COMMANDS["startup"].hex()
    Path("tpm.txt").write_text(
        f"write 0x4000 {request.replace(' ', '')}\ncall vtpm command rcx=0x4000\ninit\n"
    )
    ran = run("svsm", "--tpm", "swtpm", "tpm.txt", "--save", "tpm.jsonl")
    assert (ran.code, ran.err) == (
        2,
        "vmgexit: tpm.txt line 2: --tpm swtpm: swtpm has ended\n",
    )
    assert ran.out.endswith("svsm> call vtpm command rcx=0x4000\n")
    saved = Path("tpm.jsonl").read_text().splitlines()
    assert [json.loads(line)["cmd"]["op"] for line in saved] == ["init", "write"]
    assert len(tpms) == 1
    assert not Path(tpms[0]._folder.name).exists()
    ran = run("replay", "--tpm", "swtpm", "tpm.jsonl")
    assert ran.code == 0
