"""Campaigns' folders made by hand, and reports as a browser sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.checkout import QUIRKS
from vmgexit_fuzz.report import write
from vmgexit_fuzz.targets import find

QUIRK = "handoff-drops-vector-31"
SCENARIO = (QUIRKS / f"{QUIRK}.jsonl").read_text()
START = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></pre></details><h1>&amp;&lt;",
    "{{ 7 * 7 }}{% raw %}",
    "\x00\x07\x1b[31m\x7f\x85",
    "user\u202egnp.exe\u2066\u2069\u200f\u2028\ufeff",
    "\ud800 \udcff",
    "javascript:alert(1) https://example.invalid/",
]


def campaign(
    folder: Path,
    *,
    target: str = "scenario",
    text: str = "",
    seeds: int = 0,
    workers: int = 2,
    **about: Any,
) -> Path:
    """A campaign's folder, resumed once. `text` stands in every text of a stranger's making."""
    told = {"target": target, "profile": "reference", "plant": text, "peer": text, "created": START}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "campaign.json").write_text(json.dumps({"format": 1, **told, **about}))
    for name in ("corpus", "statistics", "findings", "logs"):
        (folder / name).mkdir()
    for path in sorted(find("scenario").seeds.iterdir())[:seeds]:
        (folder / "corpus" / path.stem).write_bytes(path.read_bytes())
    for worker in range(workers):
        lines = "".join(json.dumps(line) + "\n" for line in statistics(worker, text))
        (folder / "statistics" / f"{worker}.jsonl").write_text(f'{lines}{{"at": 17')
        (folder / "logs" / f"{worker}.log").write_bytes(
            f"log {text}".encode(errors="replace") + b"\xff"
        )
    finding(folder, "plain", known=True, text=text)
    finding(folder, "news", known=False, text=text)
    (folder / "findings" / "torn.json").write_text('{"id": "to')
    return folder


def statistics(worker: int, kind: str) -> Iterator[dict[str, Any]]:
    """20 lines, with an hour of pause in the middle."""
    for number in range(20):
        yield {
            "at": START + 2 * number + 2 + (3600 if number >= 10 else 0),
            "kind": kind or ("random", "state")[worker % 2],
            "worker": worker,
            "seconds": 2.0,
            "inputs": 100,
            "steps": 1000,
            "restarts": 0,
            "coverage": 100 + 10 * number if worker else 0,
            "corpus": 10 * number,
            "causes": number // 10,
            "samples": 100 * number,
            "species": 40,
            "singletons": 3,
            "incidences": 1000 * number,
        }


def finding(folder: Path, name: str, *, text: str = "", commands: str = "", **more: Any) -> None:
    """A finding with a text that is no UTF-8."""
    told = {
        "id": "elsewhere",
        "count": 3,
        "first": START + 5,
        "last": START + 6,
        "size": 72,
        **more,
    }
    for key in ("cause", "message", "invariant", "clause", "meaning", "place", "kind"):
        told[key] = f"{key} of {name} {text}"
    path = folder / "findings" / f"{name}.json"
    path.write_text(json.dumps(told))
    if commands:
        path.with_suffix(".jsonl").write_text(commands)
    path.with_suffix(".txt").write_bytes(
        f"-> step {text}\n".encode(errors="replace") + b"\xc3\x28\xff"
    )


class Page(HTMLParser):
    """What a browser would see of a page: elements with their attributes, text, and that they nest."""

    VOID = ("meta", "line", "rect", "path")

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.raw = data.decode()
        self.feed(self.raw)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        self.text += " "
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.text += " "
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(folder: Path, **more: Any) -> Page:
    return Page(write(folder, folder / "report.html", **more).read_bytes())
