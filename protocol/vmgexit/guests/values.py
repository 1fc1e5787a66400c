"""What a guest gives for an argument of a call.

Each kind of value says in words what it is (`said`), whether it `takes` a value, and which values a
guest `gives` in a small system. `before` are the arguments before it, RCX first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..wire.apic import ApicIcr, MessageType, Shorthand
from ..wire.page_size import PAGE

NMI = 2
"""The vector by which Linux calls an NMI, and which `Setting.vectors` means by it."""

U32 = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a guest makes a call: the APIC ids of its vCPUs, the vectors that it may send, and pages of
    its memory that nothing else uses."""

    apic_ids: tuple[int, ...] = (0,)
    vectors: tuple[int, ...] = ()
    pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some numbers."""

    said: str
    numbers: tuple[int, ...]

    def takes(self, value: int, before: tuple[int, ...]) -> bool:
        return value in self.numbers

    def gives(self, setting: Setting, before: tuple[int, ...]) -> Iterator[int]:
        yield from self.numbers


ZERO = OneOf("0", (0,))


@dataclass(frozen=True, slots=True)
class Anything:
    """Whatever the register holds: the guest sets none."""

    said: str = "whatever is there"

    def takes(self, value: int, before: tuple[int, ...]) -> bool:
        return True

    def gives(self, setting: Setting, before: tuple[int, ...]) -> Iterator[int]:
        yield 0


@dataclass(frozen=True, slots=True)
class Address:
    """A guest-physical address. `step` is its alignment, `not_multiple` what it is no multiple of."""

    said: str
    step: int = PAGE
    not_multiple: int = 0

    def takes(self, value: int, before: tuple[int, ...]) -> bool:
        excluded = bool(self.not_multiple) and not value % self.not_multiple
        return value > 0 and not value % self.step and not excluded

    def gives(self, setting: Setting, before: tuple[int, ...]) -> Iterator[int]:
        yield from (page for page in setting.pages if self.takes(page, before))


@dataclass(frozen=True, slots=True)
class PageAfter:
    """The page that follows the one in the argument before."""

    said: str = "the page after RCX"

    def takes(self, value: int, before: tuple[int, ...]) -> bool:
        return value == before[-1] + PAGE

    def gives(self, setting: Setting, before: tuple[int, ...]) -> Iterator[int]:
        yield before[-1] + PAGE


@dataclass(frozen=True, slots=True)
class ApicId:
    """The APIC id of a vCPU: 32 bits."""

    said: str = "an APIC id"

    def takes(self, value: int, before: tuple[int, ...]) -> bool:
        return value <= U32

    def gives(self, setting: Setting, before: tuple[int, ...]) -> Iterator[int]:
        yield from setting.apic_ids


@dataclass(frozen=True, slots=True)
class Icr:
    """An interrupt command: fixed from a lowest vector up, or an NMI with vector 0. Without a shorthand
    it goes to one APIC id in physical mode; with one of `shorthands` its destination is 0."""

    lowest: int
    shorthands: tuple[Shorthand, ...]
    said: str = field(init=False)

    def __post_init__(self) -> None:
        names = ", ".join(one.name for one in self.shorthands)
        said = f"fixed from {self.lowest:#x} or an NMI; physical, or shorthand {names}"
        object.__setattr__(self, "said", said)

    def takes(self, value: int, before: tuple[int, ...]) -> bool:
        icr = ApicIcr.of(value)
        shorthand = icr.shorthand
        if shorthand and (shorthand not in self.shorthands or icr.destination):
            return False
        is_nmi = icr.message_type == MessageType.NMI
        known = icr.vector == 0 if is_nmi else icr.vector >= self.lowest
        built = _icr(icr.vector, shorthand, icr.destination, is_nmi=is_nmi)
        return known and value == built

    def gives(self, setting: Setting, before: tuple[int, ...]) -> Iterator[int]:
        for vector in setting.vectors:
            is_nmi = vector == NMI
            if not is_nmi and vector < self.lowest:
                continue
            number = 0 if is_nmi else vector
            for apic_id in setting.apic_ids:
                yield _icr(number, Shorthand.NONE, apic_id, is_nmi=is_nmi)
            for shorthand in self.shorthands:
                yield _icr(number, shorthand, 0, is_nmi=is_nmi)


def _icr(vector: int, shorthand: int, destination: int, *, is_nmi: bool) -> int:
    kind = MessageType.NMI if is_nmi else MessageType.FIXED
    return int(
        ApicIcr(vector=vector, message_type=kind, shorthand=shorthand, destination=destination)
    )


Values = OneOf | Anything | Address | PageAfter | ApicId | Icr
