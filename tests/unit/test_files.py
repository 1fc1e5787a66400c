"""Writing by rename: whole or not at all, and never a file in the place of something else."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from vmgexit import files


def test_a_file_and_its_folder_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "page.bin"
    assert files.write(path, b"\x61\x81") == path
    assert path.read_bytes() == b"\x61\x81"
    assert os.listdir(path.parent) == ["page.bin"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    files.write(tmp_path / "link", b"1")
    files.write(tmp_path / "link", b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"2"


def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    files.write(pipe, b"\x61\x81")
    reader.join(timeout=10)
    assert read == [b"\x61\x81"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.bin"
    path.write_bytes(b"old")

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["page.bin"]


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("folder", IsADirectoryError, "Is a directory"),
        ("file/below", NotADirectoryError, "Not a directory"),
        ("file/below/that", NotADirectoryError, "Not a directory"),
    ],
)
def test_errors_name_the_path_that_was_given(
    tmp_path: Path, name: str, error: type[OSError], said: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(error, match=said) as caught:
        files.write(tmp_path / name, b"data")
    assert caught.value.filename == str(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_an_output_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder") as caught:
        files.write_output(tmp_path / "new" / "page.bin", b"data")
    assert caught.value.filename == str(tmp_path / "new")
    assert files.write_output(tmp_path / "page.bin", b"data").read_bytes() == b"data"
