"""The documentation site: what is written here, what is generated from the tables, and Sphinx.

usage: python specs/site/build.py OUTPUT

Sources are put together in a folder of their own: the pages beside this file, the documents of specs/, and
pages that are made from tables (`reference.py`). A command that is shown is run while the site is built, by
the directives of `shown.py`. Whatever fails, a command or a link, fails the build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import reference  # noqa: E402 - it stands beside this file

NOT_SOURCES = {"build.py", "reference.py", "shown.py", "whereabouts.py", "__pycache__"}
_ELSEWHERE = ("corpus",)
"""What documents of specs/ link to beside it."""
_TO_FOLDER = re.compile(r"\[[^\]]*\]\((peers)/?\)")


def main(output: Path) -> int:
    """Build the site into `output`; Sphinx's exit code."""
    with tempfile.TemporaryDirectory(prefix="vmgexit-site-") as folder:
        source = Path(folder)
        put_together(source)
        words = ["-b", "html", "-W", "--keep-going", "-q", "-d", str(source / "doctrees")]
        words += ["-c", str(HERE), str(source / "pages"), str(output)]
        code = subprocess.run([sys.executable, "-m", "sphinx", *words], cwd=ROOT).returncode
    made = subprocess.run(
        [sys.executable, "-m", "vmgexit", "page", "-o", str(output / "decoder.html")], cwd=ROOT
    ).returncode
    if not (code or made):
        print(f"open {output / 'index.html'}")
    return code or made


def put_together(folder: Path) -> None:
    """All sources under `folder/pages`, with what they link to beside."""
    pages = folder / "pages"
    for path in sorted(HERE.iterdir()):
        if path.name in NOT_SOURCES or path.name == "conf.py":
            continue
        if path.is_dir():
            shutil.copytree(path, pages / path.name)
        else:
            pages.mkdir(exist_ok=True)
            shutil.copy(path, pages)
    specs = pages / "specs"
    shutil.copytree(ROOT / "specs", specs, ignore=shutil.ignore_patterns("site", "*.docx"))
    for name in _ELSEWHERE:
        (pages / name).symlink_to(ROOT / name)
    for path in specs.rglob("*.md"):
        # They are reached by their own links; in the sidebar of each page they would be most of it.
        text = _TO_FOLDER.sub(r"`specs/\1`", path.read_text())
        path.write_text(f"---\norphan: true\n---\n\n{text}")
    reference.write(pages / "reference")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
