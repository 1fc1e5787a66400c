"""`vmgexit decode` of whole things: manifests, tables, lists, wrapped reports, memory at an address."""

import base64
import json
import lzma
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit import PscEntry, PscRequest, ReportResponse, Vmsa

CASES = Path(__file__).parents[2] / "corpus" / "cases"
MANIFEST = (CASES / "services-manifest.bin").read_bytes()
REPORT = (CASES / "report-v3-genoa.bin").read_bytes()
GHCB, VMSA = 0x5000, 0x9000  # in the images of the cases


# --- any length -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["services-manifest.bin", "services-manifest-hexdump.txt"])
def test_a_manifest_with_its_bodies(run: Run, name: str) -> None:
    ran = run("decode", "services-manifest", CASES / name, "--strict")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    for said in (
        "services-manifest, 108 bytes: Services manifest: a header, an entry for each service,"
        " and their manifests.",
        "Body of services[0], vTPM: 60 bytes at 0x030",
        "  0x060  31 32 33 34 35 36 37 38 39 3a 3b 3c",
    ):
        assert said in lines
    value = json.loads(run("decode", "services-manifest", CASES / name, "--json").out)
    assert value["header"]["entry_count"] == 1
    [body] = value["bodies"]
    assert (body["name"], body["offset"], body["length"]) == ("vTPM", 0x30, 60)
    assert body["hex"] == bytes(range(1, 61)).hex()


def test_a_body_is_shown_by_its_own_structure(run: Run) -> None:
    guid = "593a45a41b9e8747a0331986d6adbe55"
    data = f"{MANIFEST[:16].hex()}3800000001000000{guid}30000000080000000000000003000000"
    ran = run("decode", "services-manifest", "--hex", data)
    assert "Body of services[0], UEFI MM: 8 bytes at 0x030" in ran.out
    assert "  0x034[0]     flags.persistent     1" in ran.out
    [body] = json.loads(run("decode", "services-manifest", "--hex", data, "--json").out)["bodies"]
    assert (body["structure"], body["flags"]["secure_boot"]) == ("uefi-mm-manifest", True)


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (
            24,
            "header.entry_count: 0x1: 1 element of 24 bytes would end at 0x30; the bytes end at 0x18",
        ),
        (60, "header.total_length: 0x6c: the bytes end at 0x3c (+1 more)"),
    ],
)
def test_what_is_cut_short_is_shown_and_told(run: Run, tmp_path: Path, cut: int, said: str) -> None:
    (tmp_path / "cut.bin").write_bytes(MANIFEST[:cut])
    ran = run("decode", "services-manifest", tmp_path / "cut.bin")
    assert ran.code == 2
    assert "header.total_length" in ran.out
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    (tmp_path / "cut.bin").write_bytes(MANIFEST[:23])
    complaint = run("decode", "services-manifest", tmp_path / "cut.bin").complaint
    assert complaint.startswith("vmgexit: services-manifest: 23 bytes found, 24 or more expected")


def test_a_whole_in_a_longer_file_ends_where_it_says(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dump.bin").write_bytes(b"\xaa" * 5 + MANIFEST + b"\xbb" * 50)
    ran = run("decode", "services-manifest", tmp_path / "dump.bin", "--offset", "5", "--json")
    assert json.loads(ran.out)["rest"] == MANIFEST[48:].hex()
    complaint = run("decode", "services-manifest", tmp_path / "dump.bin", "--count", "2").complaint
    assert complaint.endswith("services-manifest has any length: --count does not go with it")


def test_what_has_no_end_is_not_read_to_it(run: Run) -> None:
    assert "more than 67108864 bytes found" in run("decode", "apic-id-list", "/dev/zero").complaint


def test_noise_is_shown_in_bounded_space(run: Run, tmp_path: Path) -> None:
    """Entries that all point to most of a megabyte."""
    entry = b"\1" * 16 + (0x100).to_bytes(4, "little") + (1 << 20).to_bytes(4, "little")
    (tmp_path / "noise").write_bytes(entry * 40000)
    ran = run("decode", "certificate-table", tmp_path / "noise", "--json")
    assert ran.code == 2
    assert (
        "entries: 0xb: no element ends the list; the bytes end at " in ran.err
    )  # by the first body
    assert len(ran.out) < 4 << 20
    assert len(run("decode", "certificate-table", tmp_path / "noise").out) < 1 << 20


def test_other_commands_know_any_length(run: Run, tmp_path: Path) -> None:
    listed = [line.split("  ") for line in run("list", "manifest").out.splitlines()]
    assert any("services-manifest" in row[0] and "any length" in row for row in listed)
    assert "Size    any length, 24 bytes or more" in run("layout", "services-manifest").out
    complaint = run("gdb", "psc-request").complaint
    assert complaint.endswith(
        "psc-request has any length: a script shows structures of a fixed size"
    )
    assert "psc_request" not in run("drgn").out
    (tmp_path / "cut.bin").write_bytes(b"\0" * 3 + MANIFEST[:60])
    (tmp_path / "all.bin").write_bytes(b"\0" * 3 + MANIFEST + b"\xff" * 9)
    words = ("diff", "services-manifest", tmp_path / "all.bin", tmp_path / "cut.bin", "--json")
    [difference] = json.loads(run(*words, "--offset", "3").out)
    assert (difference["path"], difference["place"]) == ("rest", "0x030")
    assert run("diff", "services-manifest", *[CASES / "services-manifest.bin"] * 2).code == 0


# --- wrapped --------------------------------------------------------------------------------------

HCL = b"HCLA\2\0\0\0\xa0\4\0\0\2\0\0\0" + bytes(16) + REPORT + bytes(20) + b'{"keys":[]}'
RESPONSE = bytes(4) + b"\xa0\4\0\0" + bytes(24) + REPORT


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (REPORT, "read as the bytes of {file}"),
        (REPORT.hex().encode(), "read as 1184 bytes in memory order"),
        (base64.b64encode(REPORT), "read as 1184 bytes, base64"),
        (base64.encodebytes(REPORT), "read as 1184 bytes, base64"),
        (base64.urlsafe_b64encode(REPORT).rstrip(b"="), "read as 1184 bytes, base64"),
        (HCL, "read as the bytes of {file}; the attestation-report in an HCL blob, at 0x20"),
        (
            base64.b64encode(HCL),
            "read as 1247 bytes, base64; the attestation-report in an HCL blob, at 0x20",
        ),
        (
            RESPONSE,
            "read as the bytes of {file}; the attestation-report in a report-response, at 0x20",
        ),
        (
            RESPONSE.ljust(4000, b"\0"),
            "read as the bytes of {file}; the attestation-report in a report-response, at 0x20",
        ),
        (
            RESPONSE.hex().encode(),
            "read as 1216 bytes in memory order; the attestation-report in a report-response, at 0x20",
        ),
    ],
)
def test_a_report_however_it_is_handed_out(
    run: Run, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "report"
    path.write_bytes(content)
    ran = run("decode", "attestation-report", path, "--strict")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == said.format(file=path)
    plain = json.loads(
        run("decode", "attestation-report", CASES / "report-v3-genoa.bin", "--json").out
    )
    ran = run("decode", "attestation-report", path, "--json")
    assert json.loads(ran.out) == plain
    assert plain["cpuid_fam_id"] == 0x19


def test_the_response_is_a_structure_of_its_own() -> None:
    assert ReportResponse.decode(RESPONSE).report.encode() == REPORT


def test_a_wrapper_that_ends_too_soon(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(HCL[:1000])
    complaint = run("decode", "attestation-report", tmp_path / "cut").complaint
    assert "968 bytes found, 1184 expected at offset 0x20" in complaint


# --- memory at an address -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("raw.mem.xz", 0),
        ("qemu-dump.elf.xz", 0),
        ("qemu-dump-aligned.elf.xz", 0x100000000),
    ],
)
def test_a_page_of_memory_at_its_address(run: Run, name: str, base: int) -> None:
    raw = lzma.decompress((CASES / "raw.mem.xz").read_bytes())
    ran = run("decode", "vmsa", CASES / name, "--gpa", hex(base + VMSA))
    form = "raw" if name.startswith("raw") else "ELF core"
    assert ran.out.startswith(
        f"read as the memory in {CASES / name} ({form}) at {base + VMSA:#x}\n"
    )
    assert f"vmsa at {base + VMSA:#x}, 4096 bytes" in ran.out
    ran = run("decode", "vmsa", CASES / name, "--gpa", hex(base + VMSA), "--json")
    assert json.loads(ran.out) == Vmsa.decode(raw[VMSA : VMSA + 4096]).as_dict()
    ran = run("decode", "ghcb", CASES / name, "--gpa", hex(base + GHCB), "--count", "2", "--json")
    assert len(ran.out.splitlines()) == 2


def test_a_list_in_memory_is_read_as_far_as_it_says(run: Run, tmp_path: Path) -> None:
    request = PscRequest(entries=[PscEntry(frame=number, operation=1) for number in range(20)])
    data = request.encode()
    for address in (0x1000, 0x2000 - len(data), 0x2000 - 40):  # the last one crosses its page
        image = bytearray(b"\xff" * 0x4000)
        image[address : address + len(data)] = data
        (tmp_path / "image").write_bytes(image)
        ran = run("decode", "psc-request", tmp_path / "image", "--gpa", hex(address), "--json")
        assert json.loads(ran.out) == request.as_dict()
    words = ("--gpa", hex(address), "--count", "2")
    complaint = run("decode", "psc-request", tmp_path / "image", *words).complaint
    assert complaint.endswith("--count does not go with it")
    (tmp_path / "image").write_bytes(bytes(image[:0x2000]))
    ran = run("decode", "psc-request", tmp_path / "image", "--gpa", hex(address))
    assert ran.code == 2
    assert "header.end_entry: 0x13: 20 elements of 8 bytes would end at 0xa8" in ran.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--gpa", "0x40000000"], "0x40000000 to 0x40000fff are not in it; it has 0x0 to 0x"),
        (["--gpa", "0x5000", "--offset", "1"], "--gpa and --offset found, one of them expected"),
        (["--gpa", "0x5000", "--raw"], "--gpa and --raw found, one of them expected"),
        (["--gpa", "0x5000", "--count", "all"], "a number of structures expected"),
        (["--gpa", "x"], "'x' is not a number"),
    ],
)
def test_an_address_that_is_not_there(run: Run, words: list[str], complaint: str) -> None:
    assert complaint in run("decode", "ghcb", CASES / "raw.mem.xz", *words).complaint
    assert "an image of memory expected" in run("decode", "ghcb", "--gpa", "0").complaint
