"""Guests as tables: what Linux and OVMF call, by hand from their sources, and what they never do."""

import pytest

from vmgexit.descriptions import Command
from vmgexit.errors import UsageError
from vmgexit.guests.guest import objections
from vmgexit.guests.linux import LINUX
from vmgexit.guests.ovmf import OVMF
from vmgexit.guests.profiles import find_guest
from vmgexit.guests.values import Setting
from vmgexit.machine.commands import call

CORE, ATTESTATION, VTPM, APIC = range(4)
CONFIGURE, READ, WRITE, ALLOW = 1, 2, 3, 4

LINUX_CALLS = {
    "reads its APIC id": call(0, READ, 0x802),
    "reads IRR word 7": call(0, READ, 0x827),
    "reads the ICR": call(0, READ, 0x830),
    "TPR as setup_local_APIC writes it": call(0, WRITE, 0x808, 0x10),
    "EOI": call(0, WRITE, 0x80B, 0),
    "IPI 0xfd to APIC id 3": call(0, WRITE, 0x830, 3 << 32 | 0xFD),
    "IPI to all but itself": call(0, WRITE, 0x830, 0xC00FB),
    "IPI to itself": call(0, WRITE, 0x830, 0x400F6),
    "NMI to APIC id 1": call(0, WRITE, 0x830, 1 << 32 | 0x400),
    "NMI to all": call(0, WRITE, 0x830, 0x80400),
    "REMAP_CA": call(0, 0, 0x1234000, protocol=CORE),
    "PVALIDATE": call(0, 1, 0x1234008, protocol=CORE),
    "CREATE_VCPU": call(0, 2, 0x5000, 0x9000, 2, protocol=CORE),
    "vTPM query": call(0, 0, protocol=VTPM),
    "a new VMSA": {"op": "set_vmsa", "cpu": 1},
    "cli": {"op": "guest", "cpu": 0, "if": False, "shadow": False},
}

NEVER_LINUX = {
    "LDR": (call(0, READ, 0x80D), "RCX 0x80d"),
    "EOI is read by nobody": (call(0, READ, 0x80B), "RCX 0x80b"),
    "SELF_IPI": (call(0, WRITE, 0x83F, 0x41), "RCX 0x83f"),
    "another TPR": (call(0, WRITE, 0x808, 0x3F), "RDX 0x3f"),
    "EOI 1": (call(0, WRITE, 0x80B, 1), "RDX 0x1"),
    "logical": (call(0, WRITE, 0x830, 1 << 32 | 0x800 | 0xFD), "RDX 0x1000008fd"),
    "an exception's vector": (call(0, WRITE, 0x830, 0x1F), "RDX 0x1f"),
    "an NMI with a vector": (call(0, WRITE, 0x830, 0x402), "RDX 0x402"),
    "assert": (call(0, WRITE, 0x830, 0x40FD), "RDX 0x40fd"),
    "destination beside a shorthand": (call(0, WRITE, 0x830, 1 << 32 | 0xC00FD), "RDX"),
    "deregisters": (call(0, CONFIGURE, 1), "SVSM_APIC_CONFIGURE_EMULATION"),
    "allows": (call(0, ALLOW, 0x300), "SVSM_APIC_CONFIGURE_VECTOR"),
    "no such call": (call(0, 9, protocol=7), "call 9 of protocol 7"),
    "lazy EOI": ({"op": "guest_lazy_eoi", "cpu": 0}, "calling area"),
    "CR8": ({"op": "guest", "cpu": 0, "if": True, "shadow": False, "cr8": 3}, "CR8"),
    "VMSA with an event": ({"op": "set_vmsa", "cpu": 0, "event_inj": 0x80000031}, "EVENTINJ"),
    "VMSA with V_IRQ": ({"op": "set_vmsa", "cpu": 0, "vintr": 0x300}, "VINTR_CTRL 0x0 or 0x200"),
}


@pytest.mark.parametrize("command", LINUX_CALLS.values(), ids=LINUX_CALLS)
def test_linux_does_that(command: Command) -> None:
    assert LINUX.objection(command) == ""


@pytest.mark.parametrize(("command", "named"), NEVER_LINUX.values(), ids=NEVER_LINUX)
def test_linux_never_does_that(command: Command, named: str) -> None:
    assert named in LINUX.objection(command)


def test_ovmf_lays_a_vcpu_out_as_two_pages_that_begin_no_large_page() -> None:
    def create(vmsa: int, area: int) -> Command:
        return call(0, 2, vmsa, area, 1, protocol=CORE)

    assert OVMF.objection(create(0x7000, 0x8000)) == ""
    assert "the page after RCX" in OVMF.objection(create(0x7000, 0x9000))
    assert "2 MiB" in OVMF.objection(create(0x400000, 0x401000))


def test_ovmf_has_no_apic_protocol_and_leaves_unused_registers_as_they_are() -> None:
    assert "SVSM_APIC_WRITE_REGISTER" in OVMF.objection(call(0, WRITE, 0x80B, 0))
    assert OVMF.objection(call(0, 1, 0x9008, 0xDEAD, 0xBEEF, protocol=CORE)) == ""
    assert "RDX 0xdead" in LINUX.objection(call(0, 1, 0x9008, 0xDEAD, protocol=CORE))


@pytest.mark.parametrize("guest", [LINUX, OVMF], ids=["linux", "ovmf"])
def test_a_guest_does_all_that_its_table_gives(guest: object) -> None:
    assert guest is LINUX or guest is OVMF
    setting = Setting((0, 5), (2, 0x41), (0x30001000,))
    made = [command for _, command in guest.calls(1, setting)]
    assert len(made) == len({tuple(command.values()) for command in made}) > 3
    assert not objections(guest, made)


def test_linux_ends_itself_on_what_its_drivers_do_not_repeat() -> None:
    eoi = call(0, WRITE, 0x80B, 0)
    assert LINUX.ending(eoi, {"rax": 0}) == ""
    assert LINUX.ending(eoi, {"rax": 0x80000000}) == ""  # incomplete
    assert LINUX.ending(eoi, {"rax": 0x80000007}) == ""  # busy
    assert "0x80000001" in LINUX.ending(eoi, {"rax": 0x80000001})
    assert "calling area" in LINUX.ending(call(0, 0, 0x1000, protocol=CORE), {"rax": 0x80000003})
    assert LINUX.ending(call(0, 0, protocol=VTPM), {"rax": 0x80000001}) == ""  # no vTPM then
    assert LINUX.ending({"op": "guest_take", "cpu": 0}, {"taken": "none"}) == ""


def test_an_unknown_guest_is_named_with_those_there_are() -> None:
    assert find_guest("") is None
    assert find_guest("linux") is LINUX
    with pytest.raises(UsageError, match="unknown guest windows; there are linux, ovmf"):
        find_guest("windows")
