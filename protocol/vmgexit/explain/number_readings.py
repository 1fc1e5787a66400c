"""What a number can mean: every reading of it, the likeliest first, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from ..schema import Bits
from ..show.line import NOTHING_SET, describe
from ..wire.ap_creation import ApCreation
from ..wire.exit_codes import IoioInfo
from ..wire.faults import NpfInfo, PageFaultError
from ..wire.features import HypervisorFeatures
from ..wire.ghcb_msr import DECLARATIONS, GhcbInfo, decode_msr
from ..wire.guest_message import GuestRequestResult
from ..wire.page_state import PSC_DETAILS, PscEntry, PscErrorClass, PscResult
from ..wire.termination import TerminationInfo
from ..wire.vmsa import EventInj, SevFeatures, SevStatus, VintrCtrl
from .subject import EXIT, Subject
from .subjects import by_number

_FULL = 10
"""The likelihood of a reading that nothing speaks against."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that a number can mean. `score`: from 0 to 1, how likely beside the others."""

    what: str
    says: str
    why: str
    score: float
    subject: Subject | None = None


_WORDS: tuple[type[Bits], ...] = (
    SevFeatures,
    HypervisorFeatures,
    GuestRequestResult,
    PscResult,
    EventInj,
    NpfInfo,
    PageFaultError,
    ApCreation,
    IoioInfo,
    PscEntry,
    VintrCtrl,
    SevStatus,
    TerminationInfo,
)
"""Words that logs and registers show, in the order in which a number is most often one of them."""


def readings(value: int) -> list[Reading]:
    """Every reading of `value`; none where nothing fits. Registers and words have 64 bits."""
    if not 0 <= value < 1 << 64:
        return []
    found = [_coded(each) for each in by_number().get(value, [])]
    found += _message(value)
    found += _as_words(value)
    return sorted(found, key=lambda reading: -reading.score)


def _coded(each: Subject) -> Reading:
    score = each.kind.prior / _FULL
    if each.kind is EXIT and each.number is not None and each.number >> 28 == 8:
        score = 1.0  # numbers of this form are given to exits of the GHCB standard
    return Reading(each.heading, each.title, each.kind.why, score, each)


def _message(value: int) -> list[Reading]:
    """As a value of the GHCB MSR: where its low 12 bits are a known code, and there is more."""
    code = value & 0xFFF
    if not value >> 12 or code not in DECLARATIONS:
        return []
    held = decode_msr(value)
    if code == GhcbInfo.GHCB_GPA:
        return [Reading("GHCB MSR", f"address of a GHCB, {value:#x}", "a multiple of 4 KiB", 0.35)]
    problems = [str(problem) for problem in held.problems()]
    rare = 12 + _reserved(type(held))
    score = 0.2 if problems else _score(0.2, rare, value)
    why = f"bits 11:0 are {code:#05x}, {GhcbInfo(code).name}" + _against(problems)
    return [Reading(f"GHCB MSR, {held.declaration.name}", describe(held), why, score)]


def _as_words(value: int) -> list[Reading]:
    """As each word that takes it without a broken rule; a word of 64 bits that is full says most."""
    found = []
    for place, layout in enumerate(_WORDS):
        held = layout.of(value)
        said = describe(held)
        if said == NOTHING_SET or held.problems() or not _means_it(held):
            continue
        rare = _reserved(layout)
        score = _score(0.15 - 0.01 * place, rare, value)
        why = "keeps every rule of the word" + (f", with {rare} reserved bits zero" if rare else "")
        found.append(Reading(layout.declaration.name, said, why, score))
    return found


def _means_it(held: Bits) -> bool:
    """Whether a word that keeps its rules says something: an event is valid, an error has a class."""
    match held:
        case EventInj():
            return held.valid
        case PscResult():
            return (held.error, held.detail) in PSC_DETAILS or held.error == PscErrorClass.GENERIC
        case _:
            return True


def _reserved(layout: type[Bits]) -> int:
    return sum(field.width for field in layout.declaration.fields if field.rule is not None)


def _score(prior: float, rare: int, value: int) -> float:
    """The more bits could have been wrong, and the larger the number, the more the reading says."""
    return round(prior + 0.3 * rare / 64 + 0.2 * (value > 0xFFFF), 2)


def _against(problems: list[str]) -> str:
    return f"; against it: {'; '.join(problems)}" if problems else ""


def tried() -> str:
    """What a value was compared with, for one that fits nothing."""
    words = ", ".join(layout.declaration.name for layout in _WORDS)
    return f"exit codes, calls, result and status codes, GHCB MSR messages, MSRs; words: {words}"
