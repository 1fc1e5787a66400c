"""`vmgexit decode guest-message --secrets`: payloads that `cryptography` seals here, and opens there."""

import gzip
import hashlib
import json
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.cli.conftest import Run
from vmgexit import (
    GuestMessage,
    GuestMessageHeader,
    KeyRequest2,
    MessageKind,
    SecretsPage,
    TscInfoResponse,
)
from vmgexit.wire.payloads import PAYLOADS, payload_of
from vmgexit.wire.registry import structures

CASES = Path(__file__).parents[2] / "corpus" / "cases"
REPORT = (CASES / "report-v3-genoa.bin").read_bytes()
RESPONSE = bytes(4) + b"\xa0\4\0\0" + bytes(24) + REPORT
KEYS = [hashlib.sha256(bytes([number])).digest() for number in range(4)]
SECRETS = SecretsPage(
    version=3, fms=0xA00F11, vmpck0=KEYS[0], vmpck1=KEYS[1], vmpck2=KEYS[2], vmpck3=KEYS[3]
)


def sealed(
    payload: bytes, kind: int, *, key: int = 0, says: int | None = None, version: int = 1
) -> bytes:
    """A message page as the firmware makes it; `says`: which key its header names."""
    header = GuestMessageHeader(
        msg_seqno=2,
        msg_type=kind,
        msg_version=version,
        msg_sz=len(payload),
        msg_vmpck=key if says is None else says,
    )
    plain = header.encode()
    iv = plain[0x20:0x28] + bytes(4)
    sealed = AESGCM(KEYS[key]).encrypt(iv, payload, plain[0x30:0x60])
    tag = sealed[-16:].ljust(32, b"\0")
    return (tag + plain[32:] + sealed[:-16]).ljust(4096, b"\0")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("secrets.bin").write_bytes(SECRETS.encode())
    Path("response.bin").write_bytes(sealed(RESPONSE, MessageKind.REPORT_RESPONSE))
    return tmp_path


def test_a_report_response_is_opened(run: Run, here: Path) -> None:
    ran = run("decode", "guest-message", "response.bin", "--secrets", "secrets.bin")
    assert (ran.code, ran.err) == (0, "")
    assert "Payload, opened by VMPCK0 of secrets.bin: 1216 bytes" in ran.out
    assert "report-response at 0x60, 1216 bytes: Payload of a report response (type 6)." in ran.out
    assert "0x060         status                                          0" in ran.out
    assert any(
        line.split()[:3] == ["0x080", "report.version", "0x3"] for line in ran.out.splitlines()
    )
    ran = run("decode", "guest-message", "response.bin", "--secrets", "secrets.bin", "--json")
    opened = json.loads(ran.out)["opened"]
    assert (opened["vmpck"], opened["structure"]) == (0, "report-response")
    assert bytes.fromhex(opened["report"]["measurement"]) == REPORT[0x90:0xC0]


@pytest.mark.parametrize(("key", "says"), [(1, 1), (2, 0), (3, 7)])
def test_the_key_that_fits_is_named_whatever_the_header_says(
    run: Run, here: Path, key: int, says: int
) -> None:
    payload = TscInfoResponse(tsc_factor=200).encode()
    page = sealed(payload, MessageKind.TSC_INFO_RESPONSE, key=key, says=says)
    Path("tsc.bin").write_bytes(page)
    ran = run("decode", "guest-message", "tsc.bin", "--secrets", "secrets.bin", "--json")
    opened = json.loads(ran.out)["opened"]
    assert (opened["vmpck"], opened["structure"], opened["tsc_factor"]) == (
        key,
        "tsc-info-response",
        200,
    )


def test_a_payload_without_a_structure_is_shown_as_bytes(run: Run, here: Path) -> None:
    Path("cpuid.bin").write_bytes(sealed(b"\x61\x81", 200))
    ran = run("decode", "guest-message", "cpuid.bin", "--secrets", "secrets.bin")
    assert "secrets.bin: 2 bytes; no structure for its type is known\n\n  61 81\n" in ran.out
    Path("cut.bin").write_bytes(sealed(RESPONSE[:32], MessageKind.REPORT_RESPONSE))
    ran = run("decode", "guest-message", "cut.bin", "--secrets", "secrets.bin")
    assert "secrets.bin: 32 bytes; report-response has 1216" in ran.out
    ran = run("decode", "guest-message", "cpuid.bin", "--secrets", "secrets.bin", "--json")
    assert json.loads(ran.out)["opened"] == {"vmpck": 0, "hex": "6181"}


@pytest.mark.parametrize("words", [[], ["--secrets-gpa", "0x7000"]])
@pytest.mark.parametrize("name", ["image.mem", "image.mem.gz"])
def test_a_secrets_page_is_found_in_an_image(
    run: Run, here: Path, name: str, words: list[str]
) -> None:
    image = bytes(0x7000) + SECRETS.encode() + sealed(RESPONSE, 6) + bytes(0x3000)
    Path(name).write_bytes(gzip.compress(image) if name.endswith("gz") else image)
    ran = run("decode", "guest-message", name, "--gpa", "0x8000", "--secrets", name, *words)
    assert (ran.code, ran.err) == (0, "")
    assert f"Payload, opened by VMPCK0 of {name} at 0x7000: 1216 bytes" in ran.out
    assert "report-response at 0x8060" in ran.out


def test_no_key_fits(run: Run, here: Path) -> None:
    other = SecretsPage(version=3, vmpck1=b"\1" * 32, vmpck3=b"\3" * 32)
    Path("other.bin").write_bytes(other.encode())
    ran = run("decode", "guest-message", "response.bin", "--secrets", "other.bin")
    assert ran.code == 1
    assert "msg_seqno" in ran.out
    assert ran.err.splitlines() == [
        "vmgexit: guest-message at 0x0: no key opens the payload; tried: VMPCK1, VMPCK3 of other.bin"
    ]
    Path("other.bin").write_bytes(SecretsPage(version=3).encode())
    ran = run("decode", "guest-message", "response.bin", "--secrets", "other.bin")
    assert ran.err.endswith("tried: no key that is not zero of other.bin\n")


@pytest.mark.parametrize("at", [0, 0x20, 0x30, 0x5F, 0x60, 0x60 + 1215])
def test_a_byte_that_was_changed_lets_no_key_fit(run: Run, here: Path, at: int) -> None:
    page = bytearray(Path("response.bin").read_bytes())
    page[at] ^= 1
    Path("response.bin").write_bytes(page)
    ran = run("decode", "guest-message", "response.bin", "--secrets", "secrets.bin")
    assert ran.code == 1
    assert "no key opens the payload" in ran.err


def test_a_size_that_no_page_holds(run: Run, here: Path) -> None:
    message = GuestMessage.decode(Path("response.bin").read_bytes())
    message.header.msg_sz = 4001
    Path("response.bin").write_bytes(message.encode())
    ran = run("decode", "guest-message", "response.bin", "--secrets", "secrets.bin")
    assert ran.err.endswith("header.msg_sz: 4001 bytes found, a page holds 4000\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["guest-message", "--secrets", "no.bin"], "no.bin"),
        (["guest-message", "--secrets", "short.bin"], "short.bin: no secrets page was found"),
        (["guest-message", "--secrets", "long.bin"], "long.bin: no secrets page was found"),
        (["guest-message", "--secrets-gpa", "0"], "--secrets-gpa found without --secrets"),
        (
            ["guest-message", "--secrets", "secrets.bin", "--secrets-gpa", "0x1000"],
            "0x1000 to 0x1fff are not in it",
        ),
        (["ghcb", "--secrets", "secrets.bin"], "--secrets opens a guest-message; ghcb found"),
    ],
)
def test_secrets_that_are_none(run: Run, here: Path, words: list[str], complaint: str) -> None:
    Path("short.bin").write_bytes(b"\xff" * 100)
    Path("long.bin").write_bytes(b"\xff" * 10000)
    assert complaint in run("decode", words[0], "response.bin", *words[1:]).complaint


def test_what_is_missing_in_a_dump_cannot_be_opened(run: Run, here: Path) -> None:
    data = Path("response.bin").read_bytes()[:0x80]
    rows = [f"{at:08x}  {data[at : at + 16].hex(' ')}" for at in range(0, len(data), 16)]
    Path("cut.txt").write_text("\n".join(rows))
    ran = run("decode", "guest-message", "cut.txt", "--secrets", "secrets.bin")
    assert ran.code == 1
    assert "bytes of the payload are not in the dump: it cannot be opened" in ran.err


def test_without_cryptography_one_line_says_so(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    ran = run("decode", "guest-message", "response.bin", "--secrets", "secrets.bin")
    assert ran.code == 2
    assert ran.err == (
        "vmgexit: guest messages need cryptography, which is not installed; the extra has it:"
        " vmgexit[open]\n"
    )


def test_payloads_have_the_names_of_their_messages() -> None:
    for kind in MessageKind:
        name = kind.name.lower().replace("_", "-")
        declared = structures().get(name, {})
        assert bool(declared) == (kind in PAYLOADS), name
        assert {cls.declaration.name for cls in PAYLOADS.get(kind, ()) if cls} <= {name}


def test_a_key_request_of_version_2_is_opened(run: Run, here: Path) -> None:
    payload = KeyRequest2(guest_svn=7, launch_mit_vector=0x1F).encode()
    Path("key.bin").write_bytes(sealed(payload, MessageKind.KEY_REQUEST, version=2))
    ran = run("decode", "guest-message", "key.bin", "--secrets", "secrets.bin", "--json")
    opened = json.loads(ran.out)["opened"]
    assert (opened["guest_svn"], opened["launch_mit_vector"]) == (7, 0x1F)


def test_a_payload_that_no_source_lays_out_has_no_structure() -> None:
    header = GuestMessageHeader(msg_type=MessageKind.MMIO_VALIDATE_REQUEST, msg_version=2)
    assert payload_of(header) is None


@pytest.mark.parametrize(("version", "name"), [(0, ""), (1, ""), (2, "tdi-id"), (3, "tdi-id")])
def test_a_payload_is_read_by_the_version_of_its_message(version: int, name: str) -> None:
    header = GuestMessageHeader(msg_type=MessageKind.TDI_INFO_REQUEST, msg_version=version)
    found = payload_of(header)
    assert found is not None
    assert (found.declaration.name, found.declaration.revision) == ("tdi-info-request", name)
