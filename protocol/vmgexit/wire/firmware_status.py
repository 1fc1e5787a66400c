"""Error words of guest requests: what the firmware says, and what the host says for itself; its commands.

Sources: zyuiop/ghcb src/structures/snp_guest_request/mod.rs and Linux include/uapi/linux/psp-sev.h
(firmware; from 0x28 on Linux alone), Linux include/uapi/linux/sev-guest.h (host),
Linux include/linux/psp-sev.h (commands of SEV-SNP and SEV-TIO).
"""

from __future__ import annotations

from ..schema import Code

COMMANDS_SOURCE = "Linux include/linux/psp-sev.h"


class FirmwareStatus(Code):
    """Status of the SEV firmware: SW_EXITINFO2 bits 31:0 after a guest request."""

    SUCCESS = 0
    INVALID_PLATFORM_STATE = 0x01, "not in the state that the platform is in"
    INVALID_GUEST_STATE = 0x02, "not in the state that the guest is in"
    INVALID_CONFIG = 0x03, "the platform's configuration does not allow it"
    INVALID_LENGTH = 0x04, "a buffer is too small"
    ALREADY_OWNED = 0x05, "the platform is owned already"
    INVALID_CERTIFICATE = 0x06, "a certificate is not valid"
    POLICY_FAILURE = 0x07, "the guest's policy does not allow it"
    INACTIVE = 0x08, "the guest is not active"
    INVALID_ADDRESS = 0x09, "an address is not valid"
    BAD_SIGNATURE = 0x0A, "a signature does not hold"
    BAD_MEASUREMENT = 0x0B, "the measurement is not the expected one"
    ASID_OWNED = 0x0C, "the ASID belongs to another guest"
    INVALID_ASID = 0x0D, "the ASID is not valid"
    WBINVD_REQUIRED = 0x0E, "caches must be written back first"
    DF_FLUSH_REQUIRED = 0x0F, "DF_FLUSH must come first"
    INVALID_GUEST = 0x10, "the guest handle is not valid"
    INVALID_COMMAND = 0x11, "no such command"
    ACTIVE = 0x12, "the guest is active"
    HARDWARE_ERROR_PLATFORM = 0x13, "a hardware error; the platform is safe"
    HARDWARE_ERROR_UNSAFE = 0x14, "a hardware error; the platform is not safe"
    UNSUPPORTED = 0x15, "the feature is not supported"
    INVALID_PARAMETER = 0x16, "a parameter is not valid"
    RESOURCE_LIMIT = 0x17, "the firmware lacks a resource"
    SECURE_DATA_INVALID = 0x18, "data that the firmware keeps do not hold"
    INVALID_PAGE_SIZE = 0x19, "the page's size in the RMP is another"
    INVALID_PAGE_STATE = 0x1A, "the page's state in the RMP is another"
    INVALID_METADATA_ENTRY = 0x1B, "an entry of the metadata is not valid"
    INVALID_PAGE_OWNER = 0x1C, "the page belongs to another guest"
    AEAD_OVERFLOW = 0x1D, "the sequence number is at its end"
    RING_BUFFER_MODE_EXITED = 0x1F, "the ring buffer mode has ended"
    RMP_INIT_REQUIRED = 0x20, "the RMP must be set up first"
    BAD_SVN = 0x21, "the security version is too low"
    BAD_VERSION = 0x22, "the version is too low"
    SHUTDOWN_REQUIRED = 0x23, "SNP_SHUTDOWN must come first"
    UPDATE_FAILED = 0x24, "the firmware's update failed"
    RESTORE_REQUIRED = 0x25, "the firmware must be restored first"
    RMP_INIT_FAILED = 0x26, "the RMP could not be set up"
    INVALID_KEY = 0x27, "the key that was chosen is not there"
    SHUTDOWN_INCOMPLETE = 0x28, "SNP_SHUTDOWN has not ended"
    INCORRECT_BUFFER_LENGTH = 0x30, "a buffer has a wrong length"
    EXPAND_BUFFER_LENGTH_REQUEST = 0x31, "a larger buffer is needed"
    SPDM_REQUEST = 0x32, "the host must hand an SPDM request to the device"
    SPDM_ERROR = 0x33, "an SPDM exchange failed"
    ERR_IN_DEV_CONN = 0x35, "the connection to the device failed"
    INVALID_DEV_CTX = 0x36, "the device context is not valid"
    INVALID_TDI_CTX = 0x37, "the TDI context is not valid"
    INVALID_TDI = 0x38, "the TDI is not valid"
    RECLAIM_REQUIRED = 0x39, "pages must be reclaimed first"
    IN_USE = 0x3A, "it is in use"
    INVALID_DEV_STATE = 0x3B, "not in the state that the device is in"
    INVALID_TDI_STATE = 0x3C, "not in the state that the TDI is in"
    DEV_CERT_CHANGED = 0x3D, "the device's certificate has changed"
    RESYNC_REQ = 0x3E, "the device must be synchronized again"
    RESPONSE_TOO_LARGE = 0x3F, "a response is too large"
    NO_FW_CALL = 0xFFFF_FFFF, "the firmware was not called; a number of Linux"


class VmmStatus(Code):
    """Status of the host: SW_EXITINFO2 bits 63:32 after a guest request."""

    SUCCESS = 0
    INVALID_LEN = 1, "RBX holds the pages needed; nothing went to the firmware"
    BUSY = 2, "try the same message again later"
    GENERIC = 0x80000000, "any other failure of the host"


class FirmwareCommand(Code):
    """Command that a host gives the SEV firmware."""

    SNP_INIT = 0x81
    SNP_SHUTDOWN = 0x82
    SNP_PLATFORM_STATUS = 0x83
    SNP_DF_FLUSH = 0x84
    SNP_INIT_EX = 0x85
    SNP_SHUTDOWN_EX = 0x86
    SNP_DECOMMISSION = 0x90, "forget a guest"
    SNP_ACTIVATE = 0x91, "bind a guest to an ASID"
    SNP_GUEST_STATUS = 0x92
    SNP_GCTX_CREATE = 0x93, "make the context page of a guest"
    SNP_GUEST_REQUEST = 0x94, "answer a guest's message"
    SNP_ACTIVATE_EX = 0x95
    SNP_LAUNCH_START = 0xA0
    SNP_LAUNCH_UPDATE = 0xA1, "add a page to the guest and its measurement"
    SNP_LAUNCH_FINISH = 0xA2, "check ID block and measurement; the guest may run"
    SNP_DBG_DECRYPT = 0xB0
    SNP_DBG_ENCRYPT = 0xB1
    SNP_VERIFY_MITIGATION = 0xB2, "say which mitigations there are, or verify them"
    SNP_PAGE_SWAP_OUT = 0xC0
    SNP_PAGE_SWAP_IN = 0xC1
    SNP_PAGE_MOVE = 0xC2
    SNP_PAGE_MD_INIT = 0xC3
    SNP_PAGE_SET_STATE = 0xC6
    SNP_PAGE_RECLAIM = 0xC7, "take a page back from the firmware"
    SNP_PAGE_UNSMASH = 0xC8
    SNP_CONFIG = 0xC9
    SNP_DOWNLOAD_FIRMWARE_EX = 0xCA
    SNP_COMMIT = 0xCB
    SNP_VLEK_LOAD = 0xCD
    SNP_FEATURE_INFO = 0xCE
    TIO_STATUS = 0xD0
    TIO_INIT = 0xD1
    TIO_DEV_CREATE = 0xD2
    TIO_DEV_RECLAIM = 0xD3
    TIO_DEV_CONNECT = 0xD4
    TIO_DEV_DISCONNECT = 0xD5
