"""Base64 as tools print it: standard or for URLs, on one line or on lines of one length."""

from __future__ import annotations

import base64
import binascii
import re

LEAST = 22
"""Letters that a text must have to be taken for base64: 16 bytes."""

_LINE = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]+")  # digits of which one is missing or too many
_STANDARD = str.maketrans("-_", "+/")


def bytes_of(text: str) -> bytes | None:
    """What a text is the base64 of, as a whole; None for any other text."""
    lines = text.split("\n")
    words = [word for line in lines if (word := line.strip())]
    letters = "".join(words)
    if len(letters) < LEAST or not all(map(_LINE.fullmatch, words)) or _HEX.fullmatch(letters):
        return None
    if len({len(word) for word in words[:-1]}) > 1 or "=" in letters.rstrip("="):
        return None
    try:
        padded = letters.rstrip("=").translate(_STANDARD)
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except binascii.Error:
        return None
