"""JSON lines: a scenario as a recording has it, a structure as its bytes and its fields.

A finding's record stands beside its commands as `finding`, and its input as `data`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from vmgexit.layout.naming import label
from vmgexit.sequences import HOST

from ..cases import Case


def render(cases: Sequence[Case]) -> dict[str, bytes]:
    """One line for each case."""
    return {"exported.jsonl": "".join(json.dumps(_entry(case)) + "\n" for case in cases).encode()}


def _entry(case: Case) -> dict[str, Any]:
    entry: dict[str, Any] = {"seq": case.name, "about": case.about}
    if case.record is not None:
        entry |= {"finding": dataclasses.asdict(case.record), "data": case.data.hex()}
    if case.sequence is not None:
        kind = HOST if case.sequence.machine == HOST else case.sequence.kind
        steps = [{"cmd": command, "ans": answer} for command, answer in case.steps]
        return entry | ({"kind": kind} if kind else {}) | {"ops": steps}
    assert case.structure is not None
    value = case.structure.decode(case.data)
    named = {"structure": label(case.structure), "hex": case.data.hex()}
    return entry | named | {"fields": value.as_dict()}
