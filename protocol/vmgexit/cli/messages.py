"""`messages` of `vmgexit svsm`: what the host saw of the messages to the secure processor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..devices.sealed import VMPCK0, Sealed, public_key
from ..devices.secure_processor import SecureProcessor
from ..errors import UsageError
from ..wire.guest_message import GuestMessage
from ..wire.secrets import SecretsPage


def messages_told(processor: SecureProcessor, folder: str = "") -> Iterator[str]:
    """A line for each message; their pages, the secrets page with the key, and the public key of reports
    go into `folder`. Raises UsageError."""
    if not isinstance(processor.messages, Sealed):
        raise UsageError("messages: there are pages only with --psp sealed")
    pages = {
        f"request-{index}.bin": request.shown for index, request in enumerate(processor.requests, 1)
    }
    if processor.page is not None:
        pages["response.bin"] = processor.page
    if folder:
        keys = {
            "secrets.bin": SecretsPage(version=3, vmpck0=VMPCK0).encode(),
            "vcek.pem": public_key(),
        }
        _write(Path(folder), pages | keys)
        yield f"  {len(pages)} pages, secrets.bin and vcek.pem in {folder}"
        return
    seen: dict[bytes, str] = {}
    for name, page in pages.items():
        header = GuestMessage.decode(page).header
        line = f"  {name:14} number {header.msg_seqno}, IV {header.iv.hex()}, {header.msg_sz} bytes"
        first = seen.setdefault(header.iv, name)
        if pages[first] != page:
            line += f"; the IV of {first}, which has other bytes"
        yield line
    if not pages:
        yield "  none so far"


def _write(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    except FileExistsError:
        raise UsageError(f"{folder}: a file found, a folder expected") from None
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: {error.strerror or error}") from None
