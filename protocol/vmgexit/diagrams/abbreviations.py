"""The abbreviations that drawings use, explained beneath each drawing that has them."""

from __future__ import annotations

import re
from collections.abc import Iterable

CLAUSES: dict[str, str] = {
    "DESC": "a clause of specs/alternate-injection.md, on the doorbell page",
    "EXIT": "a clause of specs/alternate-injection.md, on exits to the host",
    "HOST": "an invariant of GHCB hosts, in specs/ghcb-host.md",
    "INV": "an invariant of Alternate Injection, in specs/alternate-injection.md",
    "MEM": "an invariant of SVSMs with memory, in specs/memory.md",
    "REG": "a clause of specs/alternate-injection.md, on registration",
    "SCHED": "a clause of specs/alternate-injection.md, on entering the guest",
}
"""What a clause is, by the beginning of its id."""

ABBREVIATIONS: dict[str, str] = {
    "#HV": "hypervisor injection exception, by which the host signals",
    "#MC": "machine check exception",
    "#VC": "VMM communication exception",
    "AP": "application processor, any vCPU but the first",
    "APIC": "advanced programmable interrupt controller",
    "CA": "calling area, by which a guest calls its SVSM",
    "CPL": "privilege level that the guest runs at, 0 to 3",
    "CPU": "processor",
    "CR8": "control register 8, the task priority",
    "EFER": "extended feature enable register",
    "EOI": "end of interrupt",
    "EVENTINJ": "VMSA field: the event that VMRUN injects",
    "EXITINTINFO": "VMSA field: the event whose delivery an exit cut short",
    "GPA": "guest-physical address",
    "GHCB": "guest-hypervisor communication block",
    "gpa": "guest-physical address",
    "HV": "hypervisor, the host",
    "ICR": "interrupt command register",
    "IF": "interrupt flag of the guest: 1 lets interrupts in",
    "info1": "SW_EXITINFO1, the first word of an exit",
    "info2": "SW_EXITINFO2, the second word of an exit",
    "IOIO": "access to an I/O port",
    "IPI": "inter-processor interrupt",
    "IRR": "interrupt request register: vectors that wait",
    "ISR": "in-service register: vectors that are being handled",
    "MSR": "model-specific register, here that of the GHCB",
    "NMI": "non-maskable interrupt",
    "PPR": "processor priority register",
    "PSMASH": "splits a 2 MiB page in the RMP",
    "PVALIDATE": "makes a page of guest memory valid or not valid",
    "RMP": "reverse map table: who owns each page",
    "RMPADJUST": "changes what a VMPL may do with a page",
    "SEV_FEATURES": "VMSA field: what of SEV is on for a vCPU",
    "SHA-256": "hash of the page's bytes",
    "SNP": "secure nested paging, of SEV",
    "SVSM": "secure VM service module, which runs in the guest at VMPL 0",
    "SW_SCRATCH": "GHCB field: address of the exit's data",
    "TMR": "trigger mode register: vectors that are level-triggered",
    "TPM": "trusted platform module",
    "TPR": "task priority register",
    "V_IRQ": "virtual interrupt of VINTR_CTRL, taken when the guest can",
    "VM": "virtual machine",
    "VMGEXIT": "instruction by which a guest exits to its host",
    "VMPL": "virtual machine privilege level, 0 to 3",
    "VMRUN": "instruction by which a vCPU is entered",
    "VMSA": "VM save area: the state of a vCPU at one VMPL",
    "XCR0": "extended control register 0",
    "XSS": "register of extended supervisor state",
    "vCPU": "virtual processor",
}

REGISTERS = ("RAX", "RBX", "RCX", "RDX", "RSI", "R8")
"""Names rather than abbreviations: one line says what they are."""

_CLAUSE = re.compile(r"\b([A-Z]+)-[0-9]")
_WORD = re.compile(r"(?<![A-Za-z0-9_])(#?[A-Za-z][A-Za-z_]*(?:-256|[0-9])?)")


def explained(texts: Iterable[str]) -> list[tuple[str, str]]:
    """The abbreviations that stand in the texts, with their meanings; clauses come first."""
    found, clauses = set(), set()
    for text in texts:
        clauses.update(_CLAUSE.findall(text))
        for word in _WORD.findall(text):
            found.update({word, word.rstrip("0123456789"), word.rstrip("s"), *word.split("_")})
    told = [(f"{name}-n", meaning) for name, meaning in CLAUSES.items() if name in clauses]
    if registers := [name for name in REGISTERS if name in found]:
        told.append((", ".join(registers), f"register{'s' * (len(registers) > 1)} of the vCPU"))
    short = [name for name in ABBREVIATIONS if name in found]
    return told + [(name, ABBREVIATIONS[name]) for name in sorted(short, key=str.casefold)]
