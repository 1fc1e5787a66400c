"""A short scenario for each bug of the host in C, and what its finding is called."""

from vmgexit.descriptions import Command
from vmgexit.wire.exit_codes import ExitCode, IoioInfo
from vmgexit.wire.ghcb import GhcbPage

Commands = list[Command]

GPA = 0x7000
INIT: Command = {"op": "init", "registered": GPA}
NO_SIZE = int(IoioInfo(port=0x80, address_16=True))
ONE_ENTRY = (1 << 52 | 0x40000 << 12).to_bytes(8, "little")  # make a page private


def exits(code: ExitCode | int, info1: int = 0, info2: int = 0, **fields: int | bytes) -> Command:
    """An exit with a page, all of whose fields are marked valid."""
    page = GhcbPage.for_exit(ExitCode.INVD, gpa=GPA)
    head = {"sw_exit_code": int(code), "sw_exit_info_1": info1, "sw_exit_info_2": info2}
    for name, value in {**head, **fields}.items():
        if isinstance(value, bytes):
            page.write_buffer(value)
            continue
        setattr(page, name, value)
        if name != "ghcb_usage":
            page.mark(name)
    return {"op": "vmgexit", "gpa": GPA, "page": [[0, page.encode().hex()]]}


BUGS: dict[str, tuple[str, Commands]] = {
    "rdtsc": ("rdtsc-ends-run", [INIT, exits(ExitCode.RDTSC)]),
    "size": ("io-size-zero-done", [INIT, exits(ExitCode.IOIO, NO_SIZE, rax=0x41)]),
    "write": ("msr-any-nonzero-writes", [INIT, exits(ExitCode.MSR, 2, rcx=0x10, rax=1, rdx=0)]),
    "entry": (
        "psc-small-entry-marked-one",
        [
            INIT,
            exits(
                ExitCode.SNP_PAGE_STATE_CHANGE,
                sw_scratch=GPA + 0x800,
                shared_buffer=bytes(8) + ONE_ENTRY,
            ),
        ],
    ),
    "response": (
        "response-page-always-written",
        [INIT | {"firmware_error": 22}, exits(ExitCode.SNP_GUEST_REQUEST, 0x10000, 0x11000)],
    ),
    "frame": ("msr-any-frame-registered", [INIT, {"op": "msr", "request": 1 << 40 | 0x012}]),
    "usage": ("not refused as INVALID_USAGE", [INIT, exits(ExitCode.INVD, ghcb_usage=1)]),
    "bound": (
        "not refused as INVALID_SCRATCH_AREA",
        [INIT, exits(ExitCode.MMIO_WRITE, 0xFEE00000, 8, sw_scratch=GPA + 0xFF0)],
    ),
    "rdx": ("the exit CPUID: valid lacks rdx", [INIT, exits(ExitCode.CPUID, rax=0, rcx=0)]),
    "fetch": (
        "the exit MSR: valid lacks rax, rdx",
        [INIT, exits(ExitCode.MSR, rcx=0x10) | {"meanwhile": [[0x398, "01"]]}],
    ),
}
"""What `./adapter --bugs NAME` switches on: the finding's cause, and a scenario that shows it."""
