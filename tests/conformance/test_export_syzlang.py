"""`vmgexit export syzlang`: what the grammar takes, what the compiler asks, pages of real guests."""

import json
import re
from pathlib import Path

import pytest

from tests.syzlang import Checked, SyzlangError, constants, parsed
from vmgexit import GhcbPage
from vmgexit.cli import main
from vmgexit.wire.exit import Where
from vmgexit.wire.exits import exits
from vmgexit.wire.ghcb_msr import DECLARATIONS
from vmgexit_fuzz.export.cases import message
from vmgexit_fuzz.export.formats import FORMATS

ROOT = Path(__file__).parents[2]
GUESTS = ROOT / "corpus" / "guests"
ROWS = [row for row in exits() if row.where is Where.GHCB]


def page_of(row: object, number: int = 0) -> GhcbPage:
    example = row.examples[number]  # type: ignore[attr-defined]
    return GhcbPage.for_exit(
        row.code,  # type: ignore[attr-defined]
        example.info1,
        example.info2,
        buffer=example.data,
        **example.fields,
    )


def exported(*messages: tuple[str, bytes]) -> tuple[str, str]:
    cases = [message(f"x{at}", "x", *one) for at, one in enumerate(messages)]
    made = FORMATS["syzlang"].render(cases)
    return made["vmgexit.txt"].decode(), made["vmgexit.txt.const"].decode()


@pytest.fixture(scope="module")
def everything() -> tuple[str, str]:
    """Every exit and every word of the GHCB MSR."""
    pages = [("ghcb", page_of(row).encode()) for row in ROWS]
    words = [("ghcb-msr", code.to_bytes(8, "little")) for code in DECLARATIONS]
    return exported(*pages, *words)


@pytest.fixture(scope="module")
def checked(everything: tuple[str, str]) -> Checked:
    text, values = everything
    return Checked(parsed(text), constants(values))


def test_every_exit_and_word_is_described(checked: Checked) -> None:
    calls = set(checked.file.calls)
    assert {f"syz_vmgexit${row.name}" for row in ROWS} < calls
    assert len(calls) == len(ROWS) + 1 + len(DECLARATIONS)
    assert {"syz_vmgexit$any", "syz_vmgexit_msr$ghcb_msr_cpuid_request"} < calls


def test_constants_are_the_protocols(checked: Checked) -> None:
    # Literal values of the GHCB specification.
    assert checked.constants["VMGEXIT_EXIT_CPUID"] == 0x72
    assert checked.constants["VMGEXIT_EXIT_SNP_PAGE_STATE_CHANGE"] == 0x80000010
    assert checked.constants["VMGEXIT_EXIT_SNP_GUEST_REQUEST"] == 0x80000011
    assert checked.constants["VMGEXIT_PAGE_OPERATION_PRIVATE"] == 1


def test_fields_stand_where_they_do_in_a_page(checked: Checked) -> None:
    for row in ROWS:
        layout = checked.layout(f"vmgexit_page_{row.name.lower()}")
        places = {name: at // 8 for name, at, _, _ in layout.places}
        assert layout.size == 0x1000
        for name, offset in {
            "cpl": 0xCB, "rax": 0x1F8, "rcx": 0x308, "rdx": 0x310, "rbx": 0x318,
            "sw_exit_code": 0x390, "sw_exit_info_1": 0x398, "sw_exit_info_2": 0x3A0, "sw_scratch": 0x3A8,
            "xcr0": 0x3E8, "valid_bitmap_0": 0x3F0, "valid_bitmap_1": 0x3F8, "shared_buffer": 0x800,
            "protocol_version": 0xFFA, "ghcb_usage": 0xFFC,
        }.items():  # fmt: skip
            assert places[name] == offset, (row.name, name)


def test_bits_of_a_page_state_change(checked: Checked) -> None:
    entry = {name: (at, size) for name, at, size, _ in checked.layout("vmgexit_psc_entry").places}
    assert entry["current_page"] == (0, 12)
    assert entry["frame"] == (12, 40)
    assert entry["operation"] == (52, 4)
    assert entry["large"] == (56, 1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_examples_of_an_exit_are_described(row: object, checked: Checked) -> None:
    name = row.name.lower()  # type: ignore[attr-defined]
    for number in range(len(row.examples)):  # type: ignore[attr-defined]
        data = page_of(row, number).encode()
        assert checked.mismatch(f"vmgexit_page_{name}", data) == ""
        assert checked.mismatch("vmgexit_page_any", data) == ""
        wrong = bytearray(data)
        wrong[0x390] ^= 0x80  # the code of another exit
        assert checked.mismatch(f"vmgexit_page_{name}", bytes(wrong)).startswith("sw_exit_code: ")
        wrong = bytearray(data)
        wrong[0x3FE] &= ~4  # SW_EXITCODE is not valid
        assert checked.mismatch(f"vmgexit_page_{name}", bytes(wrong)).startswith("valid_bitmap_1: ")


def test_fresh_pages_of_linux_are_described(checked: Checked) -> None:
    """Those that hold nothing of an earlier exit; the scratch area is the page's own, at any address."""
    known, seen = {int(row.code): row.name.lower() for row in ROWS}, 0
    for path in sorted(GUESTS.glob("*-fresh-page.bin")):
        page = GhcbPage.decode(path.read_bytes())
        if page.is_valid("sw_scratch"):
            page.sw_scratch = 0x800
        assert checked.mismatch(f"vmgexit_page_{known[page.sw_exit_code]}", page.encode()) == "", (
            path.name
        )
        seen += 1
    assert seen > 5


def test_only_what_is_exported_is_described() -> None:
    [cpuid] = [row for row in ROWS if row.name == "CPUID"]
    text, values = exported(("ghcb", page_of(cpuid).encode()))
    checked = Checked(parsed(text), constants(values))
    assert list(checked.file.calls) == ["syz_vmgexit$any", "syz_vmgexit$CPUID"]


BROKEN = {
    "x ] \n": "{ expected",
    "x { \n}": "without fields",
    "x {\n\ta int8\n} [packed, size[2]]\n": "8 bits, 2 bytes said",
    "x {\n\ta int64:3\n\tb int64:4\n} [packed, size[1]]\n": "do not fill 64",
    "x {\n\ta const[0x100, int8]\n} [packed, size[1]]\n": "0x100 does not fit",
    "x {\n\ta flags[no, int8]\n} [packed, size[1]]\n": "no: no such flags",
    "x {\n\ta int7\n} [packed, size[1]]\n": "int7: no such type",
    "x {\n\ta int8\n\ta int8\n} [packed, size[2]]\n": "there twice",
    "x {\n\ta int8\n} [packed, size[1]]\ny = 1\n": "declared and not used: y",
    "x {\n\ta int8\n": "the end of a structure",
    "x {\n\ta 8int\n} [packed, size[1]]\n": "illegal character",
}


@pytest.mark.parametrize(("text", "told"), BROKEN.items())
def test_the_reader_refuses(text: str, told: str) -> None:
    call = "syz_vmgexit$x(page ptr[in, x])\n" if text.startswith("x {") else ""
    with pytest.raises(SyzlangError, match=re.escape(told)):
        Checked(parsed(call + text), {})


def test_as_a_user_exports_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sys" / "linux"
    recordings = ROOT / "corpus" / "recordings" / "kvm"
    assert main(["export", "syzlang", str(recordings), "-o", str(out)]) == 0
    text = (out / "vmgexit.txt").read_text()
    checked = Checked(parsed(text), constants((out / "vmgexit.txt.const").read_text()))
    assert len(checked.file.calls) > 20
    scenario = tmp_path / "x.jsonl"
    scenario.write_text(json.dumps({"kind": "host", "ops": [{"op": "init"}, {"op": "state"}]}))
    assert main(["export", "syzlang", str(scenario), "-o", str(out)]) == 2
    assert "a scenario without an exit found" in capsys.readouterr().err
