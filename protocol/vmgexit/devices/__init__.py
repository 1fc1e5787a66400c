"""What stands behind an SVSM: the secure processor, with which it exchanges messages, and the TPM."""

from __future__ import annotations

from dataclasses import dataclass

from .messages import PLAIN, Messages
from .tpm import SIMPLE, Tpm


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices of a machine; those of the recordings, where nothing else is said.

    `messages`: how guest messages lie in the shared pages, and how a report is signed."""

    messages: Messages = PLAIN
    tpm: Tpm = SIMPLE


RECORDED = Devices()
