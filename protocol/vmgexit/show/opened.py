"""Guest messages opened: the payload in the clear, by the key that fits, as its type's structure.

The keys are the VMPCK of a secrets page. AES-256-GCM says by its tag whether a key fits. It is that of
`cryptography`, which the extra `open` brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..devices.sealed import unseal
from ..errors import DecodeError
from ..schema import Structure
from ..wire.guest_message import PAYLOAD_SIZE, GuestMessage
from ..wire.payloads import payload_of
from ..wire.secrets import SecretsPage

KEYS = 4


@dataclass(frozen=True, slots=True)
class Opened:
    """A payload in the clear. `vmpck`: the number of the key that fits. `of`: what the type says it is."""

    vmpck: int
    payload: bytes
    of: type[Structure] | None

    @property
    def value(self) -> Structure | None:
        """The payload decoded; None where its type has no structure here, or it has another length."""
        fits = self.of is not None and self.of.accepts(len(self.payload))
        return self.of.decode(self.payload) if self.of is not None and fits else None


def keys_of(page: SecretsPage) -> dict[int, bytes]:
    """The keys of a secrets page by their numbers, but for those that are zero: those were taken out."""
    keys = {number: getattr(page, f"vmpck{number}") for number in range(KEYS)}
    return {number: key for number, key in keys.items() if any(key)}


def opened(message: GuestMessage, keys: Mapping[int, bytes]) -> Opened | None:
    """The payload of `message` by the first of `keys` that fits; None where none does.

    The key that the header names is tried first. Raises DecodeError for a payload of more bytes than a
    page holds, UsageError where `cryptography` is not installed.
    """
    header = message.header
    if header.msg_sz > PAYLOAD_SIZE:
        raise DecodeError(
            f"header.msg_sz: {header.msg_sz} bytes found, a page holds {PAYLOAD_SIZE}",
            path="header.msg_sz",
        )
    for number in sorted(keys, key=lambda number: (number != header.msg_vmpck, number)):
        payload = unseal(keys[number], message)
        if payload is not None:
            return Opened(number, payload, payload_of(header))
    return None
