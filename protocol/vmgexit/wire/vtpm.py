"""The SVSM vTPM protocol (2): a TPM 2.0 command and its response in one 4 KiB buffer.

The numbers of platform commands are those of the TCG's simulator.

Sources: COCONUT-SVSM kernel/src/protocols/vtpm.rs, Linux drivers/char/tpm/tpm_svsm.c, edk2
OvmfPkg/Library/AmdSvsmLib.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import Bits, Problem, Record, bit, raw, reserved, structure, u8, u32
from .svsm import Call, Memory, Operand, Protocol, ResultCode

SOURCE = "COCONUT-SVSM kernel/src/protocols/vtpm.rs"

INPUT_SIZE = 4096 - 9
OUTPUT_SIZE = 4096 - 4


class VtpmCall(IntEnum):
    """Calls of protocol 2."""

    QUERY = 0
    COMMAND = 1


class PlatformCommand(IntEnum):
    """Platform commands: the first word of the buffer."""

    SEND_COMMAND = 8


@structure("vtpm-commands", size=8, source=SOURCE)
class VtpmCommands(Bits):
    """RCX that QUERY answers: platform commands supported, bit n for command n."""

    reserved_7_0: int = reserved(8)
    send_command: bool = bit("TPM_SEND_COMMAND")
    reserved_63_9: int = reserved(55)


@structure("vtpm-features", size=8, source=SOURCE)
class VtpmFeatures(Bits):
    """RDX that QUERY answers: no feature is defined."""

    reserved_63_0: int = reserved(64)


@structure("vtpm-request", size=4096, source=SOURCE)
class VtpmRequest(Record):
    """The buffer of COMMAND on the way in: TPM_SEND_COMMAND."""

    command: int = u32("Platform command", enum=PlatformCommand, value=PlatformCommand.SEND_COMMAND)
    locality: int = u8("Locality; others have no meaning yet", value=0)
    input_size: int = u32("Bytes of the TPM command; not aligned")
    input: bytes = raw(INPUT_SIZE, "TPM command")

    def broken(self) -> Iterator[Problem]:
        if self.input_size > INPUT_SIZE:
            yield Problem("input_size", self.input_size, f"at most {INPUT_SIZE} bytes fit", "")


@structure("vtpm-response", size=4096, source=SOURCE)
class VtpmResponse(Record):
    """The buffer of COMMAND on the way out.

    COCONUT-SVSM leaves the request in place, with SUCCESS, where the response does not fit.
    """

    output_size: int = u32("Bytes of the TPM response")
    output: bytes = raw(OUTPUT_SIZE, "TPM response")

    def broken(self) -> Iterator[Problem]:
        if self.output_size > OUTPUT_SIZE:
            yield Problem("output_size", self.output_size, f"at most {OUTPUT_SIZE} bytes fit", "")


VTPM_CALLS = (
    Call(
        Protocol.VTPM,
        VtpmCall.QUERY,
        "SVSM_VTPM_QUERY",
        "which platform commands and features are supported",
        outputs=(
            Operand("rcx", "platform commands", VtpmCommands),
            Operand("rdx", "features", VtpmFeatures),
        ),
    ),
    Call(
        Protocol.VTPM,
        VtpmCall.COMMAND,
        "SVSM_VTPM_COMMAND",
        "send a command to the TPM",
        inputs=(Operand("rcx", "guest-physical address of the buffer, any alignment"),),
        memory=(
            Memory("rcx", "command", VtpmRequest),
            Memory("rcx", "response, over the command", VtpmResponse, written=True),
        ),
        results=(
            ResultCode.SUCCESS,
            ResultCode.INVALID_PARAMETER,  # address 0, command, locality, size
            ResultCode.INVALID_ADDRESS,
            ResultCode.UNSUPPORTED_CALL,  # a platform command that is known and not supported
        ),
    ),
)
