"""Where the states and edges of a diagram stand: what Graphviz's `dot` says."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from ...errors import VmgexitError
from . import dot
from .diagram import States

PROGRAM, PACKAGE = "dot", "graphviz"
_SECONDS = 60
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in pixels, from the top left. Middles of states, in their order, and of labels; of each edge
    the curve, as control points of Bezier pieces, and the tip of its arrow. `start` is the mark of the
    initial state."""

    width: float
    height: float
    start: Point
    entry: tuple[Point, ...]
    states: tuple[Point, ...]
    edges: tuple[tuple[Point, ...], ...]
    labels: tuple[Point, ...]


def laid_out(diagram: States) -> Layout:
    """The layout. Raises VmgexitError where dot is missing or fails."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise VmgexitError(
            f"{PROGRAM} is not installed: SVG drawings of states need it (Debian: apt install {PACKAGE});"
            " mermaid, dot and json do not"
        )
    done = subprocess.run(
        [program, "-Tjson0"],
        input=dot.sized(diagram).encode(),
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise VmgexitError(f"{program}: exit code {done.returncode}: {said}")
    return _read(json.loads(done.stdout), len(diagram.states))


def _read(told: dict[str, Any], states: int) -> Layout:
    _, _, width, height = map(float, told["bb"].split(","))

    def point(text: str) -> Point:
        x, y = map(float, text.split(","))
        return x, height - y

    named = {one["name"]: one for one in told["objects"]}
    edges = {one["id"]: one for one in told["edges"] if "id" in one}
    ordered = [edges[f"e{number}"] for number in range(len(edges))]
    [entry] = [one for one in told["edges"] if "id" not in one]
    return Layout(
        width,
        height,
        point(named[dot.START]["pos"]),
        tuple(map(point, _curve(entry))),
        tuple(point(named[f"n{number}"]["pos"]) for number in range(states)),
        tuple(tuple(map(point, _curve(one))) for one in ordered),
        tuple(point(one["lp"]) for one in ordered),
    )


def _curve(edge: dict[str, Any]) -> list[str]:
    """The control points, and last the tip."""
    tip, *points = edge["pos"].split()
    return [*points, tip.removeprefix("e,")]
