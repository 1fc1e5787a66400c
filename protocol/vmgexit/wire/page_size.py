"""The two sizes of a page, by which addresses are aligned and lists of pages are counted."""

from __future__ import annotations

PAGE = 4096
LARGE_PAGE = 2 << 20
PAGES_IN_LARGE = LARGE_PAGE // PAGE
