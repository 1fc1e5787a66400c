"""`vmgexit layout --diff`: what a draft changed, as a table or as a picture."""

from __future__ import annotations

from pathlib import Path

from .. import files
from ..errors import UsageError
from ..layout import pages
from ..layout.changes import history, picture, table
from ..layout.changes.compared import layout_of

FORMATS = {"text": table.text, "md": table.markdown, "svg": picture.render}


def run(names: list[str], format: str | None, output: str | None) -> int:
    """Compare two revisions, or every revision of one structure with the one before it.

    Raises UsageError for a format that shows no changes, and for any other number of names.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"--diff has no format {format}; there are {', '.join(FORMATS)}")
    if len(names) == 1 and output:
        files.check_folder_of(Path(output))
        made = {file: text.encode() for file, text in history.pages(names[0]).items()}
        for path in pages.write(Path(output), made):
            print(path)
        return 0
    render = FORMATS[format or "text"]
    if len(names) == 1:
        shown = [render(before, after) for before, after in history.steps(names[0])]
    elif len(names) == 2:
        shown = [render(layout_of(names[0]), layout_of(names[1]))]
    else:
        raise UsageError(f"--diff compares two revisions or all of one NAME, not {len(names)}")
    if output:
        print(files.write_output(Path(output), shown[0].encode()))
    else:
        print("\n".join(shown), end="")
    return 0
