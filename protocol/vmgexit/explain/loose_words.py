"""Words in lines of no known form: `sw_exit_code = 0x80000013`, as debuggers and debug prints show them.

Only names that nothing else has are taken; a line may hold several, and one reads the other.
"""

from __future__ import annotations

import re

from ..show.line import describe
from ..wire.guest_message import GuestRequestResult
from .form import Values
from .meanings import READ, Meaning, Said, said

HOLES = {
    "sw_exit_code": "sw_exit_code",
    "sw_exitcode": "sw_exit_code",
    "swexitcode": "sw_exit_code",
    "sw_exit_info_1": "sw_exit_info_1",
    "sw_exit_info1": "sw_exit_info_1",
    "sw_exitinfo1": "sw_exit_info_1",
    "swexitinfo1": "sw_exit_info_1",
    "sw_exit_info_2": "sw_exit_info_2",
    "sw_exit_info2": "sw_exit_info_2",
    "sw_exitinfo2": "sw_exit_info_2",
    "swexitinfo2": "sw_exit_info_2",
    "exitinfo2": "guest_request_result",
    "sev_features": "sev_features",
    "sev_supported_vmsa_features": "sev_features",
    "supported_vmsa_features": "sev_features",
    "vmsa_features": "sev_features",
    "guest_sev_features": "guest_sev_features",
    "allowed_sev_features": "allowed_sev_features",
    "hv_features": "features",
    "sev_hv_features": "features",
    "fw_err": "fw_error",
    "fw_error": "fw_error",
    "ghcb_msr": "ghcb_msr",
    "reason_set": "reason_set",
    "reason_code": "reason_code",
}
"""Names of words, in small letters, and the hole (`meanings`) that each is read as.

`exitinfo2` is most often the word of Linux's sev-guest, which holds two errors.
"""

_NAMES = "|".join(sorted(HOLES, key=len, reverse=True))
_WORD = re.compile(
    rf"(?<![A-Za-z0-9_])({_NAMES})\s*[=:\s]\s*(0x[0-9a-f]{{1,16}}|-?[0-9a-f]{{1,20}})(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
_RESULT = "guest_request_result"
_BY_CODE = "the exit code says what it holds"
ANCHORS = (b"exit", b"features", b"fw_err", b"ghcb_msr", b"reason_")
"""What one of the names has in it, in small letters."""


def words_of(text: str) -> tuple[Said, ...]:
    """The words of a line that are known, in order; none where no value is read."""
    found: dict[str, tuple[int, str, str]] = {}
    for name, digits in _WORD.findall(text):
        value = _number(digits)
        if value is not None:
            found.setdefault(HOLES[name.casefold()], (value, _shown(digits, value), name))
    if "sw_exit_code" in found and _RESULT in found:
        found.setdefault("sw_exit_info_2", found.pop(_RESULT))
    words: Values = {hole: value for hole, (value, _, _) in found.items()}
    return tuple(
        said(name, READ[hole] if "sw_exit_code" in found else _alone(hole), value, shown, words)
        for hole, (value, shown, name) in found.items()
    )


def _alone(hole: str) -> Meaning:
    """An information word is read by the exit code, which the line does not have."""
    if hole in ("sw_exit_info_1", "sw_exit_info_2"):
        return Meaning(f"{READ[hole].title}; {_BY_CODE}")
    if hole == _RESULT:
        return Meaning(READ["sw_exit_info_2"].title, _of_a_guest_request)
    return READ[hole]


def _of_a_guest_request(value: int, words: Values) -> str:
    return f"{_BY_CODE}; of a guest request: {describe(GuestRequestResult.of(value))}"


def _shown(digits: str, value: int) -> str:
    """As it is written; how digits without 0x were read, where it matters."""
    is_plain = digits[:2].casefold() == "0x" or abs(value) < 10
    read = "decimal" if digits.lstrip("-").isdecimal() else "hex"
    return digits if is_plain else f"{digits} (read as {read}, {value:#x})"


def _number(digits: str) -> int | None:
    """Decimal without 0x, as a debugger shows it; hex where only that is possible."""
    if digits[:2].casefold() == "0x":
        return int(digits, 16)
    if digits.lstrip("-").isdecimal():
        value = int(digits)
        return value if abs(value) < 1 << 64 else None
    if digits[0] == "-" or len(digits) > 16:
        return None
    return int(digits, 16)
