"""Pages that look like one of ours, and pages that must not."""

import os
import random
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit.cli.find import NAMES
from vmgexit.errors import DecodeError
from vmgexit.images import image as image_file
from vmgexit.images import scan as memory
from vmgexit.images.page_rules import GHCB, KINDS, SECRETS, VMSA, Kind
from vmgexit.images.scan import Find, Scan, judge, look, scan
from vmgexit.schema import locate
from vmgexit.wire.doorbell import DoorbellPage
from vmgexit.wire.ghcb import GhcbPage
from vmgexit.wire.secrets import SecretsPage
from vmgexit.wire.vmsa import Vmsa

PAGE = 4096


def key(seed: int) -> bytes:
    return random.Random(seed).randbytes(32)


def ghcb() -> bytes:
    return GhcbPage.for_exit(0x7C, 1, gpa=0x12345000, rcx=0x1B, rax=0x900, rdx=0).encode()


def ghcb_version_0() -> bytes:
    """As OVMF's PEI and DXE send it: the version is not filled in."""
    page = GhcbPage.for_exit(0x7C, 1, gpa=0x12345000, version=0, rcx=0x1B, rax=0x900, rdx=0)
    return page.encode()


def doorbell() -> bytes:
    page = DoorbellPage()
    page.vector = 0x31
    page.flags.no_further_signal = True
    page.per_vmpl_events.vmpl2 = True
    page.vmpl2.status.pending_vector = 0x51
    return page.encode()


def vmsa() -> bytes:
    """A processor after INIT, with SEV-SNP on."""
    page = Vmsa()
    page.vmpl = 1
    page.efer = 0x1000
    page.cr0 = 0x60000010
    page.cr4 = 0x40
    page.rflags = 2
    page.rip = 0xFFF0
    page.xcr0 = 1
    page.g_pat = 0x0007040600070406
    page.sev_features.snp_active = True
    page.cs.selector, page.cs.attributes, page.cs.limit = 0xF000, 0x9B, 0xFFFF
    page.cs.base = 0xFFFF0000
    for name in ("es", "ss", "ds", "fs", "gs"):
        segment = getattr(page, name)
        segment.attributes, segment.limit = 0x93, 0xFFFF
    page.ldt.attributes, page.tr.attributes = 0x82, 0x8B
    return page.encode()


def secrets() -> bytes:
    page = SecretsPage(version=3, fms=0x00A00F11)
    page.vmpck1, page.vmpck2, page.vmpck3 = key(1), key(2), key(3)
    page.svsm_base, page.svsm_size = 0x8000000000, 0x1000000
    page.svsm_caa = 0x80000A0000
    page.svsm_max_version, page.svsm_guest_vmpl = 1, 2
    return page.encode()


BUILT = [("ghcb", ghcb()), ("doorbell", doorbell()), ("vmsa", vmsa()), ("secrets", secrets())]


# --- what each kind looks like ------------------------------------------------------------------------


def test_the_command_line_names_every_kind() -> None:
    assert tuple(kind.name for kind in KINDS) == NAMES


@pytest.mark.parametrize(("name", "page"), BUILT)
def test_a_real_page_keeps_every_rule_of_its_kind_and_is_no_other(name: str, page: bytes) -> None:
    (find,) = look(page, 0x3000, KINDS, 0.0)
    assert (find.kind, find.gpa, find.score, find.against) == (name, 0x3000, 1.0, ())
    assert len(find.reasons) >= 7


def test_a_long_mode_vmsa_is_one_too() -> None:
    page = Vmsa.decode(vmsa())
    page.efer, page.cr0, page.cr4, page.xcr0 = 0x1D01, 0x80050033, 0x7506F0, 0x207
    page.cs.attributes = 0xA9B
    assert judge(VMSA, page.encode()).score == 1.0


def test_a_ghcb_at_rest_is_less_certain() -> None:
    page = bytearray(PAGE)
    page[0xFFA] = 2
    find = judge(GHCB, bytes(page))
    assert 0.5 <= find.score < 0.8
    assert find.against == (
        "valid bitmap is not empty",
        "exit code known",
        "exit code and words, or a status, marked valid",
    )


def test_a_ghcb_of_version_0_is_found_by_its_exit() -> None:
    (find,) = look(ghcb_version_0(), 0x3000, KINDS, 0.5)
    assert (find.kind, find.against) == ("ghcb", ("version 1 or 2",))
    assert look(bytes(PAGE), 0, [GHCB], 0.0) == []


def test_an_answered_ghcb() -> None:
    page = GhcbPage(protocol_version=2, sw_exit_code=0x72)
    for name in ("rax", "rbx", "rcx", "rdx", "sw_exit_info_1", "sw_exit_info_2"):
        page.mark(name)
    assert judge(GHCB, page.encode()).score == 1.0


def test_a_secrets_page_with_a_mitigation_vector() -> None:
    page = bytearray(secrets())
    page[0x168:0x170] = b"\x01\0\0\0\0\0\0\0"
    assert judge(SECRETS, bytes(page)).score == 1.0
    page[0x200] = 1
    assert judge(SECRETS, bytes(page)).against == ("rest of the page zero",)


@pytest.mark.parametrize(
    ("name", "offset", "value"),
    [
        # version, usage: the last six bytes
        ("ghcb", 0xFFA, b"\x03\x00"),
        ("ghcb", 0xFFC, b"\x01"),
        # a vector below 31, reserved bits of flags and events, reserved areas
        ("doorbell", 0x000, b"\x1e"),
        ("doorbell", 0x001, b"\x84"),
        ("doorbell", 0x003, b"\x08"),
        ("doorbell", 0x004, b"\x01"),
        ("doorbell", 0x03F, b"\x01"),
        ("doorbell", 0x100, b"\x01"),
        ("doorbell", 0xFFF, b"\x01"),
        # VMPL, EFER.SVME, SNPActive
        ("vmsa", 0x0CA, b"\x04"),
        ("vmsa", 0x0D1, b"\x00"),
        ("vmsa", 0x3B0, b"\x00"),
        # version, what follows FMS, what follows the jump table's address
        ("secrets", 0x000, b"\x00"),
        ("secrets", 0x000, b"\x05"),
        ("secrets", 0x00C, b"\x01"),
        ("secrets", 0x0B8, b"\x01"),
        ("secrets", 0x0DF, b"\x01"),
    ],
)
def test_what_must_hold_at_least(name: str, offset: int, value: bytes) -> None:
    page = bytearray(dict(BUILT)[name])
    page[offset : offset + len(value)] = value
    (kind,) = (kind for kind in KINDS if kind.name == name)
    find = judge(kind, bytes(page))
    assert (find.score, find.against) == (0.0, (kind.sieved,))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        # a key that is text, one that is all but erased, and none
        (0x020, b"a key of thirty-two bytes, no less"[:32]),
        (0x060, bytes(31) + b"\x01"),
        (0x020, bytes(0x80)),
    ],
)
def test_secrets_need_keys(offset: int, value: bytes) -> None:
    page = bytearray(secrets())
    page[offset : offset + len(value)] = value
    find = judge(SECRETS, bytes(page))
    assert (find.score, find.against) == (0.0, ("keys random or erased, and one there",))
    assert look(bytes(page), 0, KINDS, 0.0) == []


@pytest.mark.parametrize(
    ("name", "offset", "value", "rule"),
    [
        ("ghcb", 0x010, b"\x01", "reserved areas zero"),
        ("ghcb", 0x3F0, b"\x01", "valid bitmap marks only fields that exist"),
        ("ghcb", 0x3A8, b"\x01\x01", "scratch address 0 or in the buffer"),
        ("doorbell", 0x001, b"\x00", "NoFurtherSignal set, as the host does when it signals"),
        ("doorbell", 0x002, b"\x05", "NoEoiRequired 0 or 1"),
        ("doorbell", 0x003, b"\x01", "events agree with descriptors"),
        ("doorbell", 0x080, b"\x05", "vectors 0 or from 31 on, reserved bits zero"),
        ("doorbell", 0x0A0, b"\x05", "vectors listed where they may be"),
        ("vmsa", 0x0D7, b"\x01", "EFER has known bits only"),
        ("vmsa", 0x0D1, b"\x14", "EFER.LMA agrees with LME and paging"),
        ("vmsa", 0x158, b"\x00", "CR0 plausible"),
        ("vmsa", 0x14C, b"\x01", "CR4 plausible"),
        ("vmsa", 0x170, b"\x00", "RFLAGS plausible"),
        ("vmsa", 0x003, b"\x10", "segment attributes plausible"),
        ("vmsa", 0x012, b"\x93", "segment attributes plausible"),
        ("vmsa", 0x3B2, b"\x02", "SEV_FEATURES keeps its rules"),
        ("vmsa", 0x3E8, b"\x00", "XCR0 has the x87 state"),
        ("vmsa", 0x268, b"\x02", "PAT has known memory types"),
        ("secrets", 0x00B, b"\x10", "family, model and stepping plausible"),
        ("secrets", 0x004, b"\x02", "flags known"),
        ("secrets", 0x148, b"\x01", "SVSM fields plausible"),
        ("secrets", 0x15C, b"\x04", "SVSM fields plausible"),
        ("secrets", 0x163, b"\x01", "TSC factor plausible"),
    ],
)
def test_each_rule(name: str, offset: int, value: bytes, rule: str) -> None:
    page = bytearray(dict(BUILT)[name])
    page[offset : offset + len(value)] = value
    (kind,) = (kind for kind in KINDS if kind.name == name)
    find = judge(kind, bytes(page))
    assert rule in find.against
    assert 0.5 <= find.score < 1


# --- what none looks like -----------------------------------------------------------------------------


def best(page: bytes) -> float:
    return max((find.score for find in look(page, 0, KINDS, 0.0)), default=0.0)


def test_random_pages() -> None:
    source = random.Random(20240524)
    assert max(best(source.randbytes(PAGE)) for _ in range(5000)) < 0.5


def test_random_pages_that_pass_a_sieve() -> None:
    """The least that a sieve asks for, in a page that is random elsewhere, is not enough."""
    source = random.Random(7)
    for _ in range(300):
        for holes in (
            {0xFFA: b"\x02\0\0\0\0\0"},
            {0x0CA: b"\x01", 0x0D1: b"\x10", 0x3B0: b"\x01"},
            {0x000: b"\x02\0\0\0", 0x00C: bytes(4), 0x0B8: bytes(40)},
            {0x000: b"\x40\x00\x07\x00" + bytes(60), 0x100: bytes(0xF00)},
            {0: bytes(203), 0x390: b"\x10\0\0\x80\0\0\0\0", 0x408: bytes(0x3F8), 0xFF0: bytes(16)},
        ):
            page = bytearray(source.randbytes(PAGE))
            for at, data in holes.items():
                page[at : at + len(data)] = data
            assert any(kind.passes(bytes(page)) for kind in KINDS)
            assert best(bytes(page)) < 0.5


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=4, max_size=PAGE))
def test_text(text: str) -> None:
    data = text.encode()
    assert best(data.ljust(PAGE, b"\0")) < 0.5
    assert best((data * PAGE)[:PAGE]) < 0.5


@pytest.mark.parametrize("byte", range(1, 256))
def test_one_byte_at_the_start(byte: int) -> None:
    assert best(bytes([byte]).ljust(PAGE, b"\0")) < 0.5


@given(st.binary(max_size=64), st.sampled_from(BUILT), st.integers(0, PAGE - 64))
def test_any_page_is_judged(noise: bytes, built: tuple[str, bytes], at: int) -> None:
    page = built[1][:at] + noise + built[1][at + len(noise) :]
    for kind in KINDS:
        assert 0 <= judge(kind, page).score <= 1


# --- images -------------------------------------------------------------------------------------------


def image(path: Path, size: int, pages: dict[int, bytes]) -> str:
    """A sparse file with some pages in it."""
    with open(path, "wb") as stream:
        stream.truncate(size)
        for at, page in pages.items():
            stream.seek(at)
            stream.write(page)
    return str(path)


def test_pages_are_found_where_they_are(tmp_path: Path) -> None:
    pages = {0x0: ghcb(), 0x3000: doorbell(), 0x100000: vmsa(), 0x8FFF000: secrets()}
    name = image(tmp_path / "dump", 0x9000000, pages)
    finds = list(scan(name))
    assert [(find.gpa, find.kind, find.structure) for find in finds] == [
        (0x0, "ghcb", "ghcb"),
        (0x3000, "doorbell", "doorbell-page"),
        (0x100000, "vmsa", "vmsa"),
        (0x8FFF000, "secrets", "secrets-page"),
    ]


def test_zeros_that_are_stored_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(bytes(3 << 20) + ghcb() + bytes(5 << 20))
    states: list[Scan] = []
    (find,) = scan(str(path), watch=states.append)
    assert find.gpa == 3 << 20
    assert states[-1].pages == 1
    assert states[-1].done == states[-1].size == (8 << 20) + PAGE


def test_without_a_way_to_ask_for_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, at: int, whence: int) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "lseek", refuse)
    name = image(tmp_path / "dump", 0x400000, {0x3FF000: vmsa()})
    assert [find.gpa for find in scan(name)] == [0x3FF000]


def test_what_was_read_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "_FORGET", 2 << 20)
    path = tmp_path / "dump"
    path.write_bytes((b"\x55" * PAGE + ghcb()) * 1024)
    offsets = [find.gpa for find in scan(str(path))]
    assert offsets == [PAGE + index * 2 * PAGE for index in range(1024)]


def test_less_than_a_page_at_the_end_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(ghcb() + ghcb()[:-1])
    states: list[Scan] = []
    assert len(list(scan(str(path), watch=states.append))) == 1
    assert (states[-1].rest, states[-1].done) == (PAGE - 1, PAGE)


def test_only_some_kinds_and_scores(tmp_path: Path) -> None:
    rest = bytearray(PAGE)
    rest[0xFFA] = 2
    name = image(tmp_path / "dump", 0x3000, {0: ghcb(), 0x1000: vmsa(), 0x2000: bytes(rest)})
    assert [find.kind for find in scan(name, [VMSA])] == ["vmsa"]
    assert [find.gpa for find in scan(name, [GHCB])] == [0, 0x2000]
    assert [find.gpa for find in scan(name, [GHCB], 0.9)] == [0]


# --- with columns and without -------------------------------------------------------------------------

WITHOUT_NUMPY = mock.patch.dict(sys.modules, {"numpy": None})  # importing None is an ImportError


def test_without_numpy(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(bytes(2 << 20) + b"\x55" * PAGE + ghcb() + bytes(PAGE) + doorbell())
    states: list[Scan] = []
    with WITHOUT_NUMPY:
        finds = list(scan(str(path), watch=states.append))
    assert [(find.gpa, find.kind) for find in finds] == [
        (0x201000, "ghcb"),
        (0x203000, "doorbell"),
    ]
    assert states[-1].pages == 3


SIEVED = [
    (kind, place.bit_offset // 8 + byte)
    for kind in KINDS
    for sieve in kind.sieves
    for place in (locate(kind.structure, path) for path, _, _ in sieve.conditions)
    for byte in range(min((place.field.width + 7) // 8, 8))
]
"""The bytes that sieves look at, the first of long areas."""


@pytest.mark.parametrize(
    ("kind", "offset"), SIEVED, ids=[f"{kind.name}-{at:03x}" for kind, at in SIEVED]
)
def test_both_ways_to_sieve_agree_on_every_byte(kind: Kind, offset: int) -> None:
    np = pytest.importorskip("numpy", reason="needs numpy")
    built = dict(BUILT)[kind.name]
    if kind is GHCB and offset not in (0xFFA, 0xFFB):
        built = ghcb_version_0()
    pages = [built[:offset] + bytes([value]) + built[offset + 1 :] for value in range(256)]
    passed = kind.pages(b"".join(pages), np.arange(256))
    assert passed == [number for number, page in enumerate(pages) if kind.passes(page)]
    assert built[offset] in passed


def changed(built: tuple[str, bytes], changes: list[tuple[int, bytes]]) -> bytes:
    page = bytearray(built[1])
    for at, data in changes:
        page[at : at + len(data)] = data
    return bytes(page[:PAGE])


PAGES = st.one_of(
    st.just(bytes(PAGE)),
    st.integers(0, 2**32).map(lambda seed: random.Random(seed).randbytes(PAGE)),
    st.builds(
        changed,
        st.sampled_from([*BUILT, ("zeros", bytes(PAGE))]),
        st.lists(
            st.tuples(
                st.sampled_from([at for _, at in SIEVED]) | st.integers(0, PAGE - 1),
                st.binary(min_size=1, max_size=2),
            ),
            max_size=3,
        ),
    ),
)


@given(st.lists(PAGES, min_size=1, max_size=24), st.integers(0, 600), st.integers(0, PAGE - 1))
def test_both_ways_find_the_same(pages: list[bytes], zeros: int, rest: int) -> None:
    def found() -> tuple[list[Find], Scan]:
        states: list[Scan] = []
        return list(scan(name, min_score=0, watch=states.append)), states[-1]

    with tempfile.TemporaryDirectory() as folder:
        name = f"{folder}/dump"
        half = len(pages) // 2
        image = b"".join([*pages[:half], bytes(zeros * PAGE), *pages[half:], b"\x01" * rest])
        Path(name).write_bytes(image)
        with mock.patch.object(memory, "_SHORT", 0):
            by_columns = found()
        assert found() == by_columns
        with WITHOUT_NUMPY:
            assert found() == by_columns


def test_what_cannot_be_mapped(tmp_path: Path) -> None:
    pipe, empty, short = tmp_path / "pipe", tmp_path / "empty", tmp_path / "short"
    os.mkfifo(pipe)
    empty.touch()
    short.write_bytes(bytes(100))
    said = {
        "-": "standard input cannot be mapped: a file expected",
        str(tmp_path): f"{tmp_path}: a directory found, a file expected",
        str(tmp_path / "none"): f"{tmp_path / 'none'}: No such file or directory",
        str(pipe): f"{pipe}: a pipe or a device cannot be mapped: a file expected",
        "/dev/zero": "/dev/zero: a pipe or a device cannot be mapped: a file expected",
        str(empty): f"{empty}: 0 bytes found, a page of 4096 or more expected",
        str(short): f"{short}: 100 bytes found, a page of 4096 or more expected",
    }
    for name, expected in said.items():
        with pytest.raises(DecodeError) as raised:
            list(scan(name))
        assert str(raised.value) == expected
