"""vmgexit: the wire protocol of AMD SEV-SNP guests (GHCB and SVSM), executable.

    >>> from vmgexit import DoorbellPage
    >>> page = DoorbellPage.decode(bytes.fromhex("61810102") + bytes(4092))
    >>> page.flags.no_further_signal, page.per_vmpl_events.vmpl2
    (True, True)

Every structure has `decode(data)`, `encode()`, `problems()` and `size`. The declarations are in
`vmgexit.wire`, what a declaration is in `vmgexit.schema`. The public names are in `__init__.pyi`, each
with the chapter that is imported when the name is first asked for: a program pays for what it reads
and not for the whole protocol.
"""

from __future__ import annotations

import functools
import re
from importlib import import_module
from typing import Any


@functools.cache
def _homes() -> dict[str, str]:
    """Every public name, and the module it is in."""
    with open(f"{__file__}i", encoding="utf-8") as stub:
        imported = re.findall(r"^from (\S+) import (\w+) as", stub.read(), re.MULTILINE)
    return {name: home for home, name in imported}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return list(_homes())
    if name not in _homes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_homes()[name], __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})
