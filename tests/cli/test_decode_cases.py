"""`vmgexit decode` on what people have in hand: `corpus/cases`, without options but a name."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

CASES = Path(__file__).parents[2] / "corpus" / "cases"


def fields(text: str) -> dict[str, str]:
    """Path and value of each field that is shown."""
    rows = [line.split(None, 2) for line in text.splitlines() if line.startswith("0x")]
    return {row[1]: row[2] for row in rows}


@pytest.mark.parametrize(
    ("name", "value", "memory"),
    [
        line.split()
        for line in (CASES / "values.txt").read_text().splitlines()
        if not line.startswith("#")
    ],
)
def test_values_as_logs_print_them(run: Run, name: str, value: str, memory: str) -> None:
    ran = run("decode", name, value)
    assert ran.out.splitlines()[0] == f"read as the number {int(value, 16):#x}"
    assert json.loads(run("decode", name, value, "--json").out) == json.loads(
        run("decode", name, "--hex", memory, "--json").out
    )
    assert fields(ran.out) == fields(run("decode", name, "--hex", memory).out)


@pytest.mark.parametrize(
    ("name", "file", "rather"),
    [
        ("ghcb", "cases/vmsa-ap.bin", "vmsa"),
        ("ghcb", "cases/vmsa-dmesg-hexdump.txt", "vmsa"),
        ("secrets-page", "cases/vmsa-ap.bin", "vmsa"),
        ("vmsa", "guests/ovmf-cpuid-sec.bin", "ghcb"),
        ("vmsa", "cases/ghcb-psc.bin", "ghcb"),
        ("ghcb", "cases/ghcb-psc.bin", ""),  # which breaks a rule of a GHCB
        ("vmsa", "cases/vmsa-ap.bin", ""),
    ],
)
def test_a_page_that_is_another_structure_is_said_to_be(
    run: Run, name: str, file: str, rather: str
) -> None:
    note = f"note: it looks like {rather}, not like {name}: vmgexit decode {rather}"
    out = run("decode", name, str(CASES.parent / file)).out
    assert ("it looks like" in out) == bool(rather)
    assert (note in out.splitlines()) == bool(rather)
    machine = run("decode", name, str(CASES.parent / file), "--json")
    assert (note in machine.err) == bool(rather)
    assert json.loads(machine.out)


@pytest.mark.parametrize("name", ["vmsa-dmesg-hexdump.txt", "vmsa-journal-hexdump.txt"])
def test_a_vmsa_that_a_log_has_in_part(run: Run, name: str) -> None:
    ran = run("decode", "vmsa", str(CASES / name))
    assert (ran.code, ran.err) == (0, "")
    first, *others = ran.out.splitlines()
    assert first.endswith(
        "1072 of the 4096 bytes of vmsa are in the dump, not in it: 0x430 to 0xfff"
    )
    assert ("line 1 'Virtual Machine Save ...'" in others[0]) == (name == "vmsa-dmesg-hexdump.txt")
    shown = fields(ran.out)
    assert shown["fpreg_x87"] == "0 (16 bytes), 64 bytes not in the dump"
    assert shown["fpreg_xmm"].endswith("not in the dump (15 fields)")
    whole = json.loads(run("decode", "vmsa", str(CASES / "vmsa-ap.bin"), "--json").out)
    part = json.loads(run("decode", "vmsa", str(CASES / name), "--json").out)
    missing = {field for field in part if part[field] is None}
    assert next(field for field in part if field in missing) == "fpreg_x87"
    assert {field: part[field] for field in part if field not in missing} == {
        field: whole[field] for field in whole if field not in missing
    }


def test_a_vmsa_before_its_first_run(run: Run) -> None:
    ran = run("decode", "vmsa", str(CASES / "vmsa-ap.bin"))
    shown = fields(ran.out)
    assert shown["efer"].startswith("0x1000 ")
    assert shown["rip"].startswith("0x50 ")
    assert [shown[f"cs.{part}"].split()[0] for part in ("selector", "base", "limit")] == [
        "0x9900",
        "0x99000",
        "0xffff",
    ]
    features = {
        path for path, value in shown.items() if path.startswith("sev_") and value[0] == "1"
    }
    assert features == {"sev_features.snp_active", "sev_features.snp_btb_isolation"}
    assert "guest_exit_code: names no exit" in ran.out
    assert "Problems" not in ran.out


def test_a_page_state_change_with_a_misaligned_entry(run: Run) -> None:
    ran = run("decode", "ghcb", str(CASES / "ghcb-psc.bin"))
    assert "SNP_PAGE_STATE_CHANGE" in ran.out
    assert (
        "! shared_buffer: 0x80e: entries[1].frame: a 2 MiB entry starts on a multiple of 512"
        in (ran.out)
    )


def test_an_unsupported_event_names_the_exit(run: Run) -> None:
    ran = run("decode", "ghcb", str(CASES / "ghcb-unsupported-404.bin"))
    assert "UNSUPPORTED_EVENT: a #VC that the guest could not handle" in ran.out
    assert "PAGE_NOT_VALIDATED (access to a page that is not validated)" in ran.out
