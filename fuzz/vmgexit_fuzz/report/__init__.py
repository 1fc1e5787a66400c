"""One self-contained HTML page about a campaign, made from its folder alone.

`load` reads the folder. `replay` runs the corpus again, and `reach` counts what the corpus
reaches. `sections` turns all this into data, and `page.html.j2` draws it. The page needs no network
and no script. The same folder always gives the same page. The page treats everything in the folder
as text.
"""

from __future__ import annotations

from pathlib import Path

REPLAY_SECONDS = 60.0


def write(
    directory: Path, output: Path, *, seconds: float = REPLAY_SECONDS, refresh: int = 0
) -> Path:
    """Write the page about the campaign in `directory` to `output`, and return `output`. A browser reads
    it again after `refresh` seconds, unless they are 0.

    The corpus is replayed for `seconds` at most; the page says how much of it was. Raises VmgexitError
    when `directory` is no campaign's or one of a newer version, OSError where it cannot be written.
    """
    # The replay imports this package before the machine, which it is to see imported.
    from vmgexit.files import write as write_file

    from .page import render

    return write_file(output, render(directory, seconds, refresh))
