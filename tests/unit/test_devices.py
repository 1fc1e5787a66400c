"""The secure processor with messages in pages, beside the recorded one; worked values by `cryptography`."""

import lzma
from itertools import islice
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from vmgexit.compare.replay import Tally, replay
from vmgexit.descriptions import Command
from vmgexit.devices import RECORDED, Devices
from vmgexit.devices.messages import PLAIN
from vmgexit.devices.sealed import VMPCK0, Sealed, public_key
from vmgexit.devices.secure_processor import SecureProcessor
from vmgexit.hosts.scenario import sequence_of
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import profile
from vmgexit.machine.scenario import sequences
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.watch.judged import Violation
from vmgexit.watch.watch import Watch

DATA = bytes(range(64))
REPORT_AT, REPORT_DATA_AT, SIGNATURE_AT = 0x20, 0x50, 0x2A0


def opened(page: bytes) -> bytes:
    """The payload of a page, cut by the offsets of the firmware's ABI."""
    size = int.from_bytes(page[0x36:0x38], "little")
    iv = page[0x20:0x28] + bytes(4)
    sealed = page[0x60 : 0x60 + size] + page[:16]
    return AESGCM(VMPCK0).decrypt(iv, sealed, page[0x30:0x60])


def test_a_request_is_a_page_that_the_key_opens() -> None:
    number, page = Sealed().request(3, DATA)
    assert (number, len(page)) == (3, 4096)
    assert page[0x20:0x28] == (3).to_bytes(8, "little")
    # AES-256-GCM, version 1, header of 0x60 bytes; type 5, version 1, 96 bytes.
    assert page[0x30:0x38] == bytes.fromhex("01 01 6000 05 01 6000")
    assert opened(page) == DATA + bytes(32)  # VMPL 0, any key


def test_a_report_is_signed_by_the_test_key() -> None:
    payload = opened(Sealed().respond(4, "ok", DATA))
    assert payload[:8] == (0).to_bytes(4, "little") + (0x4A0).to_bytes(4, "little")
    report = payload[REPORT_AT:]
    assert len(report) == 0x4A0
    assert report[REPORT_DATA_AT : REPORT_DATA_AT + 64] == DATA
    r, s = (
        int.from_bytes(report[at : at + 72], "little") for at in (SIGNATURE_AT, SIGNATURE_AT + 72)
    )
    key = load_pem_public_key(public_key())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    algorithm = ec.ECDSA(SHA384())
    key.verify(encode_dss_signature(r, s), report[:SIGNATURE_AT], algorithm)
    with pytest.raises(InvalidSignature):
        key.verify(encode_dss_signature(r, s), report[: SIGNATURE_AT - 1] + b"\1", algorithm)


@pytest.mark.parametrize("kind", ["ok", "tamper", "size", {"status": 0}, {"status": 22}])
def test_both_tell_the_svsm_the_same(kind: object) -> None:
    plain = PLAIN.read(PLAIN.respond(2, kind, DATA))
    sealed = Sealed().read(Sealed().respond(2, kind, DATA))
    if kind in ("ok", {"status": 0}):
        assert plain.report[REPORT_DATA_AT:0x90] == sealed.report[REPORT_DATA_AT:0x90] == DATA
        assert plain._replace(report=b"") == sealed._replace(report=b"")
        return
    # What a refused response carries is not looked at.
    refusals = [
        (one.number, not one.is_authentic, one.is_authentic and one.status)
        for one in (plain, sealed)
    ]
    assert refusals[0] == refusals[1]
    assert [one.is_authentic and not one.fits for one in (plain, sealed)] == [kind == "size"] * 2


def test_a_stale_answer_leaves_the_page_before() -> None:
    processor = SecureProcessor(Sealed())
    processor.request(0, DATA, [])
    before = processor.page
    processor.answers.append("stale")
    processor.request(0, bytes(64), [])
    assert processor.page == before
    assert (processor.number, processor.response.number if processor.response else 0) == (4, 2)


@pytest.mark.parametrize("name", ["attest", "vtpm"])
def test_recordings_are_answered_alike_but_for_signatures(name: str) -> None:
    path = Path("corpus/recordings/memory") / f"{name}.jsonl.xz"
    with lzma.open(path) as file:
        some = list(islice(sequences(file, path.name, sequence_of), 40))
    tally = Tally()
    differing = list(replay(some, profile("coconut"), tally, devices=Devices(Sealed())))
    assert tally.operations > 1000
    for mismatch in differing:  # the hash of a page with a report, or its bytes
        assert set(mismatch.differences) <= {"hash", "hex"}, str(mismatch)
    assert (name == "attest") == bool(differing)


def _attest(nonce: bytes) -> list[Command]:
    return [
        {"op": "write", "gpa": 0x5000, "hex": nonce.hex()},
        {"op": "call", "cpu": 0, "protocol": 1, "request": 0, "rcx": 0x1000, "rdx": 0, "r8": 0},
    ]


OPERATION = "".join(
    (at.to_bytes(8, "little") + size.to_bytes(8, "little")).hex()
    for at, size in ((0x2000, 0x4A0), (0x5000, 64), (0x3000, 0x1000), (0, 0))
)
BEGIN: list[Command] = [
    {
        "op": "init", "cpus": 1, "memory": [[0, 0x1000000]], "svsm": [0x800000, 0x200000],
        "caa": 0x8000, "sev_features": 1, "npf": "stop", "unvalidated": "input",
        "pages": [[0, 0x200000, "valid", 0]],
    },
    {"op": "write", "gpa": 0x1000, "hex": OPERATION},
]  # fmt: skip
REUSING = [
    *BEGIN,
    *_attest(b"\x11"),
    {"op": "psp", "answers": ["invalid"]},
    *_attest(b"\x11"),
    *_attest(b"\x22" * 64),
]


@pytest.mark.clause("MEM-12")
def test_a_number_used_twice_is_a_key_stream_used_twice() -> None:
    """Whoever sees two requests under one IV knows the exclusive or of what they say."""
    machine = Machine("nonce-reused,stale-report", Devices(Sealed()))
    for command in REUSING:
        machine.execute(command)
    one, other = (request.shown for request in machine.vm.processor.requests[1:])
    assert one[0x20:0x28] == other[0x20:0x28] == (3).to_bytes(8, "little")

    def xor(a: bytes, b: bytes) -> bytes:
        return bytes(x ^ y for x, y in zip(a, b, strict=True))

    assert xor(one[0x60:0xC0], other[0x60:0xC0]) == xor(opened(one), opened(other)) != bytes(96)


@pytest.mark.clause("MEM-12")
@pytest.mark.parametrize("devices", [RECORDED, Devices(Sealed())], ids=["recorded", "sealed"])
@pytest.mark.parametrize("quirks", ["nonce-reused,stale-report", "reference"])
def test_the_invariant_sees_it_in_what_the_host_sees(devices: Devices, quirks: str) -> None:
    once = [one for one in INVARIANTS if "encrypts one request" in one.meaning]
    watch = Watch(Machine(quirks, devices), invariants=once)
    *before, last = REUSING
    for command in before:
        watch.execute(command)
    if quirks == "reference":
        watch.execute(last)
        return
    with pytest.raises(Violation, match="the number 3 encrypted another request before"):
        watch.execute(last)
