"""`vmgexit encode`: names to bytes, the way back from `decode --json`, and bad input."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit.schema import structures


def test_fields_by_path(run: Run) -> None:
    ran = run(
        "encode", "doorbell-head", "--hex",
        "--set", "vector=0x61", "--set", "flags.no_further_signal=true",
        "--set", "per_vmpl[1].status.pending_vector=98", "--set", "per_vmpl_events.vmpl2=1",
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
            ("doorbell-head", "--set", "per_vmpl[1].status.pending_vector=300"),
            "per_vmpl[1].status.pending_vector: 300 does not fit 8 bits",
        ),
        (
            ("doorbell-head", "--set", "vectr=1"),
            "doorbell-head has no field vectr; nearest: vector",
        ),
        (("doorbell-head", "--set", "vector"), "--set vector: path=value expected"),
        (("doorbell-head", "--set", "vector=x"), "vector: 'x' found, a number expected"),
        (("doorbell-head", "--set", "vector=-1"), "vector: -1 does not fit 8 bits"),
        (("doorbell-head", "--set", "flags=1"), "flags: a structure, name one of its fields"),
        (
            ("calling-area", "--set", "reserved_0x003=01"),
            "reserved_0x003: 1 bytes found, 5 expected",
        ),
        (
            ("calling-area", "--set", "reserved_0x003=xy"),
            "reserved_0x003: 'xy' found, hex expected",
        ),
        (("apic-icr", "--set", "shorthand=NOBODY"), "a number expected, or one of NONE"),
        (("apic-icr", "--set", "vector=1", "-o", "/dev/null/x"), "/dev/null"),
    ],
)
def test_bad_values_get_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("encode", *words, "--hex").complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]", "[1] found, an object expected"),
        ('{"vektor": 1}', "vektor: no such field of doorbell-head"),
        ('{"vector": 1.5}', "vector: 1.5 found, a number expected"),
        ('{"vector": NaN}', "vector: nan found, a number expected"),
        ('{"vector": "1"}', "vector: '1' found, a number expected"),
        ('{"vector": null}', "vector: None found, a number expected"),
        (json.dumps({"vector": 1 << 200}), "does not fit 8 bits"),
        ('{"per_vmpl": [{}]}', "per_vmpl: a list of 3 expected"),
        ('{"flags": 1}', "flags: 1 found, an object expected"),
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
