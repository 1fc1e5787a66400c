"""KVM's planes: how user space makes the VMPLs of a guest, and is told that one is missing.

Source: KVM planes series, June 2026 (mail), include/uapi/linux/kvm.h; the exit is of patch 30.
"""

from __future__ import annotations

from ..schema import Code, Record, raw, structure, u32, u64

SOURCE = "KVM planes series, June 2026 (mail), include/uapi/linux/kvm.h"


class KvmPlanes(Code):
    """Number of KVM's interface for planes, each of its own list."""

    CREATE_PLANE = 0xAED6, "ioctl of a VM, _IO(0xAE, 0xD6): make a plane"
    CREATE_VCPU_PLANE = 0xAED7, "ioctl of a plane, _IO(0xAE, 0xD7): make a vCPU in it"
    CAP_PLANES = 249, "capability: how many planes a VM can have"
    EXIT_PLANE_EVENT = 44, "exit reason: user space must do something for a plane"


class PlaneEvent(Code):
    """What user space must do for a plane."""

    CREATE_VCPU = 1, "make the vCPU that the guest runs at another VMPL"


@structure("kvm-plane-event", size=72, source=SOURCE)
class KvmPlaneEvent(Record):
    """What KVM tells user space at the exit PLANE_EVENT."""

    cause: int = u32("What is to be done", enum=PlaneEvent)
    plane: int = u32("Number of the plane: the VMPL")
    apic_id: int = u64("APIC ID of the vCPU to make", spec="extra[0]")
    extra: bytes = raw(56, "Not used by CREATE_VCPU", spec="extra[1..7]")
