"""Registration for Alternate Injection: the count of the VM, and the state machine that it replaced.

Both are tables, with a row for each state and request. `configure` is the current protocol (REG-1
to REG-8). `LockMachine` is the protocol of the May 16, 2024 draft (REG-9), which the count
superseded; it is kept so that it can be decoded, run and drawn beside the current one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ...wire.apic import ConfigureRequest, LockRequest
from ...wire.svsm import ResultCode
from ..vm import Vcpu

FULL = (1 << 32) - 1


class Level(Enum):
    """What the count amounts to."""

    OFF = "0"
    ON = "1 or more"
    AT_MOST = "2^32 - 1"


@dataclass(frozen=True, slots=True)
class Change:
    """What a request does: to the count, to this vCPU if the count is then 0, and its answer."""

    step: int
    aligns: bool
    result: ResultCode


_SUCCESS, _REFUSED = ResultCode.SUCCESS, ResultCode.CANNOT_REGISTER

# A count of 0 is off and stays so (REG-3). Deregistering never fails.
CHANGES: dict[tuple[int, Level], Change] = {
    (ConfigureRequest.ALIGN, Level.OFF): Change(0, True, _SUCCESS),
    (ConfigureRequest.ALIGN, Level.ON): Change(0, False, _SUCCESS),
    (ConfigureRequest.ALIGN, Level.AT_MOST): Change(0, False, _SUCCESS),
    (ConfigureRequest.DEREGISTER, Level.OFF): Change(0, True, _SUCCESS),
    (ConfigureRequest.DEREGISTER, Level.ON): Change(-1, True, _SUCCESS),
    (ConfigureRequest.DEREGISTER, Level.AT_MOST): Change(-1, True, _SUCCESS),
    (ConfigureRequest.REGISTER, Level.OFF): Change(0, False, _REFUSED),
    (ConfigureRequest.REGISTER, Level.ON): Change(1, False, _SUCCESS),
    (ConfigureRequest.REGISTER, Level.AT_MOST): Change(0, False, _REFUSED),
}


def configure(cpu: Vcpu, request: int) -> tuple[ResultCode, bool]:
    """Carry out a vCPU's request: (result, must this vCPU now be disabled).

    Any request but 0b00, 0b01 and 0b10 is refused (REG-2).
    """
    change = CHANGES.get((request, level(cpu.vm.registration_count)))
    if change is None:
        return ResultCode.INVALID_PARAMETER, False
    cpu.vm.registration_count += change.step
    return change.result, change.aligns and not cpu.vm.registration_count


def level(count: int) -> Level:
    """What a registration count amounts to. Alternate Injection is enabled while it is above 0."""
    return Level.OFF if not count else Level.ON if count < FULL else Level.AT_MOST


class Lock(Enum):
    """States of the superseded machine. Disabled is final; Locked refuses to be disabled."""

    ENABLED = "Enabled"
    LOCKED = "Locked"
    DISABLED = "Disabled"


CANNOT_DISABLE = 0x80001000
CANNOT_LOCK = 0x80001001

# State and request, to the next state and the result (COCONUT-SVSM commit 6c5a3650).
LOCK_TABLE: dict[tuple[Lock, int], tuple[Lock, int]] = {
    (Lock.ENABLED, LockRequest.DISABLED): (Lock.DISABLED, ResultCode.SUCCESS),
    (Lock.ENABLED, LockRequest.ENABLED): (Lock.ENABLED, ResultCode.SUCCESS),
    (Lock.ENABLED, LockRequest.LOCKED): (Lock.LOCKED, ResultCode.SUCCESS),
    (Lock.LOCKED, LockRequest.DISABLED): (Lock.LOCKED, CANNOT_DISABLE),
    (Lock.LOCKED, LockRequest.ENABLED): (Lock.ENABLED, ResultCode.SUCCESS),
    (Lock.LOCKED, LockRequest.LOCKED): (Lock.LOCKED, ResultCode.SUCCESS),
    (Lock.DISABLED, LockRequest.DISABLED): (Lock.DISABLED, ResultCode.SUCCESS),
    (Lock.DISABLED, LockRequest.ENABLED): (Lock.DISABLED, ResultCode.SUCCESS),  # ignored
    (Lock.DISABLED, LockRequest.LOCKED): (Lock.DISABLED, CANNOT_LOCK),
}


@dataclass(slots=True)
class LockMachine:
    """The Enabled / Locked / Disabled machine of the May 16 draft."""

    state: Lock = Lock.ENABLED

    def configure(self, request: int) -> int:
        """Carry out a request and answer its result code."""
        refused = (self.state, ResultCode.INVALID_PARAMETER)
        self.state, result = LOCK_TABLE.get((self.state, request), refused)
        return int(result)
