"""A short scenario for each bug of the peers: with the bug its last answer is another one."""

from vmgexit.descriptions import Command
from vmgexit.machine.commands import call
from vmgexit.wire.apic import ApicCall, ApicRegister, ConfigureRequest

Commands = list[Command]

INIT: Command = {"op": "init", "cpus": 1, "reg_count": 1}
ENTER: Command = {"op": "enter", "cpu": 0}
TAKE: Command = {"op": "guest_take", "cpu": 0}
OPEN: Command = {"op": "guest", "cpu": 0, "if": True, "shadow": False}
EOI = call(0, ApicCall.WRITE_REGISTER, ApicRegister.EOI)


def allow(vector: int) -> Command:
    return call(0, ApicCall.CONFIGURE_VECTOR, 1 << 8 | vector)


def post(vector: int, *, level: bool = False) -> Command:
    return {"op": "host_irq", "cpu": 0, "vector": vector, "level": level}


def read(register: int) -> Command:
    return call(0, ApicCall.READ_REGISTER, register)


def configure(request: ConfigureRequest) -> Command:
    return call(0, ApicCall.CONFIGURE_EMULATION, request)


DOORBELL: Command = {"op": "doorbell", "cpu": 0}
IN_SERVICE = [INIT, allow(0x47), OPEN, post(0x47), ENTER, TAKE]

REFUSED: Commands = [
    INIT,
    {"op": "host_refuse", "cpu": 0, "call": "disable_alternate_injection"},
    configure(ConfigureRequest.DEREGISTER),
]
"""A host refuses what cannot be refused: every right SVSM stops."""

SHOWS: dict[str, Commands] = {
    "ppr": [*IN_SERVICE, read(ApicRegister.PPR)],
    "vector-31": [
        INIT,
        allow(31),
        call(0, ApicCall.WRITE_REGISTER, ApicRegister.TPR, 0x30),
        post(31),
        ENTER,
        configure(ConfigureRequest.DEREGISTER),
        DOORBELL,
    ],
    "level-eoi": [INIT, post(0x61, level=True), ENTER],
    "register": [
        {**INIT, "reg_count": 0},
        configure(ConfigureRequest.REGISTER),
    ],
    "lazy": [INIT, allow(0x61), OPEN, post(0x61, level=True), ENTER],
    "oldest": [
        *IN_SERVICE,
        allow(0x61),
        post(0x61),
        ENTER,
        TAKE,
        EOI,
        read(ApicRegister.ISR2),
    ],
    "last-word": [INIT, allow(0xE3), OPEN, post(0x40), post(0xE3), ENTER],
    "ldr": [{**INIT, "apic_ids": [17]}, read(ApicRegister.LDR)],
    "window": [
        INIT,
        allow(0x61),
        OPEN,
        {**ENTER, "late": [{"vector": 0x61, "level": False}]},
    ],
    "refused": [
        {**INIT, "cpus": 2},
        {"op": "host_refuse", "cpu": 0, "call": "hv_ipi"},
        call(0, ApicCall.WRITE_REGISTER, ApicRegister.ICR, 1 << 32 | 0x61),
    ],
}
