"""Layouts as input of WaveDrom's bit-field: one picture in lanes of 32 bits, lowest bit right.

bit-field has no block for what is left out. Of a field of more than two whole lanes, one lane is drawn
that says how many bytes it stands for, and offsets stand beside the lanes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..document import printable
from ..lanes import LANE, Box, lanes
from ..subjects import Subject, classes
from ..table import sheet

_RESERVED = 1  # bit-field shades it
_FONT = 12  # pixels
_LANE_WIDTH = 1024  # pixels


def render(subjects: Sequence[Subject]) -> str:
    """The picture of the one structure in `subjects`, without what is nested in it."""
    [cls] = classes(subjects)
    table = sheet(cls).tables[0]
    fields: list[dict[str, Any]] = []
    labels: list[str] = []
    for lane in lanes(table):
        drawn = 2 if lane.height == 2 else 1
        labels += [lane.label] + [""] * (drawn - 1)
        for box in lane.boxes:
            width = LANE * drawn if lane.height > 1 else box.width
            fields.append({"bits": width, **_told(box, left_out=lane.height > 2)})
        short = LANE - sum(box.width for box in lane.boxes) if lane.height == 1 else 0
        if short and not (table.is_bits and cls.size < LANE // 8):
            fields.append({"bits": short, "type": _RESERVED})
    bits = sum(field["bits"] for field in fields)
    config: dict[str, Any] = {"bits": bits, "lanes": len(labels), "hflip": True}
    config |= {"hspace": _LANE_WIDTH, "fontsize": _FONT}
    if not table.is_bits:
        # The bits of memory are counted within a lane, and the lanes by their offset.
        config |= {"compact": True, "label": {"left": [text or " " for text in labels]}}
        config["margin"] = {"left": 60}
    return json.dumps({"reg": fields, "config": config}, indent=1, ensure_ascii=False) + "\n"


def _told(box: Box, *, left_out: bool) -> dict[str, Any]:
    """A field; bit-field takes `<b>` and its like in a name for markup."""
    name = f"{box.row.name}, {box.row.bytes}" if left_out else box.names()[0]
    told: dict[str, Any] = {"name": printable(name).replace("<", "‹").replace(">", "›")}
    return told | {"type": _RESERVED} if box.row.is_reserved else told
