"""The VM that a host runs: what it was set up with, and what an exit needs to know of those before it.

`Setup` is what a recording's `vm` says: memory, devices, counters, MSRs and CPUID, firmware and user space.
No profile changes any of it. `Vm` is the state over time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ..descriptions import U8, U32, U64, Bytes, Flag, Holds, Kind, Number
from .kinds import Leaves, Maybe, Pieces
from .memory import GuestMemory, PageStates

_U8, _U32, _U64 = Number(U8), Number(U32), Number(U64)
_COUNT = Number(U32, holds=Holds.COUNT)

MEMORY_TOP = 1 << 32  # unless a set-up says otherwise

CpuidLeaf = tuple[int, int | None, int, int, int, int]
"""Leaf, sub-leaf (None: not looked at), EAX, EBX, ECX, EDX."""

CPUID: tuple[CpuidLeaf, ...] = (
    (0x0, None, 0x10, 0x68747541, 0x444D4163, 0x69746E65),
    (0x1, None, 0xA20F12, 0x80800, 0xFEDA3203, 0x178BFBFF),
    (0x7, 0, 0x2, 0x219C97A9, 0x40069C, 0x10),
    (0xD, 0, 0x207, 0x340, 0x988, 0x0),
    (0xD, 1, 0xF, 0x340, 0x0, 0x0),
    (0xD, 2, 0x100, 0x240, 0x0, 0x0),
    (0x80000000, None, 0x80000028, 0x68747541, 0x444D4163, 0x69746E65),
    (0x80000008, None, 0x3034, 0x111ED205, 0x7007, 0x0),
    (0x8000001F, None, 0x12, 0x33, 0x1FD, 0x1),
)
"""The model of the recordings; every other leaf is zero."""


def _key(kind: Kind, default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"kind": kind, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Setup:
    """What a VM was set up with, by the keys of a recording's `vm`."""

    ghcb_version: int = _key(Number(2, 1), 2, "GHCB version that the VM was set up with")
    snp: bool = _key(Flag(), True, "SEV-SNP, else SEV-ES")
    vmsa_features: int = _key(_U64, 1, "SEV features of its VMSAs")
    features: int | None = _key(
        Maybe(Number((1 << 52) - 1)),
        None,
        "hypervisor features that it announces; null: the host's own",
    )
    c_bit: int = _key(Number(63, holds=Holds.COUNT), 51, "position of the C-bit")
    registered: int = _key(_U64, 0, "address of the GHCB that is registered; 0 = none")
    vcpus: int = _key(Number(4096, 1, Holds.COUNT), 8, "vCPUs, with APIC IDs 0, 1, ...")
    address_bits: int = _key(Number(64, 12, Holds.COUNT), 52, "width of guest-physical addresses")
    memory_top: int = _key(_U64, MEMORY_TOP, "end of guest memory, which begins at 0")
    memory: tuple[tuple[int, str], ...] = _key(Pieces(), (), "addresses and hex; the rest is zero")
    device_byte: int = _key(_U8, 0, "every byte that a read of a port or of MMIO gives")
    map_exit: bool = _key(Flag(), True, "user space takes page mappings")
    map_fails_at: int | None = _key(Maybe(_COUNT), None, "number of the mapping that it fails")
    page_budget: int | None = _key(
        Maybe(Number(U32, 1, Holds.COUNT)),
        None,
        "pages after which it leaves a page list",
    )
    firmware_error: int = _key(_U32, 0, "what the firmware answers to a message")
    certificates: str = _key(Bytes(), "", "certificate table of the host, in hex")
    msr_value: int = _key(_U64, 0, "what RDMSR gives")
    msr_fault: bool = _key(Flag(), False, "accesses to MSRs fault")
    pmc_value: int = _key(_U64, 0, "what RDPMC gives")
    pmc_fault: bool = _key(Flag(), False, "RDPMC faults")
    tsc_value: int = _key(_U64, 0, "what RDTSC gives")
    tsc_aux: int = _key(_U32, 0, "TSC_AUX, which RDTSCP gives too")
    jump_table: int = _key(_U64, 0, "address of the AP jump table, set earlier")
    sipi: bool = _key(Flag(), False, "a start-up IPI follows an AP reset hold")
    cpuid: tuple[CpuidLeaf, ...] = _key(Leaves(), CPUID, "leaf, sub-leaf, EAX, EBX, ECX, EDX")


KEYS: dict[str, dataclasses.Field[Any]] = {one.name: one for one in dataclasses.fields(Setup)}
"""The keys of a set-up, each with `kind` and `meaning` as its metadata."""


@dataclass(slots=True)
class Vmsa:
    """A VMSA that a guest gave for one VMPL of a vCPU."""

    gpa: int
    features: int  # as RAX said
    starts: bool  # at once; else at the next INIT


def _kept(meaning: str) -> dict[str, str]:
    """The metadata of a field of `Vcpu`."""
    return {"meaning": meaning}


@dataclass(slots=True)
class Vcpu:
    """What a host keeps of one vCPU. The kits of hosts have a field for each, with its meaning."""

    apic_id: int
    registered: int = field(metadata=_kept("address of its GHCB, 0 = none"))
    vmsas: dict[int, Vmsa] = field(
        default_factory=dict, metadata=_kept("the VMSAs that a guest gave, by VMPL")
    )
    held: bool = field(default=False, metadata=_kept("waits for a start-up IPI"))
    held_by: int = field(
        default=0, metadata=_kept("address of the page by which it waits, 0 = the MSR")
    )
    vmpl: int = field(default=0, metadata=_kept("that runs"))
    doorbell: int | None = field(default=None, metadata=_kept("address of its #HV doorbell page"))
    avic_page: int | None = field(default=None, metadata=_kept("backing page of its secure AVIC"))
    # What waits to be told to VMPL 0 (`restricted`), and what the last entry injected.
    waiting_irqs: list[int] = field(
        default_factory=list, metadata=_kept("vectors that wait for VMPL 0, in ascending order")
    )
    waiting_nmi: bool = field(default=False, metadata=_kept("an NMI waits for VMPL 0"))
    waiting_machine_check: bool = field(
        default=False, metadata=_kept("a machine check waits for VMPL 0")
    )
    event_inj: int = field(default=0, metadata=_kept("what the last entry injected"))
    notify_vector: int | None = field(
        default=None, metadata=_kept("raised for VMPL 0 when a lower one has events")
    )

    def has(self, vmpl: int) -> bool:
        """Whether there is a VMSA for this VMPL: the first runs at VMPL 0."""
        return not vmpl or vmpl in self.vmsas


@dataclass(slots=True)
class Vm:
    """A VM over time."""

    setup: Setup
    memory: GuestMemory
    vcpus: list[Vcpu]
    jump_table: int
    pages: PageStates = field(default_factory=PageStates)
    mappings: int = 0  # that user space was asked for
    ended: bool = False  # terminated, or KVM_RUN failed
    vmpl_features: dict[int, int] = field(
        default_factory=dict
    )  # SEV features of VMPL 1 to 3, once given

    def features_of(self, vmpl: int, given: int) -> int:
        """The SEV features of a VMPL. Those of VMPL 1 to 3 are what is first given for it."""
        return self.vmpl_features.setdefault(vmpl, given) if vmpl else self.setup.vmsa_features

    @classmethod
    def of(cls, setup: Setup) -> Vm:
        """A VM as it is set up."""
        vcpus = [Vcpu(apic_id, setup.registered) for apic_id in range(setup.vcpus)]
        return cls(setup, GuestMemory(setup.memory_top, setup.memory), vcpus, setup.jump_table)
