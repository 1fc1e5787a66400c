"""Kinds of arguments that only an SVSM's machine takes: posts, rows, answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..descriptions import U32, U64, Argument, Choice, Command, Number, Part


@dataclass(frozen=True, slots=True)
class Posts:
    """A list of interrupts, each with the `arguments` of a post."""

    arguments: tuple[Argument, ...]

    @property
    def expected(self) -> str:
        return f"a list of interrupts with {' and '.join(one.name for one in self.arguments)}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(post, dict)
            and set(post) == {one.name for one in self.arguments}
            and all(one.kind.accepts(post[one.name]) for one in self.arguments)
            for post in value
        )

    def shown(self, value: list[Command]) -> str:
        return ",".join(f"{post['vector']:#x}{' level' * post['level']}" for post in value)


def _accepts(argument: Argument, value: Any) -> bool:
    return argument.kind.accepts(value)


@dataclass(frozen=True, slots=True)
class Row:
    """One list with a value for each of `arguments`, such as the start and the length of a range."""

    arguments: tuple[Argument, ...]

    @property
    def expected(self) -> str:
        return f"[{', '.join(one.name for one in self.arguments)}]"

    def accepts(self, value: Any) -> bool:
        is_row = isinstance(value, list) and len(value) == len(self.arguments)
        return is_row and all(map(_accepts, self.arguments, value))

    def parts(self, value: Any) -> Iterator[Part]:
        if isinstance(value, list) and len(value) == len(self.arguments):
            for one, held in zip(self.arguments, value, strict=True):
                yield f".{one.name}", held, one.kind

    def shown(self, value: list[Any]) -> str:
        parts = zip(self.arguments, value, strict=True)
        return "+".join(one.kind.shown(held) for one, held in parts)

    def named(self, value: Any) -> Command:
        """The values by the arguments' names."""
        return {one.name: held for one, held in zip(self.arguments, value, strict=True)}

    def of(self, named: Command) -> Any:
        """The value that has these under the arguments' names."""
        return list(named.values())


class Prepared(Row):
    """What the secure processor is prepared to answer: a word, an error of the host, or a status."""

    def __init__(self, words: tuple[str, ...]) -> None:
        kinds = Choice((*words, "err", "status"))
        super().__init__(
            (
                Argument("kind", kinds, "vector"),
                Argument("err", Number(U64), "rcx"),
                Argument("rbx", Number(U64), "rdx"),
                Argument("status", Number(U32), "r8"),
            )
        )

    @property
    def expected(self) -> str:
        return f'one of {", ".join(self.words)}, {{"err": e, "rbx": b}} or {{"status": n}}'

    @property
    def words(self) -> tuple[str, ...]:
        """What it may be beside an error and a status."""
        kind = self.arguments[0].kind
        return kind.names[:-2] if isinstance(kind, Choice) else ()

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, dict):
            return isinstance(value, str) and value in self.words
        kinds = {one.name: one.kind for one in self.arguments}
        return set(value) in ({"err", "rbx"}, {"status"}) and all(
            kinds[name].accepts(held) for name, held in value.items()
        )

    def parts(self, value: Any) -> Iterator[Part]:
        return iter(())  # which they are depends on the word

    def shown(self, value: Any) -> str:
        if not isinstance(value, dict):
            return str(value)
        return "+".join(f"{name} {held:#x}" for name, held in value.items())

    def named(self, value: Any) -> Command:
        if not isinstance(value, dict):
            return {"kind": value, "err": 0, "rbx": 0, "status": 0}
        return {"kind": next(iter(sorted(value))), "err": 0, "rbx": 0, "status": 0} | value

    def of(self, named: Command) -> Any:
        match named["kind"]:
            case "err":
                return {"err": named["err"], "rbx": named["rbx"]}
            case "status":
                return {"status": named["status"]}
        return named["kind"]


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of rows."""

    each: Row

    @property
    def expected(self) -> str:
        return f"a list, each of it {self.each.expected}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list) and all(map(self.each.accepts, value))

    def parts(self, value: Any) -> Iterator[Part]:
        if isinstance(value, list):
            for index, held in enumerate(value):
                yield f"[{index}]", held, self.each

    def shown(self, value: list[Any]) -> str:
        return ",".join(map(self.each.shown, value)) or "none"


@dataclass(frozen=True, slots=True)
class Whom:
    """A VMPL, or a name, such as `host`."""

    names: tuple[int | str, ...]

    @property
    def expected(self) -> str:
        return f"one of {', '.join(map(str, self.names))}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, int | str) and not isinstance(value, bool) and value in self.names

    def shown(self, value: int | str) -> str:
        return str(value)
