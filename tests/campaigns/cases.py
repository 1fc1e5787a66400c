"""What is to be found: every quirk of the machine and of a host alone, and every planted bug."""

from __future__ import annotations

from dataclasses import dataclass

from vmgexit_fuzz.targets import Conditions

# Quirks that no search can find alone, and why.
LEFT_OUT = {
    "level-vector-zero": "shows only where vector 0 is allowed, which is the quirk allow-below-31",
    "unmarked-registers-zeroed": "shows only in registers that come back, by registers-always-returned",
}
BY_THE_HOST = frozenset(
    {
        "taken-page-panics",
        "legacy-range-not-cleared",
        "validated-twice",
        "nonce-reused",
        "stale-report",
    }
)
"""Quirks of a machine with memory that only a host shows which does what no honest one does."""
QUICK = ("ppr-keeps-low-nibble", "ldr-not-readable", "nmi-never-cleared")
"""Found within a second by anything that works."""


@dataclass(frozen=True, slots=True)
class Case:
    """One bug, and how a target is run with it: under `profile`, after calling `plant`."""

    name: str
    target: str
    profile: str = "reference"
    plant: str = ""

    @property
    def conditions(self) -> Conditions:
        """Under what its target runs."""
        return Conditions(self.profile, self.plant)


def cases() -> dict[str, Case]:
    """Every case by name."""
    from vmgexit.hosts import quirks as host_quirks
    from vmgexit.machine import quirks

    from .planted import bugs

    seen_alone = (name for name in quirks.WITHOUT_MEMORY if name not in LEFT_OUT)
    found = [Case(name, "scenario", profile=name) for name in seen_alone]
    for name in quirks.MEMORY:
        target = "svsm-hostile" if name in BY_THE_HOST else "svsm"
        found.append(Case(name, target, profile=name))
    of_hosts = (name for name in host_quirks.names() if name not in LEFT_OUT)
    found += [Case(name, "ghcb-host", profile=name) for name in of_hosts]
    found += [Case(bug.name, bug.target, plant=bug.place) for bug in bugs().values()]
    return {case.name: case for case in found}
