"""The findings of a campaign as sequence charts, drawn in a process of its own, with a time limit.

A scenario of a stranger may hang, or end the process that runs it: what was drawn until then is used. No
planted bug and no peer is run. Nothing of a folder becomes markup: commands are checked, recorded answers
and labels are left out, and of the record only its message is written, as text.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vmgexit.diagrams.charts import charted, svg
from vmgexit.diagrams.charts.chart import Chart, Mark, Note
from vmgexit.diagrams.charts.grid import NARROW
from vmgexit.diagrams.sheet import STYLE
from vmgexit.errors import ScenarioError, VmgexitError
from vmgexit.hosts.scenario import sequence_of
from vmgexit.machine.scenario import sequences
from vmgexit.read.streams import lines
from vmgexit.sequences import Sequence

from .load import Found, Loaded
from .replay import limited
from .text import decoded, one_line, visible

__all__ = ["STYLE", "Drawn", "drawn"]

MOST_CHARTS = 60  # on one page
MOST_COMMANDS = 40  # of one chart: the last
_SECONDS, _ALL_SECONDS = 5.0, 60.0
_FITS = 450  # pixels of width: such a chart is made smaller on a phone, and a wider one is scrolled
_LONGEST = 400  # characters of a message


@dataclass(frozen=True, slots=True)
class Drawn:
    """One finding's chart; or why there is none."""

    svg: Markup
    why: str
    is_wide: bool


def drawn(campaign: Loaded) -> dict[str, Drawn]:
    """The charts of the first findings that are scenarios, by the findings' names."""
    wanted = [found for found in campaign.findings if found.commands is not None][:MOST_CHARTS]
    if not wanted:
        return {}
    orders = [_order(found, campaign) for found in wanted]
    try:
        done = subprocess.run(
            # -P: a module in the current folder is not ours.
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps(orders).encode(),
            capture_output=True,
            timeout=_ALL_SECONDS,
            check=False,
        )
        said = done.stdout
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
    told = {one["id"]: one for one in map(json.loads, said.splitlines())}
    nothing = {"svg": "", "why": "drawing it did not come to an end", "is_wide": False}
    return {order["id"]: _of(told.get(order["id"], nothing)) for order in orders}


def _order(found: Found, campaign: Loaded) -> dict[str, Any]:
    record = found.record
    return {
        "id": record.id,
        "path": str(found.commands),
        "profile": campaign.profile,
        "message": one_line(record.message.removesuffix(f" ({record.meaning})"))[:_LONGEST],
    }


def _of(told: dict[str, Any]) -> Drawn:
    return Drawn(Markup(visible(told["svg"])), told["why"], told["is_wide"])


def main() -> None:
    """The process: orders on standard input, a JSON object for each on standard output, at once."""
    for order in json.load(sys.stdin):
        told = {
            "id": order["id"],
            "svg": "",
            "why": f"it takes more than {_SECONDS:g} s",
            "is_wide": False,
        }
        with limited(_SECONDS):
            told |= _drawing(order)
        print(json.dumps(told), flush=True)


def _drawing(order: dict[str, Any]) -> dict[str, Any]:
    try:
        chart = _chart(order)
    except VmgexitError as error:
        return {"why": one_line(str(error))}
    except Exception as error:  # a finding may be an error of our own code
        return {"why": one_line(f"{type(error).__name__}: {error}")[:_LONGEST]}
    picture = svg.render(chart, NARROW, style="")
    width = int(picture.partition(' width="')[2].partition('"')[0])
    return {"svg": picture, "why": "", "is_wide": width > _FITS}


def _chart(order: dict[str, Any]) -> Chart:
    sequence = next(_sequences(order["path"]), None)
    if sequence is None:
        raise ScenarioError("no command found")
    count = len(sequence.commands)
    chart = charted(
        sequence, order["profile"], first=max(count - MOST_COMMANDS, 0), title="Sequence chart"
    )
    if any(item.mark is Mark.BROKEN for item in chart.items) or not order["message"]:
        return chart
    note = Note(count - 1, None, f"found: {order['message']}", Mark.BROKEN)
    return replace(chart, items=(*chart.items, note))


def _sequences(path: str) -> Iterator[Sequence]:
    """The sequences of a file, without recorded answers and labels, which nobody checked."""
    name = decoded(Path(path).stem.encode(errors="surrogateescape"))
    for sequence in sequences(lines(path), one_line(name), sequence_of):
        sequence.answers = [None] * len(sequence.commands)
        sequence.kind = ""
        yield sequence


if __name__ == "__main__":
    main()
