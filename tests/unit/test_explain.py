"""The manual: every table of `wire` has its pages; a number has all its readings; words and bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgexit.explain import inputs, subject
from vmgexit.explain.guess import guesses
from vmgexit.explain.loose_words import ANCHORS, HOLES, words_of
from vmgexit.explain.meanings import READ, TITLES
from vmgexit.explain.number_readings import readings
from vmgexit.explain.questions import ask, named
from vmgexit.explain.subjects import subjects
from vmgexit.wire.readings import READINGS

# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("SNP_GUEST_REQUEST", "SNP_GUEST_REQUEST, exit 0x80000011"),
        ("VMEXIT_NPF", "NPF, exit 0x400"),
        ("SVM_EXIT_VMGEXIT", "VMGEXIT, exit 0x403"),
        ("#HV", "HV, code 0x1c of the processor's exceptions"),
        ("VMEXIT_SHUTDOWN", "SHUTDOWN, exit of the processor 0x7f"),
        ("SVSM_CORE_PVALIDATE", "SVSM_CORE_PVALIDATE, SVSM call 0x1 of protocol CORE"),
        (
            "SVSM_ATTEST_SINGLE_SERVICE",
            "SVSM_ATTEST_SINGLE_SERVICE, SVSM call 0x100000001 of protocol ATTESTATION",
        ),
        ("GHCB_MSR_PSC_REQ", "PAGE_STATE_REQUEST, GHCB MSR message 0x14"),
        ("GHCB_MSR_TERM_REQ", "TERMINATION_REQUEST, GHCB MSR message 0x100"),
        ("PROTOCOL_RANGE", "PROTOCOL_RANGE, termination reason 0x1 of set 0, GENERAL"),
        ("SVSM_ERR_BUSY", "BUSY, SVSM result code 0x80000007"),
        ("CANNOT_REGISTER", "CANNOT_REGISTER, SVSM result code 0x80001000"),
        ("SEV_RET_INVALID_GUEST", "INVALID_GUEST, firmware status 0x10"),
        ("MULTI_VMPL", "multi_vmpl, bit 0x20 of hypervisor-features"),
        ("SNPActive", "snp_active, bit 0x1 of sev-features"),
        ("secure-avic", "secure_avic, bit 0x10000 of sev-features"),
        ("REPORT_REQUEST", "REPORT_REQUEST, code 0x5 of guest-message-header msg_type"),
        ("63da758d-e664-4564-adc5-f4b93be8accd", "63da758d-e664-4564-adc5-f4b93be8accd, GUID"),
        ("VLEK", "a8074bc2-a25a-483e-aae6-39c045a0b8a1, GUID"),
        ("GhcbPage", "ghcb, structure"),
        ("vmsa", "vmsa, structure"),
        ("sw_exit_info_1", "sw_exit_info_1, field of ghcb"),
        ("vmsa.sev_features", "sev_features, field of vmsa"),
        ("SEV_STATUS", "SEV_STATUS, MSR 0xc0010131"),
    ],
)
def test_each_kind_by_name(name: str, heading: str) -> None:
    assert heading in [page.heading for page in named(name)]


@pytest.mark.parametrize(
    ("number", "heading"),
    [
        (0x80000013, "SNP_AP_CREATION, exit 0x80000013"),
        (0x400, "NPF, exit 0x400"),
        (0x7F, "SHUTDOWN, exit of the processor 0x7f"),
        (
            0x1_0000_0001,
            "SVSM_ATTEST_SINGLE_SERVICE, SVSM call 0x100000001 of protocol ATTESTATION",
        ),
        (0x14, "PAGE_STATE_REQUEST, GHCB MSR message 0x14"),
        (0x80000007, "BUSY, SVSM result code 0x80000007"),
        (0x15, "UNSUPPORTED, firmware status 0x15"),
        (1, "PROTOCOL_RANGE, termination reason 0x1 of set 0, GENERAL"),
        (0x20, "multi_vmpl, bit 0x20 of hypervisor-features"),
        (5, "REPORT_REQUEST, code 0x5 of guest-message-header msg_type"),
        (0xC0010130, "GHCB MSR, MSR 0xc0010130"),
    ],
)
def test_each_kind_by_number(number: int, heading: str) -> None:
    assert heading in [reading.what for reading in readings(number)]


def test_every_page_says_what_and_where() -> None:
    for each in subjects():
        labels = [label for label, _ in each.rows()]
        assert each.title, each.heading
        assert labels[0] == "what"
        assert "public code" in labels, each.heading


def test_every_subject_is_found_by_its_name() -> None:
    assert [each.heading for each in subjects() if each not in named(each.name)] == []


def test_every_point_on_which_sources_differ_is_on_a_page() -> None:
    shown = "; ".join(
        text for each in subjects() for label, text in each.rows() if "differ" in label
    )
    assert [reading for reading in READINGS if str(reading) not in shown] == []


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("SVSM_ERR_BUSY", "BUSY, SVSM result code 0x80000007"),
        ("SVSM_PVALIDATE_FAIL_SIZEMISMATCH", "FAIL_SIZEMISMATCH, SVSM result code 0x80001006"),
        ("SVSM_VTPM_CMD", "SVSM_VTPM_COMMAND, SVSM call 0x200000001 of protocol VTPM"),
        ("PVALIDATE_FAIL_SIZEMISMATCH", "FAIL_SIZEMISMATCH, code 0x6 of rmp-status status"),
        ("RMPUPDATE_FAIL_OVERLAP", "FAIL_OVERLAP, code 0x4 of rmpupdate-status status"),
        ("PSMASH_FAIL_INUSE", "FAIL_INUSE, code 0x3 of psmash-status status"),
        ("SEV_RET_SPDM_REQUEST", "SPDM_REQUEST, firmware status 0x32"),
        ("SEV_RET_SEV_STATUS_INVALID_TDI", "INVALID_TDI, firmware status 0x38"),
        ("TIO_MSG_TDI_INFO_REQ", "TDI_INFO_REQUEST, code 0x13 of guest-message-header msg_type"),
        ("MMIO_VALIDATE_NOT_IO", "NOT_IO, code 0x4 of mmio-validate-response status"),
        ("SDTE_WRITE_INVALID_TDI", "INVALID_TDI, code 0x1 of sdte-write-response status"),
        (
            "AVIC_IPI_FAILURE_TARGET_NOT_RUNNING",
            "NOT_RUNNING, code 0x1 of avic-incomplete-ipi-cause failure",
        ),
        ("SVM_EXIT_AVIC_UNACCELERATED_ACCESS", "AVIC_NOACCEL, exit 0x402"),
        ("INTERCEPT_IOIO_PROT", "ioio, bit 0x8000000 of intercepts-word-3"),
        ("TLB_CONTROL_FLUSH_ASID", "FLUSH_ASID, code 0x3 of vmcb-control tlb_ctl"),
        ("SVM_MISC_ENABLE_SEV_ES", "sev_es, bit 0x4 of vmcb-misc-ctl"),
        ("VMCB_PERM_MAP", "permission_maps, bit 0x2 of vmcb-clean"),
        ("IGVM_VHT_SNP_ID_BLOCK", "SNP_ID_BLOCK, code 0x30b of igvm-variable-header type"),
        (
            "SVSM_REBOOT_EXECUTE",
            "SVSM_REBOOT_EXECUTE, SVSM call 0x500000000 of protocol OBSERVABILITY, revision reboot",
        ),
        ("SVM_VMGEXIT_TERM_REQUEST", "TERMINATION_REQUEST, exit 0x8000fffe"),
        ("SVM_VMGEXIT_AP_CREATE", "CREATE, code 0x1 of ap-creation operation"),
        ("SVM_EXIT_ERR", "INVALID, exit 0xffffffffffffffff"),
        ("GHCB_MSR_CPUID_REQ", "CPUID_REQUEST, GHCB MSR message 0x4"),
        ("SNP_MSG_CPUID_REQ", "CPUID_REQUEST, code 0x1 of guest-message-header msg_type"),
        (
            "GHCB_SEV_ES_PROT_UNSUPPORTED",
            "PROTOCOL_RANGE, termination reason 0x1 of set 0, GENERAL",
        ),
        ("GHCB_SNP_UNSUPPORTED", "SNP_FEATURES, termination reason 0x2 of set 0, GENERAL"),
        ("GHCB_TERM_NOT_VMPL0", "NOT_VMPL0, termination reason 0x3 of set 1, LINUX"),
        ("GHCB_TERM_CPUID", "CPUID, termination reason 0x4 of set 1, LINUX"),
        ("GHCB_HV_FT_SNP_AP_CREATION", "ap_creation, bit 0x2 of hypervisor-features"),
        ("SVM_SEV_FEAT_SECURE_TSC", "secure_tsc, bit 0x200 of sev-features"),
        ("MSR_AMD64_SNP_SECURE_TSC", "secure_tsc, bit 0x800 of sev-status"),
        ("MSR_AMD64_SEV_ES_GHCB", "GHCB MSR, MSR 0xc0010130"),
        ("GHCB_ERR_MISSING_INPUT", "MISSING_INPUT, code 0x4 of exit-error error"),
        ("GHCB_HV_RESP_NO_ACTION", "DONE, code 0x0 of exit-status status"),
        ("SEV_RET_INVALID_LEN", "INVALID_LENGTH, firmware status 0x4"),
        ("HWSEV_RET_UNSAFE", "HARDWARE_ERROR_UNSAFE, firmware status 0x14"),
        ("SNP_GUEST_VMM_ERR_INVALID_LEN", "INVALID_LEN, code 0x1 of guest-request-result vmm"),
    ],
)
def test_the_prefix_tells_the_list(name: str, heading: str) -> None:
    assert [page.heading for page in named(name)] == [heading]


@pytest.mark.parametrize("name", ["GHCB_TERM_BUSY", "SVM_SEV_FEAT_PVALIDATE", "SNP_MSG_HALT"])
def test_a_name_that_its_list_does_not_have_is_not_taken_from_another(name: str) -> None:
    assert named(name) == []


def test_spellings() -> None:
    assert subject.spellings("SVM_VMGEXIT_SNP_RUN_VMPL") == [
        "svmvmgexitsnprunvmpl",
        "snprunvmpl",
        "runvmpl",
    ]


# --- numbers --------------------------------------------------------------------------------------


def test_an_ambiguous_number_has_every_reading_the_likeliest_first() -> None:
    found = readings(0x80000010)
    assert [reading.what for reading in found] == [
        "SNP_PAGE_STATE_CHANGE, exit 0x80000010",
        "page-fault-error",
        "npf-info",
        "ioio-info",
        "event-inj",
        "GHCB MSR, ghcb-msr-preferred-gpa-request",
    ]
    assert [reading.score for reading in found] == sorted(
        (reading.score for reading in found), reverse=True
    )
    assert all(reading.why for reading in found)


@pytest.mark.parametrize("number", [0xDEAD_BEEF_DEAD_BEEF, 1 << 70, -1])
def test_what_fits_nothing_has_no_reading(number: int) -> None:
    assert readings(number) == []


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("ghcb msr 0x100", "ghcb-msr-termination-request"),
        ("ghcb-msr: 0x3000100", "ghcb-msr-termination-request"),
        ("policy = 0x30000", "guest-policy"),
        ("sev_features 0x9", "sev-features"),
    ],
)
def test_a_value_behind_a_name(question: str, says: str) -> None:
    answer = ask(question)
    assert answer is not None
    assert [value.structure.declaration.name for value in answer.values] == [says]


def test_a_code_behind_the_name_of_its_field() -> None:
    answer = ask("msg_type 5")
    assert answer is not None
    assert [page.name for page in answer.pages] == ["REPORT_REQUEST"]


def test_a_field_that_several_words_have_is_read_as_each() -> None:
    answer = ask("status 3")
    assert answer is not None
    assert {value.structure.declaration.name for value in answer.values} >= {
        "sev-status",
        "ext-int-status",
    }


@pytest.mark.parametrize(
    ("question", "heading"),
    [
        ("0x1:0x2", "PVALIDATE, termination reason 0x2 of set 1, LINUX"),
        ("0xf:0x1", "ENOMEM, termination reason 0x1 of set 15, LINUX_SVSM"),
        ("0x0:0x2", "SNP_FEATURES, termination reason 0x2 of set 0, GENERAL"),
    ],
)
def test_set_and_code_of_a_termination(question: str, heading: str) -> None:
    answer = ask(question)
    assert answer is not None
    assert [page.heading for page in answer.pages] == [heading]


@pytest.mark.parametrize("question", ["0x1:0x99", "0x7:0x1", "1:2:3"])
def test_no_termination(question: str) -> None:
    assert ask(question) is None


@pytest.mark.parametrize("name", ["SNP_AP_CREATION", "0x80000013", "2147483667"])
def test_an_exit_and_its_words(name: str) -> None:
    answer = ask(f"{name} 0x1 0x5000")
    assert answer is not None
    assert [word.text for word in answer.words] == [
        "SNP_AP_CREATION (create, start or destroy a vCPU from a VMSA)",
        "Operation = CREATE (start now)",
        "address of the VMSA",
    ]
    assert answer.pages[0].heading == "SNP_AP_CREATION, exit 0x80000013"


@pytest.mark.parametrize(
    "question",
    ["0x80000010,", "(0x80000010)", "`0x80000010`", "'0x80000010'.", "80000010h", "8000_0010"],
)
def test_marks_and_notations_around_a_number(question: str) -> None:
    answer = ask(question)
    assert answer is not None
    assert answer.numbers[0].value == 0x80000010


def test_the_number_of_an_msr_is_no_word_of_its_exit() -> None:
    answer = ask("MSR 0xc0010131")
    assert answer is not None
    assert [page.heading for page in answer.pages] == ["SEV_STATUS, MSR 0xc0010131"]
    assert ask("MSR: 0xc0010131") == answer
    assert ask("MSR 0xc0011029") is None  # a register without a name is no value of the GHCB MSR
    assert ask("CPUID 0x8000001f") is None  # a function, which stands in RAX
    assert ask("0x61 0x81") is None  # bytes


def test_an_information_word_of_an_answer() -> None:
    answer = ask("SNP_PAGE_STATE_CHANGE 0 0x100000001")
    assert answer is not None
    assert answer.words[2].text == (
        "SNP_PAGE_STATE_CHANGE has no use for it: 0 expected; in an answer: Detail = 0x1"
        " (What went wrong, within the class), ErrorClass = INVALID"
        " (detail 1: header, 2: the entry at cur_entry)"
    )


def test_a_negative_code() -> None:
    answer = ask("-1")
    assert answer is not None
    assert answer.numbers[0].readings[0].what == "INVALID, exit 0xffffffffffffffff"


def test_a_prefix_is_not_cut_off_before_a_field() -> None:
    assert named("sev-guest") == []


# --- words in lines -------------------------------------------------------------------------------


def _said(line: str) -> list[tuple[str, str]]:
    return [(word.shown, word.text or word.title) for word in words_of(line)]


def test_what_a_debugger_shows() -> None:
    line = "$1 = {sw_exit_code = 2147483667, sw_exit_info_1 = 1, sw_exit_info_2 = 0x5000}"
    assert _said(line) == [
        (
            "2147483667 (read as decimal, 0x80000013)",
            "SNP_AP_CREATION (create, start or destroy a vCPU from a VMSA)",
        ),
        ("1", "Operation = CREATE (start now)"),
        ("0x5000", "address of the VMSA"),
    ]


def test_digits_without_0x_say_how_they_were_read() -> None:
    assert _said("sev_features: 21")[0][0] == "21 (read as decimal, 0x15)"
    assert _said("sev_features: 2f")[0][0] == "2f (read as hex, 0x2f)"
    assert _said("sev_features: 1")[0][0] == "1"


def test_an_information_word_is_read_by_the_code_on_its_line() -> None:
    line = "vmgexit failed: sw_exit_code=0x80000010 exitinfo2=0x100000002"
    assert _said(line)[1][1].endswith(
        "ErrorClass = INVALID (detail 1: header, 2: the entry at cur_entry)"
    )


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("sev_supported_vmsa_features: 0x1", "SNPActive (SEV-SNP)"),
        ("got VMSA_FEATURES=0x1", "SNPActive (SEV-SNP)"),
        ("SwExitInfo1: 0x1", "first information word; the exit code says what it holds"),
        ("fw_err=0x16", "INVALID_PARAMETER"),
        ("hv_features 1", "SEV_SNP (SEV-SNP)"),
        (
            "exitinfo2 = 0x16",
            "the exit code says what it holds; of a guest request: Firmware = INVALID_PARAMETER",
        ),
    ],
)
def test_a_word_that_only_we_have(line: str, text: str) -> None:
    assert _said(line)[0][1].startswith(text)


@pytest.mark.parametrize(
    "line",
    [
        "systemd: unit left, exit_code=1",
        "sw_exit_code none",
        "my_sev_features=1",
        "sev_features_x = 1",
        "sev_features = 12345678901234567890123",
        "sw_exit_code = 0x11223344556677889900",
    ],
)
def test_a_word_that_may_be_anything_is_left_alone(line: str) -> None:
    assert _said(line) == []


def test_words_are_read_as_holes_and_found_by_an_anchor() -> None:
    assert set(HOLES.values()) <= {*READ, *TITLES}
    for name in HOLES:
        assert name == name.casefold()
        assert any(anchor in name.encode() for anchor in ANCHORS), name


# --- bytes ----------------------------------------------------------------------------------------


def test_a_guess_has_a_score_and_reasons() -> None:
    best = guesses(bytes.fromhex("1111111111111111") * 512)
    assert all(0 <= guess.score <= 1 for guess in best)
    assert all(guess.reasons or guess.against for guess in best)


def test_many_rules_that_are_kept_tell_more_than_few() -> None:
    report = (Path(__file__).parents[2] / "corpus/cases/report-v3-genoa.bin").read_bytes()
    best = guesses(report)[0]
    assert (best.name, best.score) == ("attestation-report", 0.56)  # most of it is zero
    few = [guess for guess in guesses(bytes.fromhex("0900000000000000")) if guess.score >= 0.5]
    assert few == []


@pytest.mark.parametrize(
    "text",
    [
        "error code 0x100000006",
        "The quick brown fox jumps over the lazy dog again",
        "QUJD REVG SElK TE1O UFFS",
        "0x" + "1f" * 10 + "1",  # digits of a digest that was not copied whole
        "1f" * 32 + "1",
    ],
)
def test_prose_is_no_base64(text: str) -> None:
    assert inputs.bytes_of(text) is None


def test_base64_of_lines() -> None:
    found = inputs.bytes_of("QUJD" * 16 + "\n" + "QUJD\n")
    assert found is not None
    assert found.data == b"ABC" * 17


def test_marks_alone_are_no_question() -> None:
    assert ask(": :") is None


def test_a_reason_without_its_set_is_not_judged() -> None:
    [said] = words_of("reason_code  0x2  SNP_FEATURES")
    assert said.text == "of which set, this line does not say"
