"""Where `decode guest-message --secrets` has its keys from: a secrets page, or an image with some."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import DecodeError, UsageError
from ..images import image
from ..images.page_rules import SECRETS
from ..images.scan import scan
from ..read.given import given
from ..read.streams import read_exactly
from ..show.opened import Opened, keys_of, opened
from ..show.partial import Partial, message_of
from ..show.values import bytes_text
from ..wire.guest_message import HEADER_SIZE, GuestMessage
from ..wire.secrets import SecretsPage


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one secrets page, by their numbers. `place`: where the page was."""

    place: str
    keys: dict[int, bytes]

    def __str__(self) -> str:
        named = ", ".join(f"VMPCK{each}" for each in self.keys)
        return f"{named or 'no key that is not zero'} of {self.place}"


def _keys(file: str, gpa: int | None) -> list[Keys]:
    """The keys of each secrets page in a file. Raises DecodeError where there is none."""
    if gpa is not None:
        return [_in_image(file, gpa)]
    with given(file, size=SecretsPage.size) as source:
        data = read_exactly(source.stream, SecretsPage.size + 1)
    if len(data) > SecretsPage.size and (found := _found(file)):
        return found
    if len(data) != SecretsPage.size:
        raise DecodeError(
            f"{file}: no secrets page was found; a page of {SecretsPage.size} bytes, or an image of"
            " memory with one, expected"
        )
    return [Keys(file, keys_of(SecretsPage.decode(data)))]


def _in_image(file: str, gpa: int) -> Keys:
    with image.opened(file) as held:
        page = SecretsPage.decode(held.read(gpa, SecretsPage.size))
    return Keys(f"{file} at {gpa:#x}", keys_of(page))


def _found(file: str) -> list[Keys]:
    """The keys of what `vmgexit find` would find."""
    return [_in_image(file, find.gpa) for find in scan(file, [SECRETS])]


@dataclass(frozen=True, slots=True)
class Payload:
    """The payload of a message in the clear. `by`: whose key it was."""

    opened: Opened
    by: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: decoded, where its type has a structure, else as hex."""
        value = self.opened.value
        held = {"hex": self.opened.payload.hex()} if value is None else message_of(value)
        return {"vmpck": self.opened.vmpck, **held}

    def text(self, show: Callable[..., str], at: int) -> str:
        """`show` of the payload, under a line that says how it was opened. `at`: of the message."""
        value, data, of = self.opened.value, self.opened.payload, self.opened.of
        line = f"Payload, opened by VMPCK{self.opened.vmpck} of {self.by}: {len(data)} bytes"
        if value is not None:
            return f"{line}\n\n{show(value, base=at + HEADER_SIZE)}"
        why = f"{of.declaration.name} has {of.size}" if of else "no structure for its type is known"
        return f"{line}; {why}\n\n  {bytes_text(data)}\n"


@dataclass(frozen=True, slots=True)
class Opener:
    """What opens guest messages: the keys of secrets pages."""

    keys: list[Keys]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Opener:
        """The keys that --secrets leads to. Raises UsageError where no guest message is read,
        DecodeError where there is no secrets page."""
        if arguments.name.partition("@")[0] != "guest-message":
            raise UsageError(f"--secrets opens a guest-message; {arguments.name} found")
        return cls(_keys(arguments.secrets, arguments.secrets_gpa))

    def payload(self, value: Partial) -> tuple[Payload | None, str]:
        """The payload of a message, and why it was not opened; "" where it was."""
        assert isinstance(value.value, GuestMessage)
        if value.missing:
            return None, "bytes of the payload are not in the dump: it cannot be opened"
        try:
            for each in self.keys:
                if (found := opened(value.value, each.keys)) is not None:
                    return Payload(found, each.place), ""
        except DecodeError as error:
            return None, str(error)
        return None, f"no key opens the payload; tried: {'; '.join(map(str, self.keys))}"
