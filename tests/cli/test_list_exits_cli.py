"""`vmgexit list` shows every exit as a third table, and as JSON."""

import json

import pytest

from vmgexit.cli import main
from vmgexit.wire.exits import exits


def test_the_third_table_names_each_exit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    tables = capsys.readouterr().out.split("\n\n")
    assert [table.split()[0] for table in tables] == ["structure", "call", "exit", "reading"]
    rows = [line.split() for line in tables[2].splitlines()[1:]]
    assert len(rows) == len(exits())
    assert ["SNP_GUEST_REQUEST", "0x80000011"] in [row[:2] for row in rows]
    assert ["INVALID", "0xffffffffffffffff"] in [row[:2] for row in rows]


def test_json_has_what_goes_in_and_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (cpuid,) = (row for row in rows if row["kind"] == "exit" and row["name"] == "CPUID")
    assert cpuid["code"] == 0x72
    assert cpuid["in"] == ["rax", "rcx", "xcr0 (leaf 0xD)"]
    assert cpuid["out"] == ["rax", "rbx", "rcx", "rdx"]
    assert cpuid["direction"] == "guest to host, in a GHCB"
    assert cpuid["since"] == 1


def test_former_calls_say_of_which_draft_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "ocp"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert ["SVSM_OCP_LIST", "@2026-04-14", "5.0"] in [row[:3] for row in rows]
    assert ["SVSM_OCP_WRITE", "@2026-08-18", "5.3"] in [row[:3] for row in rows]


def test_words_filter(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json", "run_vmpl"]) == 0
    names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert {"run-vmpl", "SNP_RUN_VMPL", "ghcb-msr-run-vmpl-request"} <= set(names)
    assert main(["list", "0x80000010"]) == 0
    assert "SNP_PAGE_STATE_CHANGE" in capsys.readouterr().out
    assert main(["list", "--json", "doorbell", "head"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["name"] for row in rows if row["kind"] == "structure"} == {"doorbell-head"}
    assert {row["of"] for row in rows if row["kind"] == "reading"} == {"doorbell-head"}
    assert main(["list", "nothing-so-called"]) == 2
    assert "nothing is called nothing-so-called; see vmgexit list" in capsys.readouterr().err
