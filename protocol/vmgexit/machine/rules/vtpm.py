"""The calls of the vTPM protocol: a command to the TPM and its response, in one buffer of the guest.

Facts: COCONUT-SVSM kernel/src/protocols/vtpm.rs.
"""

from __future__ import annotations

from ...wire.svsm import ResultCode
from ...wire.vtpm import (
    INPUT_SIZE,
    OUTPUT_SIZE,
    PlatformCommand,
    VtpmCall,
    VtpmCommands,
    VtpmRequest,
    VtpmResponse,
)
from ..vm import Vcpu
from .operands import Refused, Registers, fetch, memory_of, reach, require_free

_COMMAND_SIZE = VtpmRequest.declaration["command"].width // 8


def serve(cpu: Vcpu, call: int, registers: Registers) -> None:
    """Carry out a call of the vTPM protocol."""
    match call:
        case VtpmCall.QUERY:
            registers.rcx = int(VtpmCommands(send_command=True))
            registers.rdx = 0
        case VtpmCall.COMMAND:
            _command(cpu, registers.rcx)
        case _:
            raise Refused(ResultCode.UNSUPPORTED_CALL)


def _command(cpu: Vcpu, address: int) -> None:
    if not address:
        raise Refused(ResultCode.INVALID_PARAMETER)
    number = int.from_bytes(fetch(cpu, address, _COMMAND_SIZE), "little")
    if number != PlatformCommand.SEND_COMMAND:
        raise Refused(ResultCode.INVALID_PARAMETER)
    memory = memory_of(cpu)
    require_free(cpu, address, VtpmRequest.size)
    reach(cpu, address, VtpmRequest.size)
    buffer = memory.read(address, VtpmRequest.size)
    request = VtpmRequest.decode(buffer)
    if request.locality or request.input_size > INPUT_SIZE:
        raise Refused(ResultCode.INVALID_PARAMETER)
    memory.did.append(["tpm", request.input_size])
    response = cpu.vm.devices.tpm.execute(request.input[: request.input_size])
    memory.write(address, _answered(cpu, buffer, response))


def _answered(cpu: Vcpu, buffer: bytes, response: bytes) -> bytes:
    """What the buffer holds afterwards."""
    quirks = cpu.vm.quirks
    if not response or len(response) > len(buffer):
        raise Refused(ResultCode.INVALID_REQUEST)
    if len(response) > OUTPUT_SIZE:
        if quirks.tpm_response_dropped:
            return buffer
        raise Refused(ResultCode.INVALID_REQUEST)
    made = VtpmResponse(
        output_size=len(response), output=response.ljust(OUTPUT_SIZE, b"\0")
    ).encode()
    if quirks.tpm_echo:
        used = len(made) - OUTPUT_SIZE + len(response)
        return made[:used] + buffer[used:]
    return made
