"""hypothesis strategies for what crosses between guest, SVSM and host.

`values` gives any value of a structure, `sound` those without problems, `broken` those that break exactly
one rule, with the problem; `calls` gives the registers of SVSM calls, `command` and `scenarios` what the
machine carries out::

    @given(strategies.broken(ExtIntStatus))
    def test_my_host_refuses_it(case: tuple[ExtIntStatus, Problem]) -> None: ...

All of them are derived from the declarations: the walk over a structure, its own `problems`, the examples
of exits, the tables of calls, and the descriptions of commands.
"""

from .scenarios import calls, command, scenarios
from .structures import broken, images, sound, values

__all__ = ["broken", "calls", "command", "images", "scenarios", "sound", "values"]
