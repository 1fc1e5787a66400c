"""Options that choose what stands behind an SVSM: the secure processor's messages, and the TPM."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from ..devices import RECORDED, Devices
from ..devices.messages import PLAIN
from ..devices.sealed import Sealed, signing_key
from ..devices.swtpm import Swtpm
from ..devices.tpm import SIMPLE


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add `--psp` and `--tpm`."""
    parser.add_argument(
        "--psp",
        choices=("recorded", "sealed"),
        default="recorded",
        help="the secure processor: as recorded, whose reports have a hash for a signature, or with"
        " messages sealed by AES-256-GCM and reports signed by a test key (default: %(default)s)",
    )
    parser.add_argument(
        "--tpm",
        choices=("recorded", "swtpm"),
        default="recorded",
        help="the TPM: a small one as recorded, or a real one, which needs swtpm"
        " (default: %(default)s)",
    )


@contextmanager
def chosen_devices(arguments: argparse.Namespace) -> Iterator[Devices]:
    """The devices that were chosen, while they run. Raises UsageError where one cannot."""
    if arguments.psp == arguments.tpm == "recorded":
        yield RECORDED
        return
    with ExitStack() as running:
        if arguments.psp == "sealed":
            signing_key()  # says now if the extra is missing
        yield Devices(
            Sealed() if arguments.psp == "sealed" else PLAIN,
            running.enter_context(closing(Swtpm())) if arguments.tpm == "swtpm" else SIMPLE,
        )
