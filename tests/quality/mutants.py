"""Mutants: one thing deleted or changed in the tables and engines, and the quick tests that must fail.

`test_mutants.py` plants each into a copy of the checkout.
"""

from __future__ import annotations

from dataclasses import dataclass

WIRE = (
    "tests/conformance",
    *(f"tests/unit/test_{each}.py" for each in ("names", "layout", "wire_doorbell")),
)
SCHEMA = (
    *(f"tests/unit/test_schema_{each}.py" for each in ("structure", "fields", "judge", "walk")),
    *(
        f"tests/unit/test_{each}.py"
        for each in ("schema_compiler", "schema_whole", "wire_doorbell")
    ),
    "tests/conformance/test_ladders.py",
)
LAYOUT = tuple(f"tests/unit/test_layout{each}.py" for each in ("", "_svg", "_changes"))
SPEC = ("tests/unit/test_clauses.py", "tests/unit/test_drafts.py")


@dataclass(frozen=True, slots=True)
class Mutant:
    """`file` with `old`, which is there once, as `new`; `killers` are tests, one of which must fail."""

    file: str
    old: str
    new: str
    killers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file.removeprefix('protocol/vmgexit/')}: {' '.join(self.old.split())[:40]}"


def _in(file: str, killers: tuple[str, ...], *changes: tuple[str, str]) -> list[Mutant]:
    return [Mutant(file, old, new, killers) for old, new in changes]


_P = "protocol/vmgexit"
_EXPORT = "fuzz/vmgexit_fuzz/export"

MUTANTS = (
    # rows, bit numbers, defaults, codes and clauses of declarations
    *_in(
        f"{_P}/wire/doorbell.py",
        WIRE,
        ('size=4, clause="DESC-1"', 'size=4, clause="DESC-4"'),
        ('size=1, clause="DESC-2"', "size=1"),
        ("    reserved_13_11: int = reserved(3)\n", ""),
        ("reserved_26_15: int = reserved(12)", "reserved_25_15: int = reserved(11)"),
        ("        first=IRR_FIRST,\n", ""),
        ("LOWEST_VECTOR = 31", "LOWEST_VECTOR = 32"),
        ('bit("An IPI is requested", access="host sets")', 'bit("An IPI is requested")'),
        (
            "        if self.level_sensitive and not self.pending_vector:",
            "        if False and self.level_sensitive:",
        ),
    ),
    *_in(
        f"{_P}/wire/doorbell_history.py",
        WIRE,
        ("reserved_7_4: int = reserved(4)", "reserved_6_4: int = reserved(3)"),
        ('"doorbell-head", size=256, revision="2024-01-05"', '"doorbell-head", size=256, revision="x"'),
    ),
    *_in(
        f"{_P}/wire/apic.py",
        WIRE,
        ("    CONFIGURE_VECTOR = 4\n", "    CONFIGURE_VECTOR = 5\n"),
        ("    REGISTER = 0b10", "    REGISTER = 0b11"),
        ("    EXTINT = 7\n", ""),
        ("    SELF_IPI = 0x83F", "    SELF_IPI = 0x83E"),
        ("            ResultCode.CANNOT_REGISTER,\n", ""),
        ("frozenset({ApicRegister.EOI, ApicRegister.SELF_IPI})", "frozenset({ApicRegister.EOI})"),
    ),
    *_in(
        f"{_P}/wire/svsm.py",
        WIRE,
        ("    BUSY = 0x80000007", "    BUSY = 0x80000008"),
        ("    DEPOSIT_MEM = 4\n    WITHDRAW_MEM = 5\n", "    DEPOSIT_MEM = 5\n    WITHDRAW_MEM = 4\n"),
    ),
    *_in(f"{_P}/wire/svsm.py", SPEC, ('        clause="REG-8",\n', "")),
    *_in(
        f"{_P}/wire/exits.py",
        WIRE,
        ('    Exit(\n        ExitCode.WRITE_DR7,', '    Exit(\n        ExitCode.READ_DR7,'),
    ),
    *_in(f"{_P}/wire/calls.py", WIRE, ("    *VTPM_CALLS,\n", "")),
    *_in(f"{_P}/wire/registry.py", WIRE, ("cpuid-function cpuid-page", "cpuid-page")),
    # the engine under them
    *_in(
        f"{_P}/schema/structure.py",
        SCHEMA,
        ('return "reserved, must be zero" if value not in (0, self.zero) else ""', 'return ""'),
        ("if self.enum is not None and value not in members(self.enum):", "if False:"),
        ("fits = 0 <= number < 1 << width", "fits = 0 <= number <= 1 << width"),
        ("        if self.value is not None:\n            return self.value\n", ""),
    ),
    *_in(
        f"{_P}/schema/checks.py",
        SCHEMA,
        ("for problem in value.judged():", "for problem in ():"),
    ),
    *_in(
        f"{_P}/schema/declare.py",
        SCHEMA,
        ("if bits != 8 * declaration.size:", "if bits > 8 * declaration.size:"),
    ),
    *_in(
        f"{_P}/schema/walk.py",
        SCHEMA,
        ("return self.field.clause or self.owner.declaration.clause", "return self.field.clause"),
    ),
    # what is shown of them
    *_in(
        f"{_P}/layout/table.py",
        LAYOUT,
        ('        yield "Clause", declaration.clause\n', '        yield "Clause", ""\n'),
        ("        rows = rows[::-1]\n", ""),
    ),
    *_in(
        f"{_P}/layout/lanes.py",
        LAYOUT,
        ("LANE = 32", "LANE = 16"),
    ),
    *_in(
        f"{_P}/layout/changes/compared.py",
        LAYOUT,
        ("    lambda part: (part.start, part.width),\n", ""),
        ('        (size, new.width != old.width),\n', ""),
        ("    if old is None or new is None or old.codes == new.codes:", "    if True:"),
    ),
    # clauses, their figures, and drafts
    *_in(
        f"{_P}/clauses/judged.py",
        SPEC,
        ("        yield from self._unchecked()\n", ""),
        ("        yield from self._ids()\n", ""),
        ("        yield from self._figures()\n", ""),
    ),
    *_in(
        f"{_P}/clauses/figures.py",
        SPEC,
        ('    "last": lambda field, cls, path: field.first + field.width - 1,\n', ""),
        ('    r"\\b[A-Z]+\\d+\\b",  # a name: CR8\n', ""),
    ),
    *_in(
        "specs/alternate-injection.md",
        SPEC,
        ("[9][doorbell-events@2024-05-16.vmpl2_as_meant bit]", "9"),
        ("[0b01][ConfigureRequest.DEREGISTER] (dereg", "[0b11][ConfigureRequest.DEREGISTER] (dereg"),
        ("**SCHED-4.**", "**SCHED-5.**"),
    ),
    *_in(
        "tests/conformance/test_words.py",
        SPEC,
        ('@pytest.mark.clause("EXIT-3")\n', ""),
    ),
    *_in(
        f"{_P}/drafts/prose.py",
        SPEC,
        *((f"    {each},\n", "") for each in (
            "_bits_of_a_word", "_bits_beside_a_name", "_numbers_of_names", "_numbers_of_calls",
            "_sizes", "_counts", "_registers",
        )),
    ),
    *_in(
        f"{_P}/drafts/tables.py",
        SPEC,
        ("    yield from _overlaps(found)\n", ""),
        ('_BITS = ("bit", "bits")', '_BITS = ("bit",)'),
    ),
    # exports
    *_in(
        f"{_EXPORT}/formats/syzlang.py",
        ("tests/conformance/test_export_syzlang.py",),
        ('* (field.width < 8 * size)', '* (field.width < 4 * size)'),
        ("for need in row.needs if need.test is None)]", "for need in row.needs)]"),
        ("const[{BUFFER_OFFSET:#x}, int64]", "const[0, int64]"),
        ("return f\"vmgexit_page_{row.name.lower()}\"", "return f\"vmgexit_{row.name.lower()}\""),
    ),
    *_in(
        f"{_EXPORT}/formats/python.py",
        ("tests/cli/test_export_cli.py",),
        ("if held or name not in _REGISTERS", "if held"),
        ('_REGISTERS = ("rcx", "rdx", "r8")', '_REGISTERS = ("rcx", "rdx", "r8", "pending")'),
    ),
    *_in(
        f"{_EXPORT}/cases.py",
        ("tests/cli/test_export_cli.py",),
        ("if profile or answer is None else answer", "if answer is None else answer"),
        ("            return found\n    if machine", "            pass\n    if machine"),
    ),
)  # fmt: skip

FEW = tuple(MUTANTS[at] for at in (2, 10, 24, 33, 37))
"""Those of the usual run: one of each room."""
