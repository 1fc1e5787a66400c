"""Whatever is pasted: an answer or one line, never a traceback; and forms read what they print."""

from __future__ import annotations

import contextlib
import io
import sys
from string import Formatter
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit.cli import main
from vmgexit.explain.form import Form
from vmgexit.explain.forms import FORMS
from vmgexit.explain.lines import Known, Reader
from vmgexit.explain.subjects import subjects

WORDS = st.sampled_from(
    [
        *(form.text for form in FORMS),
        *(each.name for each in subjects()),
        "0x", "ff ff ff ff ff ff ff ff", "\\x00", "b'", "{", "*", "Code: ", "00000010:", "=", "\t", "\n",
        "kvm_vmgexit_enter: vcpu 0, exit_reason 7c, exit_info1 1, exit_info2 0",
    ]
)  # fmt: skip
PASTED = st.one_of(
    st.text(),
    st.lists(st.one_of(WORDS, st.text(max_size=8), st.integers().map(hex)), max_size=6).map(
        " ".join
    ),
)


def said(arguments: list[str], data: bytes = b"") -> tuple[int, str, str]:
    """What the command prints, with `data` on standard input."""
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with (
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))),
        mock.patch.object(sys, "stdout", out),
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        try:
            code = main(["explain", *arguments])
        except SystemExit as stopped:  # argparse
            code = int(stopped.code or 0)
    assert isinstance(out.buffer, io.BytesIO)
    return code, out.buffer.getvalue().decode(), err.getvalue()


def check(code: int, err: str) -> None:
    assert code in (0, 2)
    assert "Traceback" not in err
    assert len(err.splitlines()) == (code == 2)


@given(PASTED)
def test_any_text_is_answered_in_words(text: str) -> None:
    code, _, err = said(["--", text.replace("\0", "")])
    check(code, err)


@given(PASTED, st.booleans(), st.booleans())
def test_any_log_is_read(text: str, every: bool, as_json: bool) -> None:
    code, _, err = said(
        ["-", *["--all"] * every, *["--json"] * as_json], text.encode(errors="replace")
    )
    check(code, err)


@given(st.one_of(st.binary(), st.binary(max_size=64).map(lambda data: data * 64)))
def test_any_bytes_are_looked_at(data: bytes) -> None:
    code, _, err = said(["-"], data)
    check(code, err)


def values_of(form: Form) -> st.SearchStrategy[dict[str, int | str]]:
    """Words that the program could print: numbers as wide as it writes them, and texts."""
    numbers = {"x": st.integers(0, (1 << 64) - 1), "d": st.integers(-(1 << 63), (1 << 63) - 1)}
    text = st.from_regex(r"[A-Za-z]{1,12}", fullmatch=True)
    return st.fixed_dictionaries(
        {name: numbers.get(kind, text) for name, kind in form.holes.items()}
    )


@pytest.mark.parametrize("form", FORMS, ids=[form.text[:40] for form in FORMS])
@given(data=st.data())
def test_a_form_reads_what_its_program_prints(form: Form, data: st.DataObject) -> None:
    values = data.draw(values_of(form))
    line = Formatter().vformat(form.text, (), values)
    head = b"kvm_amd: VMCB State Save Area:" if form.inside else b"other"
    prefix = "" if form.alone else "[ 12.345678] kvm_amd: "
    *_, found = Reader().lines([head, f"{prefix}{line}".encode()])
    assert isinstance(found.says, Known)
    assert found.says.form.says == form.says  # a later wording of a line may print a value alike
    assert {word.name: word.value for word in found.says.words} == values
