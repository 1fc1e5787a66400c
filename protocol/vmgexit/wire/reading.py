"""A point on which sources differ, as the tables of `readings` have it.

A row that names a field becomes a note on every value in which that field is not zero, but for the
values that both readings take alike. A row that
names exit codes becomes a note on every GHCB page with one of those codes. A row that names a
revision says that the other reading is declared under that name. Sources are named by project: KVM
and Linux by file where it matters; `mail` is a public list.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """One point on which sources differ. `field` is a path within the structure `of`."""

    topic: str
    chosen: str  # what the declarations here read
    other: str
    source: str  # "who reads it as chosen / who reads it otherwise"
    of: str = ""  # the structure's name
    field: str = ""
    codes: tuple[int, ...] = ()  # exit codes that it is about
    alike: Container[int] = ()  # values of the field that mean the same in both readings
    revision: str = ""  # under which the other reading is declared

    @property
    def readings(self) -> str:
        """Both readings, for a note on the field that they are about."""
        return f"read as {self.chosen}; otherwise {self.other} ({self.source})"

    def __str__(self) -> str:
        return f"{self.topic}: {self.chosen}; otherwise {self.other} ({self.source})"


def named(fields: tuple[str, ...], of: str, other: str, source: str) -> Iterator[Reading]:
    """A row for each field that one source names and another does not."""
    for field in fields:
        topic = f"{of} {field}"
        yield Reading(topic, "a field of this name", other, source, of=of, field=field)
