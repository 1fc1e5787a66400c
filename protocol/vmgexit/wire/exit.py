"""What a row of `exits` says: what an exit takes, how its words are laid out, what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from ..schema import Bits
from .exit_codes import ExitCode
from .page_state import PscEntry, PscRequest

KVM = "KVM arch/x86/kvm/svm/sev.c; edk2 CcExitVcHandler.c"
"""Where the row of an exit was read off, unless it says otherwise."""


class Where(Enum):
    """Where an exit code can stand."""

    GHCB = "guest to host, in a GHCB"
    VMSA = "processor to host or SVSM, in a VMSA"
    EXCEPTION = "processor to guest, error code of #VC"
    NOWHERE = "reserved, never on the wire"


class Page(Protocol):
    """What conditions look at; a `GhcbPage` is one."""

    @property
    def sw_exit_info_1(self) -> int: ...

    @property
    def sw_exit_info_2(self) -> int: ...

    @property
    def rax(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Need:
    """A field of the GHCB that a request must mark valid; with `test`, only where it holds."""

    field: str
    when: str = ""  # `test` in words
    test: Callable[[Page], bool] | None = None

    def applies(self, request: Page) -> bool:
        return self.test is None or self.test(request)


@dataclass(frozen=True, slots=True)
class Return:
    """A field that an answer marks valid; with `test`, only where it holds of request and answer."""

    field: str
    when: str = ""  # `test` in words
    test: Callable[[Page, Page], bool] | None = None

    def applies(self, request: Page, answer: Page) -> bool:
        return self.test is None or self.test(request, answer)


@dataclass(frozen=True, slots=True)
class Example:
    """What a guest could ask of an exit: both information words, the buffer, further fields."""

    info1: int = 0
    info2: int = 0
    buffer: bytes | tuple[PscEntry, ...] = b""  # or the entries of a page state change
    fields: Mapping[str, int] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """What the shared buffer begins with."""
        if isinstance(self.buffer, bytes):
            return self.buffer
        return PscRequest(entries=list(self.buffer)).encode()


@dataclass(frozen=True, slots=True)
class Word:
    """An information word. With neither layout nor `value` nobody looks at it; guests send 0."""

    meaning: str = "0"
    layout: type[Bits] | None = None
    value: bool = False  # a number that the row's own rules judge, such as an address
    is_code: bool = False  # the number is an exit code


@dataclass(frozen=True, slots=True)
class Exit:
    """One exit code."""

    code: ExitCode
    meaning: str
    needs: tuple[Need, ...] = ()
    may: tuple[str, ...] = ()  # fields that a guest may mark valid as well
    info1: Word = Word()
    info2: Word = Word()
    buffer: str = ""  # what SW_SCRATCH leads to; "" = not used
    returns: tuple[Return, ...] = ()  # fields of the answer
    result: Word = Word()  # SW_EXITINFO2 of an answer with status 0
    since: int = 1  # version of the GHCB standard
    feature: str = ""  # bit of HypervisorFeatures that announces it
    where: Where = Where.GHCB
    source: str = KVM
    clause: str = ""
    examples: tuple[Example, ...] = (Example(),)

    @property
    def name(self) -> str:
        return self.code.name

    @property
    def direction(self) -> str:
        return self.where.value

    @property
    def fields_in(self) -> tuple[str, ...]:
        """Fields that a request may need, with the condition in words."""
        return tuple(_conditional(need) for need in self.needs)

    @property
    def fields_out(self) -> tuple[str, ...]:
        """Fields that an answer may return, with the condition in words."""
        return tuple(_conditional(returned) for returned in self.returns)


def _conditional(entry: Need | Return) -> str:
    return f"{entry.field} ({entry.when})" if entry.when else entry.field
