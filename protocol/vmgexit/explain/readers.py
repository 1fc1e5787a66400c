"""Readers: what a number or a text of a line says, one function a kind of word.

A reader gets the word and the other words of its line, for some are read by others: an exit's
information words by its code. It gives a declared word, or a text, "" where there is nothing to say.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from enum import IntEnum

from ..schema import Bits, leaves, meaning_of, named, set_numbers
from ..show.line import describe, describe_code
from ..wire.calls import find_call
from ..wire.exit import Exit, Where, Word
from ..wire.exit_codes import ExitCode, ExitError, ExitStatus, Status, exit_name
from ..wire.exit_information import information_words
from ..wire.exits import find_exit
from ..wire.firmware_status import FirmwareStatus
from ..wire.ghcb import ALWAYS_VALID, GhcbPage
from ..wire.ghcb_msr import decode_msr
from ..wire.guest_message import GuestRequestResult
from ..wire.page_state import PscResult
from ..wire.rmp import PageStatus
from ..wire.svsm import ResultCode
from ..wire.termination import find_reason
from ..wire.vmsa import EventInj, SevFeatures
from .form import Values

_NO_UPDATE = 255  # Linux arch/x86/include/asm/sev.h PVALIDATE_FAIL_NOUPDATE

UNUSED = "has no use for it"
"""What is said of an information word that is not 0, and that the exit does not read."""

Read = Callable[[int, Values], Bits | str]
ReadText = Callable[[str, Values], str]


def word(layout: type[Bits]) -> Read:
    def read(value: int, words: Values) -> Bits:
        return layout.of(value)

    return read


def code(codes: type[IntEnum]) -> Read:
    def read(value: int, words: Values) -> str:
        return describe_code(named(value, codes))

    return read


def choice(*texts: str) -> Read:
    """The text at the number's place; "" past the last."""

    def read(value: int, words: Values) -> str:
        return texts[value] if 0 <= value < len(texts) else ""

    return read


def exit_code(value: int, words: Values) -> str:
    if value < 0:  # as a program writes it that takes codes for signed
        return ""
    row = find_exit(value)
    name = exit_name(value)
    if row is None:
        return name if not name.startswith("0x") else "no exit that is known"
    where = "" if row.where is Where.GHCB else f"; {row.direction}"
    return f"{name} ({row.meaning}{where})"


def exit_named(text: str, words: Values) -> str:
    """An exit as OpenVMM prints it: by its name, or the number of one that it has no name for."""
    with contextlib.suppress(KeyError):
        return exit_code(ExitCode[text], words)
    with contextlib.suppress(ValueError):
        return exit_code(int(text, 16), words)
    return ""


def vmcb_exit_code(value: int, words: Values) -> str:
    """Kernels before 6.20 print the low 32 bits only, of codes such as -1 too."""
    if 0xFFFFFFFC <= value <= 0xFFFFFFFF:
        value |= 0xFFFFFFFF << 32
    return exit_code(value, words)


def information_word(label: str) -> Read:
    """An information word of a request, by the exit code on the line."""

    def read(value: int, words: Values) -> Bits | str:
        code = words.get("sw_exit_code", words.get("exit_code"))
        row = find_exit(code) if isinstance(code, int) else None
        if row is None:
            return ""
        word: Word = getattr(row, label)
        if word.layout is not None:
            return word.layout.of(value)
        if word.value:
            return word.meaning
        if not value:
            return ""
        asked = f"{row.name} {UNUSED}: 0 expected"
        return asked + (_answered(row, value) if label == "info2" else "")

    return read


def _answered(row: Exit, value: int) -> str:
    """SW_EXITINFO2 as the result that the host wrote over it."""
    result = row.result
    if result.layout is not None:
        return f"; in an answer: {describe(result.layout.of(value))}"
    return f"; in an answer: {result.meaning}" if result.value else ""


def reason_code(value: int, words: Values) -> str:
    reason_set = words.get("reason_set")
    if not isinstance(reason_set, int):
        return "of which set, this line does not say"
    found = find_reason(reason_set, value)
    if found is None:  # 0 is a reason too
        return "no reason that is known in this set"
    return describe_code(found)


def error_number(value: int, words: Values) -> str:
    if not value:
        return "no error"
    return errno.errorcode.get(abs(value), "")


def firmware_status(value: int, words: Values) -> str:
    if value in (-1, 0xFFFFFFFF):
        return "the firmware was not asked"
    return describe_code(named(value, FirmwareStatus))


def report_error(value: int, words: Values) -> str:
    """A status whose digits, read as hex here, may be decimal: both readings."""
    digits = f"{value:x}"
    as_hex = f"if hex, {firmware_status(value, words)}"
    if not digits.isdecimal():
        return as_hex
    return f"if {digits} is decimal, {firmware_status(int(digits), words)}; {as_hex}"


def guest_sev_features(value: int, words: Values) -> Bits | str:
    """Of a VMCB that says what is allowed, what the guest asked for beyond it."""
    allowed = words.get("allowed_sev_features")
    features = SevFeatures.of(value)
    if not isinstance(allowed, int) or not SevFeatures.of(allowed).allowed_sev_features_enable:
        return features
    beyond = value & ~allowed
    if not beyond:
        return f"{describe(features)}; all of them allowed"
    return f"{describe(features)}; not allowed: {describe(SevFeatures.of(beyond))}"


def vmgexit_error(value: int, words: Values) -> str:
    """COCONUT-SVSM puts both information words of the answer into one error, or RBX and the second."""
    status = words["vmgexit_error_1"]
    first = ExitStatus.of(status) if isinstance(status, int) else None
    if first is None or first.status not in (Status.RAISE_EVENT, Status.MALFORMED_INPUT):
        return describe(GuestRequestResult.of(value))
    layout = ExitError if first.status == Status.MALFORMED_INPUT else EventInj
    return describe(layout.of(value))


def result_named(text: str, words: Values) -> str:
    with contextlib.suppress(KeyError):
        return f"{ResultCode[text]:#x} {meaning_of(ResultCode[text])}".strip()
    return ""


def exception_data(value: int, words: Values) -> str:
    """edk2 prints it below the name of the exception; only that of a #VC is an exit code."""
    return exit_code(value, words) if "apic_id" in words else ""


def psc_half(value: int, words: Values) -> str:
    """COCONUT-SVSM prints the halves of the result apart."""
    high, low = words["psc_class"], words["psc_detail"]
    if not isinstance(high, int) or not isinstance(low, int) or high >> 32 or low >> 32:
        return ""
    return describe(PscResult.of(high << 32 | low))


def ghcb_word(value: int, words: Values) -> Bits | str:
    return decode_msr(value) if value & 0xFFF else "address of the GHCB"


def svsm_call(value: int, words: Values) -> str:
    protocol = words.get("protocol")
    found = find_call(protocol, value) if isinstance(protocol, int) else None
    return f"{found.name} ({found.meaning})" if found else "no call that is known"


def pvalidate_result(value: int, words: Values) -> str:
    """PVALIDATE's own answer is positive; 255 says that the carry flag was set."""
    if value < 0:
        return error_number(value, words)
    if value == _NO_UPDATE:
        return "the page was in that state already"
    return describe_code(named(value, PageStatus))


def vmcb_information_1(value: int, words: Values) -> Bits | str:
    code = words.get("vmcb_exit_code")
    layout = information_words(code)[0] if isinstance(code, int) else None
    return layout.of(value) if layout is not None else ""


def valid_bits(text: str, words: Values) -> str:
    """The valid bitmap as %*pb prints it: groups of 32 bits, the highest first."""
    try:
        bitmap = int(text.replace(",", ""), 16)
    except ValueError:
        return ""
    names = {place.bit_offset // 64: place.path for place in leaves(GhcbPage)}
    marked = [names.get(number, f"bit {number}") for number in set_numbers(bitmap)]
    return (", ".join(marked) or "none") + _missing(bitmap, words)


def _missing(bitmap: int, words: Values) -> str:
    """What the exit of the same dump needs and the bitmap does not mark."""
    code, info1 = words.get("sw_exit_code"), words.get("sw_exit_info_1")
    row = find_exit(code) if isinstance(code, int) else None
    if row is None or not isinstance(info1, int) or bitmap >> 128:
        return ""
    page = GhcbPage(sw_exit_info_1=info1, valid_bitmap=bitmap)
    needs = [need.field for need in row.needs if need.applies(page)]
    missing = [name for name in (*ALWAYS_VALID, *needs) if not page.is_valid(name)]
    return f"; {row.name} needs {', '.join(missing)} too" if missing else ""
