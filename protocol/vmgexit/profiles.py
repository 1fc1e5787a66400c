"""Quirks and profiles: how each kind of machine names its departures, and turns sets of them on.

A frozen dataclass has one switch for each quirk, all off in the reference. `machine.quirks` is the table of
an SVSM, `hosts.quirks` that of a GHCB host. A profile has the quirks that were seen in one implementation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from .errors import UsageError

Q = TypeVar("Q")


def switch(**metadata: Any) -> Any:
    """A switch of a table of quirks, off unless it is named. Its metadata has `happens` and `seen`."""
    return dataclasses.field(default=False, metadata=metadata)


class Profiles(Generic[Q]):
    """The quirks of one kind of machine by name, and its profiles."""

    def __init__(self, quirks: type[Q], of: str, seen: Mapping[str, tuple[str, ...]]) -> None:
        """`of` is the machine in words; `seen` says for each profile where its quirks were seen."""
        self._quirks = quirks
        self._rows = {  # of each quirk, by its name
            field.name.replace("_", "-"): field.metadata
            for field in dataclasses.fields(quirks)  # type: ignore[arg-type]
        }
        self._of = of
        self._seen = seen

    @property
    def all(self) -> tuple[str, ...]:
        """The names of the profiles."""
        return ("reference", *self._seen)

    def names(self, *, seen: str = "") -> tuple[str, ...]:
        """Every quirk by the name used on the command line: `handoff-drops-vector-31`."""
        return tuple(name for name, row in self._rows.items() if seen in ("", row["seen"]))

    def happens(self, name: str) -> str:
        """What happens with a quirk, as its row says."""
        return str(self._rows[name]["happens"])

    def named(self, quirks: Q) -> tuple[str, ...]:
        """The names of the quirks that are on."""
        return tuple(name for name in self.names() if getattr(quirks, name.replace("-", "_")))

    def only(self, *wanted: str) -> Q:
        """The profile with just these quirks, named as on the command line."""
        unknown = [name for name in wanted if name not in self._rows]
        if unknown:
            raise UsageError(f"unknown quirk {unknown[0]}; there are {', '.join(self._rows)}")
        return self._quirks(**{name.replace("-", "_"): True for name in wanted})

    def of_profile(self, name: str) -> tuple[str, ...]:
        """The names of the quirks of a profile that has some."""
        return tuple(one for seen in self._seen[name] for one in self.names(seen=seen))

    def profile(self, name: str) -> Q:
        """The quirks of a profile: `reference`, another profile, or quirk names joined by commas."""
        if name == "reference":
            return self._quirks()
        if name in self._seen:
            return self.only(*self.of_profile(name))
        try:
            return self.only(*name.split(","))
        except UsageError:
            raise UsageError(
                f"unknown profile {name}; expected {', '.join(self.all)}, or quirks of {self._of}"
                " joined by commas"
            ) from None
