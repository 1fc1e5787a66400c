"""What KVM's own code wrote into pages and the MSR breaks no rule, but for errors of KVM that are named.

`corpus/recordings/kvm` are exchanges with KVM's sev.c, run in user space.
"""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.guests import pages
from vmgexit import GhcbPage
from vmgexit.rules.exits import page_list_problems, problems_of_answer
from vmgexit.rules.msr import pair
from vmgexit.wire.ghcb_msr import RESPONSE_TO, decode_msr

RECORDINGS = Path(__file__).parents[2] / "corpus" / "recordings" / "kvm"
BUFFER = 0x800

# Errors of KVM by the name of the difference: the field, and the rule that the answer breaks.
ERRORS = {
    "exception-word-sign-extended": (
        "sw_exit_info_2",
        "error_code: not 0, and error_code_valid is 0",
    ),
}
WORD_ERRORS = {"msr-cpuid-keeps-reserved": "reserved_29_12"}


def _exchanges(name: str) -> Iterator[dict[str, Any]]:
    with lzma.open(RECORDINGS / name, "rt") as lines:
        for line in lines:
            yield json.loads(line)


def _request(exchange: dict[str, Any]) -> GhcbPage:
    page = bytearray(4096)
    for at, digits in exchange["page"]:
        data = bytes.fromhex(digits)
        page[at : at + len(data)] = data
    return GhcbPage.decode(bytes(page))


def _answer(exchange: dict[str, Any]) -> GhcbPage:
    """The request's page with what KVM wrote."""
    page, answer = _request(exchange), exchange["answer"]
    page.valid_bitmap = 0
    values = {"sw_exit_info_1": answer["status"], "sw_exit_info_2": answer["detail"]}
    for name, value in (values | answer["registers"]).items():
        setattr(page, name, value)
    for name in answer["valid"]:
        page.mark(name)
    for at, digits in answer["buffer"]:
        page.write_buffer(bytes.fromhex(digits), at - BUFFER)
    return page


def _written() -> Iterator[dict[str, Any]]:
    """Exchanges after which the guest goes on, with an answer in its page."""
    for exchange in _exchanges("kvm-ghcb.jsonl.xz"):
        answer = exchange["answer"]
        if answer["run"] == "guest" and answer.get("page") != "untouched":
            yield exchange


def test_answers_break_no_rule_but_by_named_errors() -> None:
    count, shown = 0, set()
    for exchange in _written():
        count += 1
        found = [
            (item.path, item.rule)
            for item in problems_of_answer(_answer(exchange), _request(exchange))
        ]
        named = [name for name in exchange["quirks"] if name in ERRORS]
        assert found == [ERRORS[name] for name in named], exchange
        shown.update(named)
    assert count > 1000
    assert shown == set(ERRORS)


def test_page_lists_are_left_without_a_new_problem() -> None:
    moved = small = 0
    for exchange in _written():
        request, answer = _request(exchange), _answer(exchange)
        if request.sw_exit_code != 0x80000010 or not exchange["answer"]["buffer"]:
            continue
        moved += 1
        small += "psc-small-entry-marked-one" in exchange["quirks"]
        answer.valid_bitmap = request.valid_bitmap
        at = request.sw_scratch % 4096 - BUFFER
        answer.write_buffer(request.shared_buffer[at : at + 2], at)  # from the same entry on
        before = {(index, item.rule) for index, item in page_list_problems(request)}
        assert {(index, item.rule) for index, item in page_list_problems(answer)} <= before
    assert moved > 100
    assert small > 50


# What KVM says of the VM that it runs, and not of a page.
OF_THE_VM = {
    "ap-apic-id-checked",
    "ap-features-compared",
    "ap-address-width-checked",
    "snp-exits-in-es-guest-missing",
    "unmapped-page-silent",
    "unregistered-page-ends-run",
    "request-page-fault-ends-run",
}


def test_the_guests_table_names_what_kvm_refuses() -> None:
    sent = {page.page: page for page in pages()}
    seen = set()
    for exchange in _exchanges("kvm-ghcb.jsonl.xz"):
        page, answer = sent.get(_request(exchange).encode()), exchange["answer"]
        if page is None or OF_THE_VM & set(exchange["quirks"]):
            continue
        seen.add(page.name)
        named = page.row.get("kvm", "")
        if answer["run"] == "guest" and answer["status"] == 2:
            assert named.startswith(f"error {answer['detail']} ("), page.name
        else:
            assert not re.match(r"error \d \(", named), page.name
        if named:
            assert named.rpartition("(")[2].rstrip(")") in exchange["quirks"], page.name
    assert len(seen) > 50


def test_answers_that_end_the_run_lack_what_rdtsc_returns_and_no_more() -> None:
    ended = 0
    for exchange in _exchanges("kvm-ghcb.jsonl.xz"):
        answer = exchange["answer"]
        if answer["run"] == "guest" or "sw_exit_info_1" not in answer.get("valid", ()):
            continue
        ended += 1
        page, request = _answer(exchange), _request(exchange)
        found = {item.path for item in problems_of_answer(page, request)}
        assert found == ({"rax", "rdx"} if "rdtsc-ends-run" in exchange["quirks"] else set())
    assert ended > 50


def test_words_break_no_rule_but_by_named_errors() -> None:
    answered, shown = 0, set()
    for exchange in _exchanges("kvm-msr.jsonl.xz"):
        request, word = exchange["request"], exchange["answer"]["word"]
        if word == request:  # not known to KVM, or a termination
            continue
        answered += 1
        named = {name for name in exchange["quirks"] if name in WORD_ERRORS}
        found = {item.path for item in decode_msr(word).problems()}
        assert found == {WORD_ERRORS[name] for name in named}, exchange
        assert request & 0xFFF in RESPONSE_TO
        assert pair(request, word) == ""
        shown |= named
    assert answered > 100
    assert shown == set(WORD_ERRORS)
