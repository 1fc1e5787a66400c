"""The functions of drgn: `vmgexit(NAME, ADDRESS)`, and the same from the command line:

drgn -p PID vmgexit-drgn.py ghcb 0x7f0000000000
"""

from __future__ import annotations

import sys

import drgn

from vmgexit.debugger.engine import Unreadable, show, size_of, word_bytes


def vmgexit(name: str, address: int, physical: bool = False, zeros: bool = False) -> None:
    """Print the structure `name` at `address` of the program; `zeros` shows fields that are 0, too."""
    size, address = size_of(name), int(address)
    try:
        data = drgn.get_default_prog().read(address, size, physical)
    except drgn.FaultError:
        raise Unreadable(f"cannot read {size} bytes at {address:#x}") from None
    print("\n".join(show(name, data, address, zeros)))


def vmgexit_word(name: str, value: int, zeros: bool = False) -> None:
    """Print a structure of up to 8 bytes that is held as the number `value`."""
    print("\n".join(show(name, word_bytes(name, int(value)), None, zeros)))


def command_line(words: list[str]) -> int:
    options = {"--physical", "-a"} & set(words)
    words = [word for word in words if word not in options]
    try:
        name, address = words
        vmgexit(name, int(address, 0), "--physical" in options, "-a" in options)
    except Unreadable as error:
        print(f"vmgexit: {error}", file=sys.stderr)
        return 2
    except ValueError:
        found = " ".join(words)
        print(f"vmgexit: NAME and ADDRESS expected, {found} found", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__" and len(sys.argv) > 1:
    sys.exit(command_line(sys.argv[1:]))
