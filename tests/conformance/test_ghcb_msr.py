"""The GHCB MSR protocol in worked values: each number was put together by hand from its bits."""

from __future__ import annotations

from typing import Any

import pytest

from vmgexit import DecodeError, GhcbMsr, decode_msr
from vmgexit.rules.msr import failure, pair
from vmgexit.schema import Bits
from vmgexit.wire import ghcb_msr as msr
from vmgexit.wire.ghcb_msr import DECLARATIONS, RESPONSE_TO
from vmgexit.wire.termination import reason

VALUES: list[tuple[int, type[Bits], dict[str, Any]]] = [
    (0x0000000012345000, msr.GhcbGpa, {"frame": 0x12345}),
    (0x0002000133000001, msr.SevInfoResponse, {"min_version": 1, "max_version": 2, "c_bit": 51}),
    (0x0000000000000002, msr.SevInfoRequest, {}),
    (0x0000000000000003, msr.ApJumpTable, {"data": 0}),
    (0x8000001F40000004, msr.CpuidRequest, {"function": 0x8000001F, "register": 1}),
    (0x00000033C0000005, msr.CpuidResponse, {"value": 0x33, "register": 3}),
    (0x0000000000000006, msr.ApResetHoldRequest, {}),
    (0x0000000000001007, msr.ApResetHoldResponse, {"released": 1}),
    (0x0000000000000010, msr.PreferredGpaRequest, {}),
    (0xFFFFFFFFFFFFF011, msr.PreferredGpaResponse, {"frame": 0xFFFFFFFFFFFFF}),
    (0x0000000012345012, msr.RegisterGpaRequest, {"frame": 0x12345}),
    (0x0000000012345013, msr.RegisterGpaResponse, {"frame": 0x12345}),
    (0x002000C000000014, msr.PageStateRequest, {"frame": 0xC000000, "operation": 2}),
    (0x8000000000000015, msr.PageStateResponse, {"error": 0x80000000}),
    (0x0000000100000016, msr.RunVmplRequest, {"vmpl": 1}),
    (0x0000000000000017, msr.RunVmplResponse, {"error": 0}),
    (0x0000000000000018, msr.UnregisterGpaRequest, {}),
    (0x0000000012345019, msr.UnregisterGpaResponse, {"frame": 0x12345}),
    (0x0000000000000080, msr.FeaturesRequest, {}),
    (0x0000000000023081, msr.FeaturesResponse, {"snp": 1, "ap_creation": 1, "multi_vmpl": 1}),
    (0x0000000000061100, msr.TerminationRequest, {"reason_set": 1, "reason_code": 6}),
    (0x0000000000000F00, msr.HypervHypercall, {"data": 0}),
    (0x0000000000000F01, msr.HypervFastCall, {"data": 0}),
    (0x0000000000000F02, msr.HypervOutput, {"data": 0}),
    (0x0000000000001F03, msr.HypervDebugPrint, {"data": 1}),
]


@pytest.mark.parametrize(("value", "cls", "fields"), VALUES, ids=lambda item: str(item)[:40])
def test_worked_value(value: int, cls: type[msr.MsrWord], fields: dict[str, Any]) -> None:
    word = decode_msr(value)
    assert type(word) is cls
    assert word == cls(**fields)
    assert int(cls(**fields)) == value
    assert word.problems() == []


def test_every_code_has_a_worked_value() -> None:
    assert {value & 0xFFF for value, _, _ in VALUES} == set(DECLARATIONS)


def test_unknown_codes_round_trip() -> None:
    for value in (0x0AA, 0xDEADBEEF_CAFE_0099, 0xFFFFFFFFFFFFFFFF):
        word = decode_msr(value)
        assert isinstance(word, GhcbMsr)
        assert word.info == value & 0xFFF
        assert word.data == value >> 12
        assert int(word) == value
        assert word.specific is word
        assert "not a known GhcbInfo" in str(word.problems()[0])


def test_the_generic_word_reports_what_its_code_forbids() -> None:
    word = GhcbMsr.of(0x0100000012345014)  # bit 56, no operation
    found = [str(problem) for problem in word.problems()]
    assert any("ghcb-msr-page-state-request reserved_63_56" in text for text in found)
    assert any("not a known PageOperation" in text for text in found)
    assert word.specific.declaration.name == "ghcb-msr-page-state-request"


def test_a_word_of_another_code_says_so() -> None:
    word = msr.RunVmplRequest.of(0x17)
    assert "0x16, RUN_VMPL_REQUEST expected" in str(word.problems()[0])


@pytest.mark.parametrize("operation", [3, 4])
def test_smash_is_not_for_the_msr(operation: int) -> None:
    word = msr.PageStateRequest(operation=operation)
    assert "not for the MSR form" in str(word.problems()[0])


def test_vmpl_4_does_not_exist() -> None:
    assert "VMPL 0 to 3" in str(msr.RunVmplRequest(vmpl=4).problems()[0])


def test_a_word_is_eight_bytes() -> None:
    with pytest.raises(DecodeError, match="7 bytes found, 8 expected"):
        GhcbMsr.decode(bytes(7))


ANSWERS = [  # request, response that answers it
    (0x002, 0x0002000133000001),
    (0x8000001F40000004, 0x0000003340000005),
    (0x006, 0x1007),
    (0x006, 0x0007),  # failed, but an answer
    (0x010, 0xFFFFFFFFFFFFF011),
    (0x12345012, 0x12345013),
    (0x12345012, 0xFFFFFFFFFFFFF013),  # refused, but an answer
    (0x002000C000000014, 0x015),
    (0x0000000100000016, 0x0000000100000017),  # with an error
    (0x018, 0x12345019),
    (0x080, 0x23081),
]


@pytest.mark.parametrize(("request_", "response"), ANSWERS)
def test_pair(request_: int, response: int) -> None:
    assert pair(request_, response) == ""
    assert pair(decode_msr(request_), decode_msr(response)) == ""


def test_every_request_with_a_response_is_paired_here() -> None:
    assert {request_ & 0xFFF for request_, _ in ANSWERS} == set(RESPONSE_TO)


@pytest.mark.parametrize(
    ("request_", "response", "why"),
    [
        (0x002, 0x005, "0x005 CPUID_RESPONSE found, 0x001 SEV_INFO_RESPONSE expected"),
        (0x016, 0x015, "0x015 PAGE_STATE_RESPONSE found, 0x017 RUN_VMPL_RESPONSE expected"),
        (0x018, 0x12345011, "0x011 PREFERRED_GPA_RESPONSE found, 0x019"),  # zyuiop/ghcb's slip
        (0x080, 0x080, "the host left the request in place: 0x080 FEATURES_REQUEST is not known"),
        (0x002, 0x0AA, "0x0aa found, 0x001 SEV_INFO_RESPONSE expected"),
        (0x8000001F40000004, 0x0000003380000005, "register 2 found, 1 asked for"),
        (0x12345012, 0x54321013, "frame 0x54321 registered, 0x12345 asked for"),
        (0x100, 0x101, "0x100 TERMINATION_REQUEST is not a request that has a response"),
        (0x12345000, 0x12345000, "0x000 GHCB_GPA is not a request that has a response"),
        (0x0AA, 0x0AB, "0x0aa is not a request that has a response"),
    ],
)
def test_no_pair(request_: int, response: int, why: str) -> None:
    assert pair(request_, response).startswith(why)


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (0x0007, "the hold failed"),
        (0x1007, ""),
        (0xFFFFFFFFFFFFF013, "the host refused the page"),
        (0x12345013, ""),
        (0x8000000000000015, "error 0x80000000"),
        (0x0000000000000015, ""),
        (0x0000000100000017, "error 0x1"),
        (0x0000000000000017, ""),
        (0x0001000200000001, "the host speaks no version"),
        (0x0002000133000001, ""),
        (0xFFFFFFFFFFFFF011, ""),
    ],
)
def test_failure(response: int, why: str) -> None:
    assert failure(response) == why


@pytest.mark.parametrize(
    ("reason_set", "code", "name"),
    [
        (0, 0, "GENERAL GENERAL_REQUEST"),
        (0, 1, "GENERAL PROTOCOL_RANGE"),
        (0, 2, "GENERAL SNP_FEATURES"),
        (1, 0, "LINUX REGISTER"),
        (1, 1, "LINUX PSC"),
        (1, 2, "LINUX PVALIDATE"),
        (1, 3, "LINUX NOT_VMPL0"),
        (1, 4, "LINUX CPUID"),
        (1, 5, "LINUX CPUID_HV"),
        (1, 6, "LINUX SECRETS_PAGE"),
        (1, 7, "LINUX NO_SVSM"),
        (1, 8, "LINUX SVSM_VMPL0"),
        (1, 9, "LINUX SVSM_CAA"),
        (1, 10, "LINUX SECURE_TSC"),
        (1, 11, "LINUX SVSM_CA_REMAP_FAIL"),
        (1, 12, "LINUX SAVIC_FAIL"),
        (15, 0, "LINUX_SVSM GENERAL"),
        (15, 1, "LINUX_SVSM ENOMEM"),
        (15, 2, "LINUX_SVSM UNHANDLED_VC"),
        (15, 3, "LINUX_SVSM PSC_ERROR"),
        (15, 4, "LINUX_SVSM SET_PAGE_ERROR"),
        (15, 5, "LINUX_SVSM NO_GHCB"),
        (15, 6, "LINUX_SVSM GHCB_RESP_INVALID"),
        (15, 7, "LINUX_SVSM FW_CFG_ERROR"),
        (15, 8, "LINUX_SVSM BIOS_FORMAT"),
        (15, 9, "LINUX_SVSM NOT_VMPL0"),
        (15, 10, "LINUX_SVSM VMPL0_SEV_FEATURES"),
        (15, 11, "LINUX_SVSM INCORRECT_VMPL"),
        (15, 12, "LINUX_SVSM VMPL1_SEV_FEATURES"),
        (0, 3, "set 0, code 3: not known"),
        (7, 0, "set 7, code 0: not known"),
    ],
)
def test_termination_reason(reason_set: int, code: int, name: str) -> None:
    assert reason(reason_set, code) == name
    word = msr.TerminationRequest(reason_set=reason_set, reason_code=code)
    assert next(word.notes()).text == name


def test_reasons_that_ovmf_gives_under_linux_s_set() -> None:
    for word, told in ((0x011100, True), (0x021100, True), (0x031100, False), (0x020100, False)):
        texts = [note.text for note in decode_msr(word).notes()]
        assert any("OVMF's reset vector" in text for text in texts) == told
