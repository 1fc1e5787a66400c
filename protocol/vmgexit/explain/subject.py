"""A subject: something that has a name or a number, and a page of manual."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..schema import Field

Rows = list[tuple[str, str]]
"""The page: a label, and what is said under it. Rows that say nothing are left out."""


@dataclass(frozen=True, slots=True, eq=False)  # each of those below is itself only
class Kind:
    """A kind of subject. `prior`: how likely a bare number is meant so, before it is looked at."""

    name: str
    prior: int
    why: str  # what speaks for a number of this kind


EXIT = Kind("exit", 9, "exit codes are what logs and traces name most often")
PROCESSOR_EXIT = Kind("exit of the processor", 3, "a VMSA or VMCB holds it as its exit code")
MSR_MESSAGE = Kind("GHCB MSR message", 7, "bits 11:0 of a GHCB MSR value")
RESULT = Kind("SVSM result code", 8, "RAX after a call holds it")
CALL = Kind("SVSM call", 6, "RAX of a call holds protocol and call")
REASON = Kind("termination reason", 4, "a termination names it within its set")
FIRMWARE = Kind("firmware status", 5, "the low half of SW_EXITINFO2 after a guest request holds it")
MSR = Kind("MSR", 9, "it is read and written by this number")
CODE = Kind("code", 3, "a field with named values holds it")
BIT = Kind("bit", 2, "a word with only this bit set has this value")
GUID = Kind("GUID", 9, "a table or manifest holds it")
STRUCTURE = Kind("structure", 0, "")
FIELD = Kind("field", 0, "")


@dataclass(frozen=True, slots=True)
class Subject:
    """One entry of the manual. `place`: what it belongs to, where several have its name."""

    kind: Kind
    name: str
    title: str
    make: Callable[[], Rows]
    number: int | None = None
    place: str = ""
    names: tuple[str, ...] = ()  # other spellings
    field: Field | None = None  # the declaration of a field

    @property
    def heading(self) -> str:
        """`SNP_RUN_VMPL, exit 0x80000018`."""
        number = "" if self.number is None else f" {self.number:#x}"
        of = f" of {self.place}" if self.place else ""
        return f"{self.name}, {self.kind.name}{number}{of}"

    def rows(self) -> Rows:
        return [("what", self.title), *((label, text) for label, text in self.make() if text)]


_PREFIXES = (
    "svmvmgexit",
    "svmexit",
    "vmexit",
    "ghcbmsr",
    "ghcbsevterm",
    "ghcbterm",
    "ghcbhvft",
    "ghcbinfo",
    "sevterm",
    "sevret",
    "svsmerr",
    "svsmcore",
    "svsm",
    "svmsevfeat",
    "snpmsg",
    "ghcb",
    "sev",
    "snp",
)
"""What projects put before names; without it a name is found too."""

_NO_LETTER = re.compile(r"[\W_]+")


def plain(name: str) -> str:
    """A name without what spellings differ in: `SNP_RUN_VMPL`, `snp-run-vmpl`, `SnpRunVmpl`."""
    return _NO_LETTER.sub("", name).casefold()


def spellings(name: str) -> list[str]:
    """`name` plain, and without the prefixes of projects: the first is the best."""
    found = [plain(name)]
    if found[0].startswith(_PREFIXES):  # few names do
        for prefix in _PREFIXES:
            found += [each.removeprefix(prefix) for each in found if each.startswith(prefix)]
    return [each for each in dict.fromkeys(found) if each]
