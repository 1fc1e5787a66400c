"""The commands of GDB: `vmgexit-NAME ADDRESS` for each structure, and `vmgexit-word NAME VALUE`."""

from __future__ import annotations

import gdb

from vmgexit.debugger.engine import STRUCTURES, Unreadable, show, size_of, word_bytes


def _split(argument: str) -> tuple[bool, list[str]]:
    """Whether -a is among the words, and the others."""
    words = gdb.string_to_argv(argument)
    return "-a" in words, [word for word in words if word != "-a"]


def _number(expression: str, *, place: bool = False) -> int:
    """The value of an expression as 64 bits. `place`: of an array or a structure, where it stands."""
    try:
        found = gdb.parse_and_eval(expression)
        kinds = (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_STRUCT)
        if place and found.type.strip_typedefs().code in kinds:
            found = found.address
        return int(found) & (1 << 64) - 1
    except (gdb.error, TypeError) as error:
        raise gdb.GdbError(f"{expression}: {error}") from None


class Page(gdb.Command):
    """One structure in the memory of the program. ADDRESS is any expression; -a shows zeros, too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.command = f"vmgexit-{name.replace('@', '.')}"
        self.__doc__ = f"{self.command} ADDRESS [-a]: {STRUCTURES[name][1]}"
        super().__init__(self.command, gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument: str, from_tty: bool) -> None:
        zeros, words = _split(argument)
        if not words:
            raise gdb.GdbError(f"{self.command} needs an ADDRESS")
        size, address = size_of(self.name), _number(" ".join(words), place=True)
        try:
            data = bytes(gdb.selected_inferior().read_memory(address, size))
        except gdb.MemoryError:
            raise gdb.GdbError(f"cannot read {size} bytes at {address:#x}") from None
        gdb.write("\n".join([*show(self.name, data, address, zeros), ""]))


class Word(gdb.Command):
    """vmgexit-word NAME VALUE [-a]: a structure of up to 8 bytes that is held as a number."""

    def __init__(self) -> None:
        super().__init__("vmgexit-word", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        zeros, words = _split(argument)
        if len(words) < 2:
            raise gdb.GdbError("vmgexit-word needs NAME and VALUE")
        value = _number(" ".join(words[1:]))
        try:
            data = word_bytes(words[0], value)
        except Unreadable as error:
            raise gdb.GdbError(str(error)) from None
        gdb.write("\n".join([*show(words[0], data, None, zeros), ""]))


for each in STRUCTURES:
    Page(each)
Word()
