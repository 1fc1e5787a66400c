"""`vmgexit encode`: names to bytes, the way back from `decode --json`, and bad input."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit.wire.registry import structures

CASES = Path(__file__).parents[2] / "corpus" / "cases"


def test_fields_by_path(run: Run) -> None:
    ran = run(
        "encode", "doorbell-head", "--hex",
        "--set", "vector=0x61", "--set", "flags.no_further_signal=true",
        "--set", "vmpl2.status.pending_vector=98", "--set", "per_vmpl_events.vmpl2=1",
    )  # fmt: skip
    data = bytes.fromhex(ran.out)
    assert (len(data), data[:4].hex(), data[0x80]) == (256, "61800002", 98)
    assert data.count(0) == 256 - 4


def test_codes_by_name_and_bytes_by_hex(run: Run) -> None:
    ran = run(
        "encode", "apic-icr", "--hex", "--set", "shorthand=ALL_BUT_SELF", "--set", "vector=0x50"
    )
    assert ran.out.strip() == "50000c0000000000"
    ran = run("encode", "calling-area", "--hex", "--set", "reserved_0x003=0102030405")
    assert ran.out.startswith("0000000102030405")


def test_a_word_by_its_integer(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text('{"flags": 128}')
    ran = run("encode", "doorbell-head", str(path), "--hex", "--set", "per_vmpl_events=0x2")
    assert ran.out.startswith("00800002")
    words = ("--set", "flags=0x81", "--set", "flags.nmi_pending=0")
    assert run("encode", "doorbell-head", "--hex", *words).out.startswith("00800000")


def test_what_has_one_right_value_has_it(run: Run) -> None:
    ran = run("encode", "ghcb-msr-run-vmpl-request", "--hex", "--set", "vmpl=2")
    assert ran.out == "1600000002000000\n"
    ran = run("encode", "ghcb-msr-run-vmpl-request", "--hex", "--set", "info=0")
    assert ran.out == "0000000000000000\n"


@pytest.mark.parametrize("written", ["100h", "256", "0x100", "0x100u64", "0o400", "1_00h"])
def test_a_number_is_written_as_decode_takes_it(run: Run, written: str) -> None:
    assert run("encode", "ghcb-msr", "--hex", "--set", f"info={written}").out == (
        "0001000000000000\n"
    )


def test_members_of_a_bitmap(run: Run) -> None:
    ran = run("encode", "ext-int-descriptor", "--hex", "--set", "irr=32,33,0x41-0x45,0xff")
    irr = 1 << 0 | 1 << 1 | 0b11111 << 0x41 - 32 | 1 << 0xFF - 32
    assert bytes.fromhex(ran.out)[4:32] == irr.to_bytes(28, "little")
    ran = run("encode", "ext-int-descriptor", "--hex", "--set", "irr=0x41,")
    assert bytes.fromhex(ran.out)[4:32] == (1 << 0x41 - 32).to_bytes(28, "little")
    ran = run("encode", "ext-int-descriptor", "--hex", "--set", "irr=0x41")
    assert bytes.fromhex(ran.out)[4:32] == (0x41).to_bytes(28, "little")


def test_a_pipe_is_read_without_a_name() -> None:
    program = f"{shlex.quote(sys.executable)} -m vmgexit encode ext-int-status --hex"
    for shell, expected in (
        (f"echo '{{\"pending_vector\": 97}}' | {program}", "61000000\n"),
        (f"echo '{{\"pending_vector\": 97}}' | {program} --set multiple_vectors=1", "61400000\n"),
        (f": | {program}", "00000000\n"),
        (f"{program} --set pending_vector=0x61 < /dev/null", "61000000\n"),
        (f"{program} --set pending_vector=0x61 <&-", "61000000\n"),
    ):
        done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (expected, "")


def test_raw_bytes_go_to_standard_output_and_no_temporary_file_stays(
    tmp_path: Path,
) -> None:
    words = [sys.executable, "-m", "vmgexit", "encode", "ext-int-status"]
    words += ["--set", "pending_vector=0x61"]
    for more in ([], ["-o", "-"], ["-o", "out.bin"], ["-o", "out.bin"]):
        done = subprocess.run(
            [*words, *more], stdin=subprocess.DEVNULL, capture_output=True, check=True, cwd=tmp_path
        )
        assert done.stdout == (b"" if "out.bin" in more else b"\x61\0\0\0")
    assert os.listdir(tmp_path) == ["out.bin"]
    assert (tmp_path / "out.bin").read_bytes() == b"\x61\0\0\0"


def test_a_terminal_gets_hex(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    ran = run("encode", "ext-int-status", "--set", "pending_vector=0x61")
    assert ran.out == "61000000\n"
    assert ran.err == "vmgexit: hex, for a terminal; -o OUT or a pipe gets the bytes\n"


def test_names_as_decode_and_as_specifications_spell_them(run: Run, tmp_path: Path) -> None:
    expected = run("encode", "doorbell-head", "--hex", "--set", "flags.no_further_signal=1").out
    for path in ("Flags.NoFurtherSignal=1", "FLAGS.NO_FURTHER_SIGNAL=true", "flags=0x80"):
        assert run("encode", "DoorbellHead", "--hex", "--set", path).out == expected
    (tmp_path / "value.json").write_text('{"Flags": {"NoFurtherSignal": true}}')
    assert run("encode", "doorbell_head", str(tmp_path / "value.json"), "--hex").out == expected
    (tmp_path / "value.json").write_text('{"flags": 128}')
    assert run("encode", "doorbell-head", str(tmp_path / "value.json"), "--hex").out == expected


def test_broken_rules_are_told(run: Run, tmp_path: Path) -> None:
    words = ("encode", "ext-int-status", "--set", "reserved_13_11=7")
    ran = run(*words, "--hex")
    assert (ran.code, ran.out) == (0, "00380000\n")
    assert ran.err.startswith(
        "vmgexit: ext-int-status: reserved_13_11: 0x7: reserved, must be zero"
    )
    ran = run(*words, "--strict", "-o", str(tmp_path / "out.bin"))
    assert (ran.code, ran.out, os.listdir(tmp_path)) == (1, "", [])
    assert "reserved_13_11" in ran.err


def test_the_message_of_a_word_is_read_over(run: Run, tmp_path: Path) -> None:
    shown = run("decode", "ghcb-msr", "0x21100", "--json").out
    path = tmp_path / "word.json"
    path.write_text(shown)
    assert run("encode", "ghcb-msr", str(path), "--hex").out == "0011020000000000\n"
    value = json.loads(shown)
    value["message"]["reason_code"] = 3
    path.write_text(json.dumps(value))
    complaint = run("encode", "ghcb-msr", str(path)).complaint
    assert complaint.startswith("vmgexit: message: other values found than in the word itself")


def test_no_folder_is_made_by_surprise(run: Run, tmp_path: Path) -> None:
    for words in (
        ("encode", "ext-int-status", "-o", f"{tmp_path}/new/out.bin"),
        ("layout", "ext-int-status", "-o", f"{tmp_path}/new/folder/"),
        ("diagram", "--all", "-o", f"{tmp_path}/new/folder"),
    ):
        assert run(*words).complaint == f"vmgexit: {tmp_path}/new: no such folder"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["doorbell-page", "svsm-call", "ghcb", "apic-icr", "vmsa"])
def test_the_json_of_decode_is_the_input_of_encode(run: Run, tmp_path: Path, name: str) -> None:
    data = os.urandom(structures()[name][""].size)
    (tmp_path / "data.bin").write_bytes(data)
    shown = run("decode", name, str(tmp_path / "data.bin"), "--json").out
    (tmp_path / "data.json").write_text(shown)
    out = tmp_path / "again.bin"
    assert run("encode", name, str(tmp_path / "data.json"), "-o", str(out)).code == 0
    assert out.read_bytes() == data


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ("doorbell-head", "--set", "vmpl2.status.pending_vector=300"),
            "vmpl2.status.pending_vector: 300 does not fit 8 bits",
        ),
        (
            ("doorbell-head", "--set", "vectr=1"),
            "doorbell-head has no field vectr; nearest: vector",
        ),
        (("doorbell-head", "--set", "vector"), "--set vector: path=value expected"),
        (("doorbell-head", "--set", "=1"), "--set =1: path=value expected"),
        (
            ("doorbell-head", "--set", "flags.nmi_pending=yes"),
            "flags.nmi_pending: 'yes' found, true, false, 0 or 1 expected",
        ),
        (("doorbell-head", "--set", "vector=x"), "vector: 'x' found, an integer expected"),
        (("doorbell-head", "--set", "vector=-1"), "vector: -1 does not fit 8 bits"),
        (("doorbell-head", "--set", "vmpl1=1"), "vmpl1: a structure, name one of its fields"),
        (("doorbell-head", "--set", "flags=256"), "flags: 256 does not fit 8 bits"),
        (("doorbell-head", "--set", "flags=x"), "flags: 'x' found, an integer expected"),
        (("doorbell-head", "--set", "vector=true"), "vector: 'true' found, an integer expected"),
        (
            ("calling-area", "--set", "reserved_0x003=01"),
            "reserved_0x003: 1 bytes found, 5 expected",
        ),
        (
            ("calling-area", "--set", "reserved_0x003=xy"),
            "reserved_0x003: 'xy' found, hex expected",
        ),
        (("apic-icr", "--set", "shorthand=NOBODY"), "an integer or one of NONE"),
        (("apic-icr", "-o", "/dev/null/x"), "vmgexit: /dev/null/x: Not a directory"),
        (("apic-icr", "-o", "/"), "vmgexit: /: Is a directory"),
        (("doorbell-head", "--set", f"vector=0x{'f' * 6000}"), "a number of 24000 bits does not"),
        (("doorbell-head", "--set", f"vector={'9' * 6000}"), "... found, an integer expected"),
        (("ext-int-descriptor", "--set", "irr=31,"), "irr: '31' found, numbers or ranges from 32"),
        (("ext-int-descriptor", "--set", "irr=0x50-0x41"), "irr: '0x50-0x41' found, numbers or"),
        (("ext-int-descriptor", "--set", "irr=40,256"), "irr: '256' found, numbers or ranges"),
        (("ext-int-descriptor", "--set", "irr=-1"), "irr: -1 does not fit 224 bits"),
    ],
)
def test_bad_values_get_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("encode", *words, "--hex").complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]", "[1] found, an object expected"),
        ('{"vektor": 1}', "vektor: doorbell-head has no field vektor; nearest: vector"),
        ('{"vec\\ntor": 1}', "vec\\ntor: doorbell-head has no field vec\\ntor; nearest: vector"),
        (json.dumps({"vector": 1 << 9000}), "a number of 9001 bits does not fit 8 bits"),
        ('{"vector": ' + "9" * 5000 + "}", "not JSON: Exceeds the limit"),
        ('{"vector": 1.5}', "vector: 1.5 found, an integer expected"),
        ('{"vector": 1.0}', "vector: 1.0 found, an integer expected"),
        ('{"flags": {"nmi_pending": 1.0}}', "nmi_pending: 1.0 found, true, false, 0 or 1 expected"),
        ('{"vector": NaN}', "vector: nan found, an integer expected"),
        ('{"vector": "1"}', "vector: '1' found, an integer expected"),
        ('{"vector": null}', "vector: None found, an integer expected"),
        (json.dumps({"vector": 1 << 200}), "does not fit 8 bits"),
        ('{"vmpl1": [{}]}', "vmpl1: [{}] found, an object expected"),
        ('{"flags": "1"}', "flags: '1' found, an object expected"),
        ('{"flags": 256}', "flags: 256 does not fit 8 bits"),
        ('{"vector": true}', "vector: True found, an integer expected"),
        ('{"reserved_0x004": "0g"}', "reserved_0x004: '0g' found, hex expected"),
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("\x00\x01", "not JSON"),
    ],
)
def test_bad_json_gets_one_line(run: Run, tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "value.json"
    path.write_text(text)
    assert complaint in run("encode", "doorbell-head", str(path), "--hex").complaint


def test_a_field_without_set_is_pointed_to(run: Run) -> None:
    complaint = run("encode", "ghcb-msr", "info=0x100").complaint
    assert complaint == "vmgexit: info=0x100: no such file; to set a field: --set info=0x100"


def test_a_list_is_as_long_as_it_is_given(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text('{"entries": [{"frame": 1}], "rest": "aabb"}')
    said = run("encode", "psc-request", str(path), "--set", "entries[2].frame=3", "--hex").out
    assert said.split() == ["00000200000000000010000000000000" + "00" * 8 + "0030000000000000aabb"]
    path.write_text('{"entries": 1}')
    complaint = run("encode", "psc-request", str(path), "--hex").complaint
    assert "entries: 1 found, a list of 0 expected" in complaint


@pytest.mark.parametrize("name", ["services-manifest", "ghcb-msr"])
def test_what_decode_says_beside_the_fields_is_no_field(
    run: Run, tmp_path: Path, name: str
) -> None:
    data = (
        (CASES / "services-manifest.bin").read_bytes() if name != "ghcb-msr" else b"\0\1" + bytes(6)
    )
    path = tmp_path / "value.json"
    path.write_text(run("decode", name, "--hex", data.hex(), "--json").out)
    assert set(json.loads(path.read_text())) & {"bodies", "message"}
    assert run("encode", name, str(path), "--hex").out == f"{data.hex()}\n"
