"""IN and OUT, their string forms, and MMIO: what goes to and comes from devices."""

from __future__ import annotations

from ...descriptions import U64
from ...wire.exit_codes import ExitCode, IoioInfo, MalformedInput
from ...wire.ghcb import BUFFER_SIZE, MMIO_LIMIT
from ...wire.page_size import PAGE
from ..request import INVALID, CarryOut, Refused, Request, Stop

MOST = (1 << 31) - 1  # elements, and bytes, of a string form in KVM


def ioio(request: Request) -> None:
    info, count = IoioInfo.of(request.sw_exit_info_1), request.sw_exit_info_2
    size = request.sw_exit_info_1 >> 4 & 7
    _check(request, info, size)
    if not size:
        return
    if info.string:
        _string(request, info, size, count)
    elif info.is_in:
        request.ask("in", info.port, size)
        value = request.vm.setup.device_byte * (0x0101010101010101 >> 8 * (8 - size))
        if size < 4:  # a shorter IN leaves the rest of RAX
            value |= request.rax >> 8 * size << 8 * size
        request.results["rax"] = value
    else:
        data = request.rax.to_bytes(8, "little")[:size]
        request.ask("out", info.port, size, data.hex())


def _check(request: Request, info: IoioInfo, size: int) -> None:
    quirks = request.quirks
    for problem in info.problems():
        if problem.path == "size_8":
            passes = quirks.io_size_combined if size else quirks.io_size_zero_done
        else:
            passes = quirks.io_reserved_ignored
        if not passes:
            raise Refused(MalformedInput.INVALID_INPUT)


def _string(request: Request, info: IoioInfo, size: int, count: int) -> None:
    quirks, length = request.quirks, size * count
    if quirks.string_length_overflow_ends_run and (count > MOST or length > MOST):
        raise Stop("error", INVALID)
    if not count:
        return
    too_long = request.version >= 2 and length > BUFFER_SIZE
    if too_long and not quirks.string_too_long_is_scratch:
        raise Refused(MalformedInput.INVALID_INPUT)
    area = request.scratch(length, brings=info.is_in)
    for done in range(0, count, PAGE // size):
        elements = min(PAGE // size, count - done)
        at, piece = size * done, size * elements
        if info.is_in:
            request.ask("ins", info.port, size, elements)
            area.store(at, bytes([request.vm.setup.device_byte]) * piece)
        else:
            request.ask("outs", info.port, size, elements, area.load(at, piece).hex())


def mmio(request: Request) -> None:
    gpa, length = request.sw_exit_info_1, request.sw_exit_info_2
    if not length:
        return
    if request.version >= 2 and length > MMIO_LIMIT:
        raise Refused(MalformedInput.INVALID_INPUT)
    reads = request.field("sw_exit_code") == ExitCode.MMIO_READ
    area = request.scratch(length, brings=reads)
    for at in range(0, length, MMIO_LIMIT):
        piece = min(MMIO_LIMIT, length - at)
        if reads:
            request.ask("mmio-read", gpa + at & U64, piece)
            area.store(at, bytes([request.vm.setup.device_byte]) * piece)
        else:
            request.ask("mmio-write", gpa + at & U64, area.load(at, piece).hex())


EXITS: dict[int, CarryOut] = {
    ExitCode.IOIO: ioio,
    ExitCode.MMIO_READ: mmio,
    ExitCode.MMIO_WRITE: mmio,
}
