"""Codes that no layout lists, one by one as their sources have them."""

from vmgexit.wire.firmware_status import FirmwareCommand
from vmgexit.wire.termination import GeneralReason, LinuxReason

# Linux include/linux/psp-sev.h, enum sev_cmd; AMD #56860 for what Linux has no name of.
FIRMWARE_COMMANDS = """
81 INIT  82 SHUTDOWN  83 PLATFORM_STATUS  84 DF_FLUSH  85 INIT_EX  86 SHUTDOWN_EX
90 DECOMMISSION  91 ACTIVATE  92 GUEST_STATUS  93 GCTX_CREATE  94 GUEST_REQUEST  95 ACTIVATE_EX
a0 LAUNCH_START  a1 LAUNCH_UPDATE  a2 LAUNCH_FINISH
b0 DBG_DECRYPT  b1 DBG_ENCRYPT  b2 VERIFY_MITIGATION
c0 PAGE_SWAP_OUT  c1 PAGE_SWAP_IN  c2 PAGE_MOVE  c3 PAGE_MD_INIT  c6 PAGE_SET_STATE
c7 PAGE_RECLAIM  c8 PAGE_UNSMASH  c9 CONFIG  ca DOWNLOAD_FIRMWARE_EX  cb COMMIT
cd VLEK_LOAD  ce FEATURE_INFO
d0 TIO_STATUS  d1 TIO_INIT  d2 TIO_DEV_CREATE  d3 TIO_DEV_RECLAIM  d4 TIO_DEV_CONNECT
d5 TIO_DEV_DISCONNECT
"""

# Linux arch/x86/include/asm/sev-common.h, GHCB_TERM_REGISTER and what follows.
LINUX_REASONS = """
REGISTER PSC PVALIDATE NOT_VMPL0 CPUID CPUID_HV SECRETS_PAGE NO_SVSM SVSM_VMPL0 SVSM_CAA SECURE_TSC
SVSM_CA_REMAP_FAIL SAVIC_FAIL
"""


def test_commands_of_the_firmware() -> None:
    words = iter(FIRMWARE_COMMANDS.split())
    expected = {name: int(code, 16) for code, name in zip(words, words, strict=True)}
    found = {each.name.removeprefix("SNP_"): int(each) for each in FirmwareCommand}
    assert found == expected


def test_reasons_of_a_termination() -> None:
    assert [each.name for each in sorted(LinuxReason)] == LINUX_REASONS.split()
    assert [int(each) for each in LinuxReason] == list(range(13))
    assert [int(each) for each in GeneralReason] == [0, 1, 2]
