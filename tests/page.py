"""The decoder page's answers beside the library's: what is asked of both, and who asks the page.

`Node` runs the page's scripts without a document, `Browser` the page as a person has it.
"""

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tests.dumps import WRITERS, word_size
from tests.structures import declared
from vmgexit.cli.decode import decoded
from vmgexit.errors import DecodeError
from vmgexit.layout.naming import label
from vmgexit.page.assembled import INTERPRETER, scripts
from vmgexit.page.described import described
from vmgexit.read.given import given
from vmgexit.read.hexdump import read
from vmgexit.schema import Structure
from vmgexit.show.partial import Partial
from vmgexit.wire.exits import exits
from vmgexit.wire.ghcb import ALWAYS_VALID, GhcbPage

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "corpus"

Text = tuple[str, int]
"""A pasted text, and the size of the structure expected, 0 if it is not known."""

Value = tuple[type[Structure], bytes]


class Asked(Protocol):
    """Who answers as the page does."""

    def ask(self, function: str, cases: list[list[Any]]) -> list[Any]: ...


class Node:
    """The scripts in Node.js; `data` is what the page would know."""

    def __init__(self, data: dict[str, Any] | None = None) -> None:
        self.data = data or described()

    _ASKED = """
        const asked = JSON.parse(require("fs").readFileSync(0));
        DATA = asked.data;
        const by = { read: readAnswer, answer: valueAnswer, given: givenAnswer };
        console.log(JSON.stringify(asked.cases.map((one) => by[asked.function](...one))));
    """

    def ask(self, function: str, cases: list[list[Any]]) -> list[Any]:
        node = shutil.which("node") or "node"
        text = json.dumps({"data": self.data, "function": function, "cases": cases})
        script = f'"use strict";\n{scripts(INTERPRETER)}\n{self._ASKED}'
        done = subprocess.run([node, "-e", script], input=text.encode(), capture_output=True)
        assert not done.returncode, done.stderr.decode()[-1000:]
        answers: list[Any] = json.loads(done.stdout)
        return answers


class Browser:
    """The page in a browser, `tab` being one of Playwright."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab

    def ask(self, function: str, cases: list[list[Any]]) -> list[Any]:
        answers: list[Any] = []
        for at in range(0, len(cases), 500):
            asked = [function, cases[at : at + 500]]
            answers += self.tab.evaluate(
                "([name, cases]) => cases.map((one) => vmgexit[name](...one))", asked
            )
        return answers


# --- Answers --------------------------------------------------------------------------------------


def check_texts(page: Asked, cases: list[Text]) -> None:
    """Fail unless the page reads each text as the library does, or refuses it with the same line."""
    assert cases
    answers = page.ask("read", [list(case) for case in cases])
    for case, answer in zip(cases, answers, strict=True):
        assert answer == _read(*case), case


def _read(text: str, size: int) -> dict[str, Any]:
    try:
        dump = read(text, size)
    except DecodeError as error:
        return {"error": str(error)}
    return {
        "data": dump.data.hex(),
        "form": dump.form,
        "order": dump.order,
        "gaps": [[gap.start, gap.stop] for gap in dump.gaps],
        "notes": list(dump.notes),
        "address": None if dump.address is None else str(dump.address),
        "skipped": list(dump.skipped),
        "is_rows": dump.is_rows,
        "other": dump.other.hex(),
        "values": [[value.kind, value.data.hex(), value.written] for value in dump.values],
    }


def check_values(page: Asked, cases: list[Value]) -> None:
    """Fail unless the page decodes as the library does, and finds the same broken rules."""
    assert cases
    answers = page.ask("answer", [[label(cls), data.hex()] for cls, data in cases])
    for (cls, data), answer in zip(cases, answers, strict=True):
        value = cls.decode(data)
        told = (label(cls), data.hex())
        assert json.loads(answer["json"]) == Partial(value).as_dict(), told
        assert answer["problems"] == [str(problem) for problem in value.problems()], told
        assert not answer["unjudged"], told


def check_given(page: Asked, cases: list[tuple[str, type[Structure]]]) -> None:
    """Fail unless the page decodes each text as `vmgexit decode` does, with what is missing."""
    assert cases
    answers = page.ask("given", [[text, label(cls)] for text, cls in cases])
    for (text, cls), answer in zip(cases, answers, strict=True):
        try:
            with given(text=text, size=cls.size) as source:
                value = decoded(cls, source.stream.read(), 0, False, source)
        except DecodeError:
            assert "error" in answer, (text, label(cls))
            continue
        assert json.loads(answer["json"]) == value.as_dict(), (text, label(cls))
        assert answer["problems"] == [str(problem) for problem in value.problems()]


# --- What is asked --------------------------------------------------------------------------------


def dumps(made: random.Random, each: int) -> Iterator[Text]:
    """Every form of `tests/dumps.py`, of so many structures each."""
    for form, write in WRITERS.items():
        fitting = [cls for cls in declared() if not cls.size % word_size(form)]
        for cls in made.sample(fitting, each):
            text = write(content(made, cls.size), 0x7FFF12345000)
            yield text, made.choice([cls.size, 0])


_LETTERS = " \t\n\r*:xg0'\"\\.{}[],é\u2028\x1c\ufeff\U0001f600<>|`-_$&;"
_LINES = ("*", "...", "", "hello world:", "(gdb) x/4xg 1", "[ 12.3] kernel: foo", "00000000: zz")


def cut(made: random.Random, count: int) -> Iterator[tuple[str, type[Structure]]]:
    """Dumps of which some lines are lost, of structures that they were made of."""
    large = [cls for cls in declared() if cls.size >= 64]
    for _ in range(count):
        cls = made.choice(large)
        form = made.choice(
            ["xxd", "hexdump -C", "gdb x/xb", "QEMU xp /xg", "hex", "bytes of Python"]
        )
        lines = WRITERS[form](content(made, cls.size - cls.size % 8), 0).splitlines(keepends=True)
        first = made.randrange(len(lines))
        del lines[first : first + made.randrange(3)]
        yield "".join(lines), cls


def damaged(made: random.Random, texts: list[Text], count: int) -> Iterator[Text]:
    """Texts that lost, gained, doubled or exchanged letters and lines."""
    for _ in range(count):
        text, size = made.choice(texts)
        text = text[:3000]
        for _ in range(made.randrange(1, 4)):
            at, lines = made.randrange(len(text) + 1), text.split("\n")
            one, other = made.randrange(len(lines)), made.randrange(len(lines))
            match made.randrange(6):
                case 0:
                    text = text[:at] + text[at + 1 :]
                case 1:
                    text = text[:at] + made.choice(_LETTERS) + text[at:]
                case 2:
                    text = "\n".join(lines[:one] + lines[one + 1 :])
                case 3:
                    text = "\n".join(lines[:one] + lines[other : other + 1] + lines[one:])
                case 4:
                    text = "\n".join([*lines[:one], made.choice(_LINES), *lines[one:]])
                case _:
                    lines[one], lines[other] = lines[other], lines[one]
                    text = "\n".join(lines)
        yield text, size


def content(made: random.Random, size: int) -> bytes:
    """Noise, zeros, or mostly zeros with small numbers, which most rules are about."""
    kind = made.randrange(4)
    if kind < 2:
        return made.randbytes(size) if kind else bytes(size)
    data = bytearray(size)
    for _ in range(max(1, size // made.choice([4, 16, 64])) if size else 0):
        small = made.choice([made.randrange(256), 1, 2, 4, made.randrange(8)])
        data[made.randrange(size)] = small
    return bytes(data)


def values(made: random.Random, count: int) -> Iterator[Value]:
    """Structures with random contents; those of any length with some bytes more."""
    for _ in range(count):
        cls = made.choice(declared())
        more = made.randrange(300) if cls.declaration.any_length else 0
        yield cls, content(made, cls.size + more)


_SMALL = (0, 1, 2, 3, 4, 5, 0x10, 0x800, 0x1000, 0x200000, 0x12345800)
_WORDS = ("sw_exit_info_1", "sw_exit_info_2", "sw_scratch", "rax")


def ghcb_pages(made: random.Random, count: int) -> Iterator[Value]:
    """Requests and answers that are nearly right: what the rules of exits look at."""
    codes = [int(row.code) for row in exits()]
    for _ in range(count):
        page = GhcbPage(sw_exit_code=made.choice(codes), protocol_version=made.choice([0, 1, 2, 3]))
        for name in (*ALWAYS_VALID, *_WORDS, "rbx", "rcx", "rdx"):
            page.mark(name, made.random() < 0.8)
        for name in _WORDS:
            value = made.choice(
                [*_SMALL, made.getrandbits(8), made.getrandbits(20), made.getrandbits(64)]
            )
            setattr(page, name, value if made.random() < 0.6 else 0)
        page.ghcb_usage = made.choice([0] * 9 + [1])
        page.write_buffer(
            bytes(made.choice([0, 0, 0, 1, 2, made.randrange(256)]) for _ in range(64))
        )
        yield GhcbPage, page.encode()


def of_corpus() -> Iterator[Value]:
    """Every binary file of the corpus, as every structure of its length, and its beginning as a page."""
    files = sorted(path for path in CORPUS.rglob("*.bin") if path.stat().st_size <= 1 << 16)
    for path in files:
        data = path.read_bytes()
        for cls in declared():
            if cls.accepts(len(data)):
                yield cls, data


def texts_of_corpus() -> Iterator[Text]:
    """Every text of the corpus's cases, whole and line by line."""
    for path in sorted((CORPUS / "cases").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        yield text, 0
        for line in dict.fromkeys(text.splitlines()):
            yield line, 0
            yield line, 8
