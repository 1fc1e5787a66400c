"""`vmgexit diff`: two values of a structure in any form, only what differs."""

import json
from pathlib import Path

import pytest

from vmgexit import GhcbPage
from vmgexit.wire.vmsa import Vmsa

from .conftest import Run

CASES = Path(__file__).parents[2] / "corpus" / "cases"


def test_words(run: Run) -> None:
    ran = run("diff", "sev-features", "0x1", "0x81")
    assert ran.code == 1
    assert ran.out == (
        "sev-features: 1 of 21 fields differ\n"
        "  A: the number 0x1\n"
        "  B: the number 0x81\n"
        "\n"
        "                             A  B\n"
        "0x000[7]  snp_btb_isolation  0  1  SNPBTBIsolation: Branch target buffer is isolated\n"
    )
    same = run("diff", "sev-features", "0x81", "129")
    assert same.code == 0
    assert same.out.startswith("sev-features: no field differs\n")


def test_a_page_that_is_another_structure_is_said_to_be(run: Run) -> None:
    one, other = CASES / "vmsa-ap.bin", CASES / "ghcb-psc.bin"
    lines = run("diff", "ghcb", one, other).out.splitlines()
    assert (
        f"  A: the bytes of {one}; it looks like vmsa, not like ghcb: vmgexit decode vmsa" in lines
    )
    assert f"  B: the bytes of {other}" in lines


def test_before_and_after_an_exit(run: Run, tmp_path: Path) -> None:
    request = GhcbPage.for_exit(0x7C, 0, gpa=0x7000, rcx=0x830)
    answer = GhcbPage.decode(request.encode())
    answer.valid_bitmap = 0
    for name, value in {"rax": 0x61, "rdx": 0, "sw_exit_info_1": 0, "sw_exit_info_2": 0}.items():
        answer.set(name, value)
    (tmp_path / "before").write_bytes(request.encode())
    (tmp_path / "after").write_bytes(answer.encode())
    ran = run("diff", "ghcb", tmp_path / "before", tmp_path / "after", "--json")
    assert ran.code == 1
    assert [(each["path"], each["one"], each["other"]) for each in json.loads(ran.out)] == [
        ("rax", "0", "0x61"),
        ("valid_bitmap", "0x61, 0x72 and 2 in both", "0x3f, 0x62 and 2 in both"),
    ]
    text = run("diff", "ghcb", tmp_path / "before", tmp_path / "after").out
    assert "  B  sw_exit_info_1: read as an answer: DONE" in text


def test_bytes_are_told_by_the_ranges_that_differ(run: Run, tmp_path: Path) -> None:
    page = bytearray(4096)
    (tmp_path / "one").write_bytes(bytes(page))
    page[0x800:0x802] = b"\x01\x02"
    page[0x900:0x920] = b"\xff" * 32
    (tmp_path / "other").write_bytes(bytes(page))
    (difference,) = json.loads(
        run("diff", "ghcb", tmp_path / "one", tmp_path / "other", "--json").out
    )
    assert difference["path"] == "shared_buffer"
    assert difference["other"] == "+0x0: 01 02; +0x100: ff ff ff ff ff ff ff ff ... (32 bytes)"


def test_measured_vmsas(run: Run, tmp_path: Path) -> None:
    page = Vmsa()
    page.rip, page.sev_features.snp_active = 0xFFF0, True
    (tmp_path / "expected").write_bytes(page.encode())
    page.rip = 0x50
    page.sev_features.snp_btb_isolation = True
    (tmp_path / "measured").write_bytes(page.encode())
    ran = run("diff", "vmsa", tmp_path / "expected", tmp_path / "measured", "--json")
    found = {each["path"]: (each["one"], each["other"]) for each in json.loads(ran.out)}
    assert found == {"rip": ("0xfff0", "0x50"), "sev_features.snp_btb_isolation": ("0", "1")}


def test_what_a_dump_does_not_have_is_not_compared(run: Run) -> None:
    ran = run("diff", "vmsa", CASES / "vmsa-ap.bin", CASES / "vmsa-dmesg-hexdump.txt")
    assert ran.code == 0
    assert ran.out.startswith(
        "vmsa: no field differs; 16 fields not compared, which a dump does not have\n"
    )


def test_two_drafts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(bytes.fromhex("02018161") + bytes(4092))
    ran = run(
        "diff",
        "doorbell-page",
        tmp_path / "page",
        tmp_path / "page",
        "--revision-b",
        "2024-05-16",
        "--json",
    )
    found = {each["path"]: (each["one"], each["other"]) for each in json.loads(ran.out)}
    assert found["vector"] == ("0x2", "-")
    assert found["pending_events.vector"] == ("-", "0x2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ghcb", "-", "-"), "A and B are both standard input"),
        (("ghcb", "0x1", "0x1"), "0x1: ghcb: "),
        (("sev-features", "0x1", "none.bin"), "none.bin: "),
        (("sev-feature", "0x1", "0x2"), "unknown structure sev-feature"),
    ],
)
def test_bad_input_is_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    assert said in run("diff", *words).complaint


def test_longer_input_is_refused_and_read_by_offset(run: Run, tmp_path: Path) -> None:
    (tmp_path / "two").write_bytes(bytes(8) + b"\x01" + bytes(7))
    assert "more than the 8 bytes" in run("diff", "sev-features", "0", tmp_path / "two").complaint
    (tmp_path / "other").write_bytes(bytes(8) + b"\x03" + bytes(7))
    files = (tmp_path / "two", tmp_path / "other")
    ran = run("diff", "sev-features", *files, "--offset", "8", "--json")
    assert [each["path"] for each in json.loads(ran.out)] == ["vtom"]
