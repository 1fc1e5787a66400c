"""What tells a GHCB, a #HV doorbell page, a VMSA and a secrets page from any other page.

Each kind has two tables. The sieve has conditions on single fields, because it is asked about every
page of an image. The rules look at the decoded structure. The weight of a rule says how seldom
another page keeps the rule by accident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..schema import Kind as FieldKind
from ..schema import Structure, set_numbers
from ..schema.walk import leaves
from ..wire.doorbell import LOWEST_VECTOR, DoorbellPage
from ..wire.exit import Where
from ..wire.exits import find_exit
from ..wire.ghcb import BITMAP_OFFSET, BUFFER_END, BUFFER_OFFSET, GhcbPage
from ..wire.page_size import PAGE
from ..wire.secrets import SecretsPage
from ..wire.vmsa import EFER_SVME, Vmsa
from .sieve import Condition, Is, Sieve


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason for, or against."""

    name: str
    weight: int
    holds: Callable[[Any], bool]  # of the decoded structure
    must: bool = False  # whether nothing can make up for it


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of page."""

    name: str  # as `--kinds` names it
    structure: type[Structure]
    sieved: str  # the sieves in words
    sieves: tuple[Sieve, ...]  # a page must pass one of them to be looked at
    rules: tuple[Rule, ...]

    def passes(self, page: bytes) -> bool:
        """Whether one of the sieves lets the page through."""
        return any(sieve.passes(page) for sieve in self.sieves)

    def pages(self, block: Any, among: Any) -> list[int]:
        """The same of the pages numbered `among`, an array, in a buffer of pages. Needs numpy."""
        found = {page for sieve in self.sieves for page in sieve.pages(block, among)}
        return sorted(found)


def _reserved_zero(value: Structure) -> bool:
    """Whether every reserved area of whole bytes is zero."""
    return not any(
        getattr(value, field.name) != field.default
        for field in value.declaration.fields
        if field.rule is not None and field.kind is FieldKind.BYTES
    )


# --- GHCB ---------------------------------------------------------------------------------------------


def _named_quadwords() -> frozenset[int]:
    return frozenset(
        place.bit_offset // 64
        for place in leaves(GhcbPage)
        if place.field.rule is None and place.bit_offset // 8 < BITMAP_OFFSET
    )


_NAMED = _named_quadwords()


def _known_exit(page: GhcbPage) -> bool:
    row = find_exit(page.sw_exit_code)
    return row is not None and row.where is Where.GHCB


def _marks_the_exit(page: GhcbPage) -> bool:
    """A request marks code and both words; an answer marks the status."""
    if not page.is_valid("sw_exit_info_1"):
        return False
    return page.is_answer or page.is_valid("sw_exit_info_2")


def _scratch_inside(page: GhcbPage) -> bool:
    return not page.sw_scratch or BUFFER_OFFSET <= page.sw_scratch % PAGE < BUFFER_END


GHCB = Kind(
    "ghcb",
    GhcbPage,
    "usage 0, and version 1 or 2, or version 0 with an exit",
    (
        Sieve(
            GhcbPage,
            Condition("ghcb_usage", Is.ZERO),
            Condition("protocol_version", Is.IN, range(1, 3)),
        ),
        # OVMF's PEI and DXE, and Linux in a page that it has not used yet, leave the version 0. Most
        # pages of memory end in zeros, so that the exit must say what the page is.
        Sieve(
            GhcbPage,
            Condition("sw_exit_code", Is.IN, range(1, 0x8001_0000)),
            Condition("protocol_version", Is.ZERO),
            Condition("ghcb_usage", Is.ZERO),
            Condition("reserved_0x000", Is.ZERO),
            Condition("reserved_0x408", Is.ZERO),
            Condition("reserved_0xff0", Is.ZERO),
        ),
    ),
    (
        Rule("version 1 or 2", 2, lambda page: 1 <= page.protocol_version <= 2),
        Rule("reserved areas zero", 4, _reserved_zero),
        Rule(
            "valid bitmap marks only fields that exist",
            2,
            lambda page: _NAMED.issuperset(set_numbers(page.valid_bitmap)),
        ),
        Rule("valid bitmap is not empty", 1, lambda page: bool(page.valid_bitmap)),
        Rule("exit code known", 2, _known_exit),
        Rule("exit code and words, or a status, marked valid", 2, _marks_the_exit),
        Rule("scratch address 0 or in the buffer", 1, _scratch_inside),
        Rule("the exit's own rules kept", 1, lambda page: not any(page.broken())),
    ),
)


# --- #HV doorbell page --------------------------------------------------------------------------------


def _statuses(page: DoorbellPage) -> bool:
    return not any(item.status.problems() for item in page.descriptors)


def _descriptor_used(page: DoorbellPage) -> list[bool]:
    """Of each lower VMPL: whether the descriptor has anything pending."""
    return [bool(int(item.status) or item.irr) for item in page.descriptors]


def _events_agree(page: DoorbellPage) -> bool:
    """An event byte that is set has a descriptor that shows why; and there is one."""
    events = page.per_vmpl_events
    told = (events.vmpl1, events.vmpl2, events.vmpl3)
    used = _descriptor_used(page)
    return any(told) and all(there for asked, there in zip(told, used, strict=True) if asked)


def _something_pending(page: DoorbellPage) -> bool:
    flags = page.flags
    own = page.vector or flags.nmi_pending or flags.mc_pending
    return bool(own or any(_descriptor_used(page)))


def _lists_agree(page: DoorbellPage) -> bool:
    """A list of vectors only with MultipleVectors, and none of exceptions in service."""
    return all(
        (item.status.multiple_vectors or not item.irr) and not item.isr & ((1 << LOWEST_VECTOR) - 1)
        for item in page.descriptors
    )


DOORBELL = Kind(
    "doorbell",
    DoorbellPage,
    "reserved areas zero, vector 0 or from 31 on",
    (
        Sieve(
            DoorbellPage,
            Condition("flags.reserved_6_2", Is.ZERO),
            Condition("per_vmpl_events.reserved_7_3", Is.ZERO),
            Condition("vector", Is.OUTSIDE, range(1, LOWEST_VECTOR)),
            Condition("reserved_0x004", Is.ZERO),
            Condition("reserved_0x100", Is.ZERO),
        ),
    ),
    (
        Rule("reserved areas zero", 1, _reserved_zero),
        Rule("vectors 0 or from 31 on, reserved bits zero", 1, _statuses),
        Rule(
            "NoFurtherSignal set, as the host does when it signals",
            3,
            lambda page: bool(page.flags.no_further_signal),
        ),
        Rule("something is pending", 1, _something_pending),
        Rule("NoEoiRequired 0 or 1", 1, lambda page: page.no_eoi_required <= 1),
        Rule("events agree with descriptors", 3, _events_agree),
        Rule("vectors listed where they may be", 1, _lists_agree),
    ),
)


# --- VMSA ---------------------------------------------------------------------------------------------

_EFER_KNOWN = 0x2AFD01
"""Bits of EFER that processors with SEV-SNP have: SCE, LME, LMA, NXE, SVME, ..., AIBRSE."""
_LMA, _LME, _PG, _PE, _ET = 1 << 10, 1 << 8, 1 << 31, 1, 1 << 4
_PAT_TYPES = frozenset((0, 1, 4, 5, 6, 7))
_SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr")


def _long_mode(page: Vmsa) -> bool:
    """LMA exactly where LME and paging are on."""
    return bool(page.efer & _LMA) == bool(page.efer & _LME and page.cr0 & _PG)


def _attributes(page: Vmsa) -> bool:
    """Twelve bits each; CS has a present code segment."""
    within = all(getattr(page, name).attributes < 1 << 12 for name in _SEGMENTS)
    return within and page.cs.attributes & 0x98 == 0x98


def _pat(page: Vmsa) -> bool:
    return bool(page.g_pat) and all(kind in _PAT_TYPES for kind in page.g_pat.to_bytes(8, "little"))


VMSA = Kind(
    "vmsa",
    Vmsa,
    "EFER.SVME set, SEV-SNP on, VMPL 0 to 3",
    (
        Sieve(
            Vmsa,
            Condition("vmpl", Is.IN, range(4)),
            Condition("sev_features.snp_active", Is.SET, 1),
            Condition("efer", Is.SET, EFER_SVME),
        ),
    ),
    (
        Rule("EFER.SVME set, SEV-SNP on, VMPL 0 to 3", 1, lambda page: True),
        Rule("reserved areas zero", 4, _reserved_zero),
        Rule("EFER has known bits only", 2, lambda page: not page.efer & ~_EFER_KNOWN),
        Rule("EFER.LMA agrees with LME and paging", 1, _long_mode),
        Rule(
            "CR0 plausible",
            2,
            lambda page: (
                not page.cr0 >> 32
                and bool(page.cr0 & _ET)
                and bool(page.cr0 & _PE or not page.cr0 & _PG)
            ),
        ),
        Rule("CR4 plausible", 1, lambda page: not page.cr4 >> 32),
        Rule("RFLAGS plausible", 1, lambda page: page.rflags & 2 == 2 and not page.rflags >> 22),
        Rule("segment attributes plausible", 2, _attributes),
        Rule("SEV_FEATURES keeps its rules", 1, lambda page: _keeps(page.sev_features)),
        Rule("XCR0 has the x87 state", 1, lambda page: page.xcr0 & 1 == 1 and not page.xcr0 >> 63),
        Rule("PAT has known memory types", 1, _pat),
    ),
)


def _keeps(value: Structure) -> bool:
    return not value.problems()


# --- secrets page -------------------------------------------------------------------------------------

_KEYS = ("vmpck0", "vmpck1", "vmpck2", "vmpck3")
_RANDOM = 20
"""Different bytes in 32 of a random key, at least: fewer have a chance of 1 to 10 million."""


def _random(page: SecretsPage) -> bool:
    present = [key for key in (getattr(page, name) for name in _KEYS) if any(key)]
    return bool(present) and all(len(set(key)) >= _RANDOM for key in present)


def _svsm(page: SecretsPage) -> bool:
    if not page.svsm_size:
        return not page.svsm_base and not page.svsm_caa
    aligned = not (page.svsm_base % PAGE or page.svsm_size % PAGE or page.svsm_caa % PAGE)
    return aligned and page.svsm_base < 1 << 52 and 1 <= page.svsm_guest_vmpl <= 3


SECRETS = Kind(
    "secrets",
    SecretsPage,
    "version 1 to 4, areas beside the keys zero",
    (
        Sieve(
            SecretsPage,
            Condition("reserved_0x00c", Is.ZERO),
            Condition("version", Is.IN, range(1, 5)),
            Condition("reserved_0x0b8", Is.ZERO),
        ),
    ),
    (
        Rule("version 1 to 4, areas beside the keys zero", 1, lambda page: True),
        Rule("keys random or erased, and one there", 3, _random, must=True),
        # The first bytes of the last area may hold a launch mitigation vector (zyuiop/ghcb).
        Rule("rest of the page zero", 4, lambda page: not any(page.reserved_0x164[16:])),
        Rule("flags known", 1, lambda page: _keeps(page.flags)),
        Rule("family, model and stepping plausible", 1, lambda page: page.fms >> 28 == 0),
        Rule("SVSM fields plausible", 2, _svsm),
        Rule("TSC factor plausible", 1, lambda page: page.tsc_factor < 100_000),
    ),
)

KINDS = (GHCB, DOORBELL, VMSA, SECRETS)
