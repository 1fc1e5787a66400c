"""A kselftest: exits of a guest, each a page, VMGEXIT and what is expected, in C and with TAP output.

The same source runs in a guest and, with a GHCB host's adapter in the place of VMGEXIT, on any machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from vmgexit.descriptions import U64, Answer, Command, Number
from vmgexit.hosts.kinds import Pieces
from vmgexit.hosts.page import OFFSETS
from vmgexit.layout.formats.c import member
from vmgexit.schema import Kind, set_numbers
from vmgexit.sequences import HOST
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.ghcb import GhcbPage
from vmgexit.wire.page_size import PAGE

from ...targets.ghcb.programs import page_in
from ..cases import Case, pieces
from ..words import comment, remark, valid_bits
from . import driven

_HEAD = """\
/*
 * Exported by `vmgexit export kselftest`: exits of a guest, and what a host has to answer.
 *
 * In a guest, at CPL 0, call ghcb_exits(page, gpa); vmgexit_guest.h says what is needed. An exit does what
 * it says: look at what you run. On any machine, a host's adapter answers in the place of VMGEXIT:
 *
 *     cc -std=gnu11 -DVMGEXIT_STUB -o ghcb_exits ghcb_exits.c
 *     VMGEXIT_PEER="./adapter" ./ghcb_exits
 */
#include "vmgexit_guest.h"
"""

_TAIL = """\
/* Run all exits with a page that is shared with the host; how many tests failed. */
int ghcb_exits(struct vmgexit_ghcb *page, uint64_t gpa);

int ghcb_exits(struct vmgexit_ghcb *page, uint64_t gpa)
{
    return vmgexit_run_exits(page, gpa, tests, sizeof tests / sizeof tests[0]);
}

#ifdef VMGEXIT_STUB
int main(void)
{
    static struct vmgexit_ghcb page;

    return ghcb_exits(&page, 0) != 0;
}
#endif
"""

_ENDS = {"terminate": "VMGEXIT_VM_ENDED"}  # all else is a failure of KVM_RUN
_FIELDS = [field for field in GhcbPage.declaration.fields if field.kind is Kind.UINT]
_CODES = {int(code): f"VMGEXIT_EXIT_CODE_{code.name}" for code in ExitCode}


def refuses(case: Case) -> str:
    """Why a scenario is none that a guest can go through alone."""
    for command, answer in case.steps:
        if command["op"] not in ("init", "vmgexit", "msr"):
            return f"a scenario with {command['op']} found, exits alone expected"
        if command["op"] == "vmgexit" and "page" not in command:
            return "an exit without its page found"
        if command["op"] == "vmgexit" and "meanwhile" in command:
            return "a page that another vCPU writes to found"
        if command.get("cpu"):
            return "an exit of another vCPU than 0 found"
        if command["op"] != "init" and not _is_answer(answer, command["op"]):
            return f"an answer to {command['op']} that no host gives found"
    return ""


def _is_answer(answer: Answer, op: str) -> bool:
    """Whether an answer is made as the peer protocol says."""
    run = answer.get("run")
    if run != "guest" and not (_is_list(run, 2) and isinstance(run[0], str) and _is_word(run[1])):
        return False
    if op == "msr":
        return _is_word(answer.get("word"))
    if answer.get("page") == "untouched":
        return True
    valid, registers, buffer = (answer.get(name) for name in ("valid", "registers", "buffer"))
    return (
        _is_word(answer.get("status"))
        and _is_word(answer.get("detail"))
        and isinstance(valid, list)
        and all(isinstance(name, str) and name in OFFSETS for name in valid)
        and isinstance(registers, dict)
        and all(name in OFFSETS and _is_word(value) for name, value in registers.items())
        and Pieces(PAGE).accepts(buffer)
    )


def _is_word(value: object) -> bool:
    return Number(U64).accepts(value)


def _is_list(value: object, length: int) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and len(value) == length


def render(cases: Sequence[Case]) -> dict[str, bytes]:
    """The program, the headers that it needs, and in `stub` those of the host in the place of VMGEXIT."""
    lines = [_HEAD]
    for case in cases:
        lines += [*_test(case), ""]
    lines += ["static const struct vmgexit_exit_test tests[] = {"]
    lines += [f'    {{ "{case.name}", test_{case.name} }},' for case in cases]
    lines += ["};", "", _TAIL]
    stub = ("vmgexit_json.h", "vmgexit_reading.h", "vmgexit_commands.h")
    return {
        "ghcb_exits.c": "\n".join(lines).encode(),
        "vmgexit_guest.h": driven.source("guest/vmgexit_guest.h"),
        **driven.of_kit(HOST, "c", "vmgexit_layouts.h"),
        "stub/vmgexit_stub.h": driven.source("guest/stub/vmgexit_stub.h"),
        "stub/vmgexit_peer.h": driven.source("c/vmgexit_peer.h"),
        **{f"stub/{name}": data for name, data in driven.of_kit(HOST, "c", *stub).items()},
    }


def _test(case: Case) -> Iterator[str]:
    steps = list(case.steps)
    gpa = _gpa(case)
    has_words = any(command["op"] == "msr" for command, _ in steps)
    yield f"/* {comment(case.about)} */"
    yield f"static void test_{case.name}(struct vmgexit_guest *guest)"
    yield "{"
    if any(command["op"] == "vmgexit" for command, _ in steps):
        yield "    struct vmgexit_ghcb *page;"
    if has_words:
        yield "    uint64_t word;"
    yield ""
    if because := _no_test_of_guests(case):
        yield f'    if (!vmgexit_has_stub(guest, "{because}"))'
        yield "        return;"
    for command, answer in steps:
        if command["op"] == "init":
            yield f"    vmgexit_begin(guest, VMGEXIT_VM({json.dumps(command)}), {gpa:#x});"
            continue
        yield ""
        yield f"    /* {comment(remark(command, case.kind))} */"
        yield from (
            _of_page(command, answer) if command["op"] == "vmgexit" else _of_word(command, answer)
        )
    yield "}"


def _gpa(case: Case) -> int:
    return next((command["gpa"] for command, _ in case.steps if command["op"] == "vmgexit"), 0)


def _no_test_of_guests(case: Case) -> str:
    """Why only the stub can run a test; empty where a guest can."""
    for command, answer in case.steps:
        if answer.get("run", "guest") != "guest":
            return "it ends the VM"
        if answer.get("page") == "untouched":
            return "its page is where the host cannot write"
        if command["op"] == "msr" and command["request"] & 0xFFF == 0x012:
            return "it registers another page"
    if len({command["gpa"] for command, _ in case.steps if command["op"] == "vmgexit"}) > 1:
        return "it has several pages"
    return ""


def _of_page(command: Command, answer: Answer) -> Iterator[str]:
    page = page_in(command)
    yield "    page = vmgexit_new_page(guest);"
    yield from _fields(page, command["gpa"])
    yield from _bytes(page)
    yield "    if (!vmgexit_exit(guest))"
    yield "        return;"
    yield from _ending(answer)
    if answer.get("page") == "untouched":
        yield "    vmgexit_expect_bytes(guest, 0, sizeof *page);"
        return
    yield f"    VMGEXIT_EXPECT(guest, sw_exit_info_1, {answer['status']:#x});"
    yield f"    VMGEXIT_EXPECT(guest, sw_exit_info_2, {answer['detail']:#x});"
    valid = ", ".join(f"VMGEXIT_AT({name})" for name in answer["valid"])
    if valid:
        yield f"    VMGEXIT_EXPECT_VALID(guest, {valid});"
    else:
        yield "    vmgexit_expect_valid(guest, NULL, 0);"
    for name, value in answer["registers"].items():
        yield f"    VMGEXIT_EXPECT_OF_VM(guest, {name}, {_number(value)});"
    yield from _put("&guest->given", answer["buffer"])
    yield "    vmgexit_expect_buffer(guest);"


def _of_word(command: Command, answer: Answer) -> Iterator[str]:
    yield f"    word = {_number(command['request'])};"
    yield "    if (!vmgexit_msr(guest, &word))"
    yield "        return;"
    yield from _ending(answer)
    yield f'    vmgexit_expect(guest, "the GHCB MSR", word, {_number(answer["word"])});'


def _ending(answer: Answer) -> Iterator[str]:
    """What is expected of how the exit ends, where it does not return to the guest."""
    run = answer.get("run", "guest")
    how, value = (
        ("VMGEXIT_RETURNED", 0)
        if run == "guest"
        else (_ENDS.get(run[0], "VMGEXIT_RUN_FAILED"), run[1])
    )
    yield f'    vmgexit_expect(guest, "how it ended", guest->how, {how});'
    if run != "guest":
        yield f'    vmgexit_expect(guest, "{run[0]}", guest->value, {_number(value)});'


def _fields(page: GhcbPage, gpa: int) -> Iterator[str]:
    """The fields that are valid or not zero; a scratch area in the page moves with it."""
    valid = page.valid_fields()
    for field in _FIELDS:
        value: Any = getattr(page, field.name)
        text = _number(int(value))
        if field.name == "sw_exit_code":
            text = _CODES.get(value, text)
        elif field.name == "sw_scratch" and gpa <= value < gpa + PAGE:
            text = f"guest->gpa + {value - gpa:#x}"
        if field.name in valid:
            yield f"    VMGEXIT_SET(page, {member(field)}, {text});"
        elif value:
            yield f"    page->{member(field)} = {text};"


def _bytes(page: GhcbPage) -> Iterator[str]:
    """What else is not zero, as bytes: reserved areas, the buffer, and valid bits of no field."""
    rest = GhcbPage.decode(page.encode())
    for number in set_numbers(page.valid_bitmap & ~valid_bits(page.valid_fields())):
        yield f"    page->valid_bitmap[{number // 8}] |= 1u << {number % 8};"
    for field in (*_FIELDS, GhcbPage.declaration["valid_bitmap"]):
        setattr(rest, field.name, 0)
    yield from _put("page", pieces(rest.encode()))


def _put(where: str, held: list[list[Any]]) -> Iterator[str]:
    """Bytes that stand in a page, in runs."""
    for at, text in held:
        yield f"    VMGEXIT_PUT_BYTES({where}, {at:#05x}, {_literal(bytes.fromhex(text))});"


def _literal(data: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'


def _number(value: int) -> str:
    return f"UINT64_C({value:#x})" if value >> 31 else f"{value:#x}"
