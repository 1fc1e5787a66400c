"""A real TPM: swtpm (Debian package `swtpm`), driven over its sockets.

Facts: swtpm(8); man/man3/swtpm_ioctls.pod for the control channel: numbers of 32 bits, most significant
byte first; CMD_INIT is 2, takes flags, and answers a result.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from ..errors import DeviceError, UsageError
from .tpm import HEADER, WRONG_SIZE, response_of

_SECONDS = 60.0
"""How long one answer may take: a primary key of RSA takes some seconds."""
_STARTS_WITHIN = 10.0
_INIT = struct.pack(">II", 2, 1)  # delete the volatile state: as after power was off
_MOST = 1 << 16


class Swtpm:
    """swtpm as a process of our own, with a folder of its own, until `close`.

    `begin` has it start as after power was off. Raises UsageError where swtpm is not installed or does not
    start, and DeviceError where it does not answer.
    """

    def __init__(self) -> None:
        program = shutil.which("swtpm")
        if program is None:
            raise UsageError(
                "--tpm swtpm: swtpm is not installed; Debian has it: apt install swtpm"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="vmgexit-swtpm-")
        data, control = (Path(self._folder.name, name) for name in ("data", "control"))
        words = ["socket", "--tpm2", "--tpmstate", f"dir={self._folder.name}"]
        words += ["--server", f"type=unixio,path={data}", "--ctrl", f"type=unixio,path={control}"]
        self._process = subprocess.Popen(
            [program, *words, "--flags", "not-need-init"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._sockets: list[socket.socket] = []
        self._last = (b"", b"")
        try:
            self._data, self._control = (self._connected(path) for path in (data, control))
        except BaseException:
            self.close()
            raise

    def _connected(self, path: Path) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        self._sockets.append(made)
        made.settimeout(_SECONDS)
        until = time.monotonic() + _STARTS_WITHIN
        while True:
            try:
                made.connect(str(path))
                return made
            except (FileNotFoundError, ConnectionRefusedError):
                if self._process.poll() is not None or time.monotonic() > until:
                    raise UsageError(f"--tpm swtpm: swtpm does not listen on {path}") from None
                time.sleep(0.01)

    def begin(self) -> None:
        """Power on."""
        answer = self._exchange(self._control, _INIT, 4)
        if any(answer):
            raise DeviceError(f"--tpm swtpm: CMD_INIT was refused with {answer.hex()}")

    def execute(self, command: bytes) -> bytes:
        """Carry out a command. One of another size than it says is not sent: a socket has no end."""
        if len(command) < HEADER.size or HEADER.unpack_from(command)[1] != len(command):
            response = response_of(WRONG_SIZE)
        else:
            response = self._exchange(self._data, command, HEADER.size)
            size = HEADER.unpack_from(response)[1]
            if size > _MOST:
                raise DeviceError(f"--tpm swtpm: a response says that it has {size} bytes")
            response += self._received(self._data, size - len(response))
        self._last = (command, response)
        return response

    def answered(self, command: bytes) -> bytes:
        """What it answered to this command, if that was the last one."""
        return self._last[1] if command == self._last[0] else b""

    def _exchange(self, one: socket.socket, sent: bytes, size: int) -> bytes:
        try:
            one.sendall(sent)
        except OSError as error:
            raise _no_answer(error) from None
        return self._received(one, size)

    def _received(self, one: socket.socket, size: int) -> bytes:
        found = b""
        while len(found) < size:
            try:
                part = one.recv(size - len(found))
            except OSError as error:
                raise _no_answer(error) from None
            if not part:
                raise DeviceError("--tpm swtpm: swtpm ended in the middle of an answer")
            found += part
        return found

    def close(self) -> None:
        """End swtpm, and remove what it kept."""
        for one in self._sockets:
            one.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def _no_answer(error: OSError) -> DeviceError:
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        return DeviceError("--tpm swtpm: swtpm has ended")
    return DeviceError(f"--tpm swtpm: no answer: {error.strerror or error}")
