"""The rules of an adapter for an SVSM with memory, in the order in which they build up.

Expected answers were written by hand, from how the recordings were made (corpus/recordings/memory) and from
the layouts of what is in memory. The exchanges ask nothing in which COCONUT-SVSM and the reference differ.
"""

from __future__ import annotations

from ...wire.page_size import LARGE_PAGE, PAGE
from .memory_calls import DEVICES, VCPUS
from .memory_steps import (
    ELSEWHERE,
    END,
    FILL,
    HUGE,
    ONE,
    OTHER,
    PRIVATE,
    SHARED,
    SVSM,
    SVSM_FILL,
    adjust,
    begin,
    filled,
    host,
    no,
    page,
    read,
    write,
)
from .rule import OK, Chapter, Rule, numbered

_MEMORY = Chapter(
    "Guest memory and the RMP",
    (
        Rule(
            "A machine with memory",
            "`init` with `memory` makes one. `memory` is the guest's memory map; `svsm`, the SVSM's own"
            " range, is cut out of it. `caa` is the calling area of vCPU 0, `sev_features` are those of"
            " its VMSA. Without `reg_count` there is no APIC emulation, and the answer has no such key. An"
            " adapter that has no machine with memory answers `unsupported`, and is asked no further"
            " rule on memory.",
            (begin(),),
        ),
        Rule(
            "A page",
            "`page` answers for the page that `gpa` lies in. `spa` is the system page behind it: at first"
            " the one at the same address. The other keys are those of the system page's RMP entry."
            " `perms` are the permissions of VMPL 1, 2 and 3: bit 0 read, 1 write, 2 and 3 execute in"
            " user and in supervisor mode. `hash` has the first 16 digits of SHA-256 of its 4096 bytes.",
            (
                begin(),
                page(
                    ONE + 5,
                    spa=ONE, assigned=True, gpa=ONE, validated=True, huge=False, vmsa=False,
                    perms=[0, 15, 0], hash=filled(FILL),
                ),
            ),
        ),
        Rule(
            "Pages at first",
            "A row of `pages` is start, length, state, and the byte that fills it; a later row wins."
            " `shared` is not assigned: its entry is all zero. `private` is assigned, `valid` validated as"
            " well, and VMPL 2 may do everything with it. `huge-private` and `huge-valid` are so by"
            " entries of 2 MiB. What no row names is shared, and zero. The SVSM's range goes before all"
            " rows: it is validated, no VMPL but 0 may do anything with it, and its bytes are 0xc5.",
            (
                begin(
                    [ONE, PAGE, "shared", 1],
                    [HUGE, LARGE_PAGE, "huge-valid", 0x22],
                    [PRIVATE, END - PRIVATE, "private", 0x33],
                ),
                page(ONE, assigned=False, gpa=0, validated=False, perms=[0, 0, 0], hash=filled(1)),
                page(OTHER, validated=True, hash=filled(FILL)),
                page(HUGE + PAGE, gpa=HUGE + PAGE, huge=True, validated=True, perms=[0, 15, 0]),
                page(
                    PRIVATE, assigned=True, gpa=PRIVATE, validated=False, huge=False,
                    perms=[0, 0, 0], hash=filled(0x33),
                ),
                page(SVSM, validated=True, huge=False, perms=[0, 0, 0], hash=filled(SVSM_FILL)),
                page(END, assigned=False, hash=filled(0)),
            ),
        ),
        Rule(
            "Who may read and write",
            "`by` is a VMPL, or the host. A VMPL's access fails by the first of these, at the first page"
            " where it does: `npf`, the entry is not assigned, or to another address; `not_validated`;"
            " `vmpl`, a permission is missing. The host's fails by `rmp` where an entry is assigned, to"
            " whatever address. Bytes go over the end of a page; a write that fails writes none. Without"
            " `by` nothing is checked.",
            (
                begin([OTHER, PAGE, "shared", 0x22], [PRIVATE, LARGE_PAGE, "private", 0]),
                write(ONE, b"\1\2"),
                read(ONE - 1, 4, 2, OK | {"hex": "11010211"}),
                read(ONE, 1, 3, no("vmpl")),
                read(ONE, 1, "host", no("rmp")),
                read(OTHER, 1, "host", OK | {"hex": "22"}),
                read(OTHER, 1, 2, no("npf")),
                read(PRIVATE, 1, 2, no("not_validated")),
                ({"op": "write", "gpa": OTHER - 1, "hex": "aaaa", "by": 2}, no("npf")),
                ({"op": "read", "gpa": OTHER - 1, "len": 2}, OK | {"hex": "1122"}),
            ),
        ),
        Rule(
            "The guest's RMPADJUST",
            "`adjust` is RMPADJUST of 4 KiB at VMPL 2. It faults by `npf`, `not_validated`, or `size` on an"
            " entry of 2 MiB. Else `result` is 3 for a VMSA whose vCPU executes, 2 for VMPL 0 to 2, 1 for a"
            " VMPL above 3, 2 for a permission that VMPL 2 does not have. It is 0 where the permissions of"
            " VMPL 3 were set.",
            (
                begin(
                    [HUGE, LARGE_PAGE, "huge-valid", 0], [PRIVATE, LARGE_PAGE, "private", 0]
                ),
                adjust(ONE, 3, 1, {"result": 0}),
                page(ONE, perms=[0, 15, 1]),
                read(ONE, 1, 3, OK),
                adjust(ONE, 2, 1, {"result": 2}),
                adjust(ONE, 4, 1, {"result": 1}),
                adjust(HUGE, 3, 1, no("size")),
                adjust(PRIVATE, 3, 1, no("not_validated")),
                adjust(SHARED, 3, 1, no("npf")),
            ),
        ),
        Rule(
            "The host takes a page, and gives one",
            "`shared` clears the entry. `private` assigns the page afresh: not validated, no permissions,"
            " even where it was the guest's. `fill` sets its bytes. An entry of 2 MiB is split first.",
            (
                begin([HUGE, LARGE_PAGE, "huge-valid", 0x22]),
                host(ONE, "shared", fill=0x77),
                page(ONE, assigned=False, gpa=0, validated=False, perms=[0, 0, 0]),
                read(ONE, 2, "host", OK | {"hex": "7777"}),
                host(ONE, "private"),
                page(ONE, assigned=True, gpa=ONE, validated=False, hash=filled(0x77)),
                host(OTHER, "private"),
                page(OTHER, validated=False, perms=[0, 0, 0], hash=filled(FILL)),
                host(HUGE, "shared"),
                page(HUGE, assigned=False, huge=False),
                page(HUGE + PAGE, huge=False, validated=True, perms=[0, 15, 0]),
            ),
        ),
        Rule(
            "The host splits and joins",
            "`split` is PSMASH of the 2 MiB around the page: 512 entries, in all else as they were; `size`"
            " where they are of 4 KiB. `join` assigns all 512 pages afresh, as one of 2 MiB. It fails by"
            " `mapping` where one of them is not backed by itself, by `other` where one is assigned to"
            " another address, by `in_use` where one is the VMSA in which a vCPU executes.",
            (
                begin([HUGE, LARGE_PAGE, "huge-valid", 0x22]),
                host(HUGE + PAGE, "split"),
                page(HUGE, huge=False, validated=True, perms=[0, 15, 0]),
                host(HUGE, "split", no("size")),
                host(HUGE + PAGE, "join"),
                page(HUGE, huge=True, validated=False, perms=[0, 0, 0], hash=filled(0x22)),
                host(ONE, "remap", spa=ELSEWHERE),
                host(0, "join", no("mapping")),
            ),
        ),
        Rule(
            "Another page behind it",
            "`remap` backs the page by the system page `spa`, and assigns that afresh, unless it was"
            " assigned to this page already: so a page can be put back as it was. What it leaves stays"
            " as it is. `fill` sets the bytes of one that was not assigned. A page whose entry names"
            " another address is `other` to `shared` and `private`.",
            (
                begin(),
                host(ONE, "remap", spa=ELSEWHERE, fill=0x42),
                page(
                    ONE, spa=ELSEWHERE, assigned=True, gpa=ONE, validated=False, perms=[0, 0, 0],
                    hash=filled(0x42),
                ),
                host(ONE, "remap", spa=ONE),
                page(ONE, spa=ONE, validated=True, perms=[0, 15, 0], hash=filled(FILL)),
                host(OTHER, "remap", spa=ONE),
                page(ONE, spa=ONE, gpa=OTHER, validated=False),
                host(ONE, "shared", no("other")),
                read(ONE, 1, 2, no("npf")),
            ),
        ),
    ),
)  # fmt: skip

CHAPTERS = numbered((_MEMORY, VCPUS, DEVICES), "PEER-M")

RULES: dict[str, Rule] = {rule.title: rule for chapter in CHAPTERS for rule in chapter.rules}
"""Every rule by its title, in the order in which they build up."""
