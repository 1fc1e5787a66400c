"""The page: the sections, drawn by the template.

Everything that the template prints is escaped twice: Jinja lets no text become markup, and
`text.visible` lets no character hide. Sequence charts are markup of our own making (`drawn`). The page's
own policy forbids scripts and requests.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .drawn import STYLE, drawn
from .load import load
from .replay import replayed
from .sections import Subject, about, head, sections, utc, verdict
from .text import one_line, visible


def render(directory: Path, seconds: float, refresh: int = 0) -> bytes:
    """The page about the campaign in `directory`, in UTF-8; its corpus is replayed for `seconds` at
    most. It asks to be read again after `refresh` seconds, unless they are 0. Raises VmgexitError."""
    campaign = load(directory)
    replay = None
    if campaign.target.is_program:
        replay = replayed(
            campaign.corpus, campaign.target.name, campaign.profile, seconds, campaign.guest
        )
    subject = Subject(campaign, replay, drawn(campaign))
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            chart_style=Markup(STYLE),
            refresh=refresh,
            title=f"{campaign.target.name}, profile {campaign.profile}",
            verdict=verdict(subject),
            alarm=any(not found.record.known for found in campaign.findings),
            about=about(subject),
            head=list(head(subject)),
            sections=list(sections(subject)),
        )
        .encode()
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"one_line": one_line, "utc": utc}
    return environment
