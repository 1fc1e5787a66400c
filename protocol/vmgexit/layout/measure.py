"""The greatest width of a text, for a drawing that does not know its reader's fonts.

The widths are those of DejaVu Sans and Verdana, the widest of the usual sans-serif faces, rounded up:
a label that fits by them fits in Arial, Helvetica, Roboto or Segoe as well.
"""

from __future__ import annotations

_WIDTHS = (  # in hundredths of the font size
    (35, "ijl'"),
    (40, " ,.ft"),
    (46, 'IJ:;/\\|-()[]!r"'),
    (58, "sz?cLF"),
    (61, "kvxyP"),
    (65, "abdeghnopqu_*`$0123456789{}TYSE"),
    (70, "KAVXZBRC"),
    (79, "UNHDGOQ&"),
    (84, "w#+<=>^~"),
    (87, "M"),
    (100, "mW@%"),
)
_SANS = {letter: width / 100 for width, letters in _WIDTHS for letter in letters}
_WIDEST = 1.0  # of a letter that is not listed
_MONOSPACE = 0.61


def width(text: str, size: float, *, monospace: bool = False) -> float:
    """At most how wide `text` is drawn at font size `size`."""
    if monospace:
        return len(text) * _MONOSPACE * size
    return sum(_SANS.get(letter, _WIDEST) for letter in text) * size


def wrapped(text: str, size: float, limit: float) -> list[str]:
    """`text` in lines no wider than `limit`, broken at spaces, and within a word only if it must be."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if width(longer, size) <= limit:
            lines[-1] = longer
            continue
        lines.append("")
        for letter in word:
            if width(lines[-1] + letter, size) > limit:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line]
