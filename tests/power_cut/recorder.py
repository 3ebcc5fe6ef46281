"""
A disk whose every write and flush is recorded: `python -m tests.power_cut.recorder FOLDER SIZE`.

FOLDER/mount/disk is one file on FUSE, to be attached as a loop device; FOLDER/content holds its
bytes, and FOLDER/log its history: what a power cut leaves can be made from it afterwards. Runs in
the foreground until it is unmounted.
"""

import errno
import os
import stat
import struct
import sys
import time
from pathlib import Path

import mfusepy

ENTRY = struct.Struct("<cQQQ")
"""Kind (W: write, F: flush), time in ns since the epoch, offset, length in bytes; then the data."""

NAME = "/disk"


class Recorder(mfusepy.Operations):
    """
    One file. An operation is in the log before it is answered, so the log's order is the disk's.
    """

    use_ns = True  # times are whole nanoseconds

    def __init__(self, folder: Path, size: int) -> None:
        self._size = size
        self._content = os.open(folder / "content", os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._content, size)
        self._log = (folder / "log").open("ab", buffering=0)

    def _note(self, kind: bytes, offset: int = 0, data: bytes = b"") -> None:
        self._log.write(ENTRY.pack(kind, time.time_ns(), offset, len(data)) + data)

    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == NAME:
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._size}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path, fh):
        return [".", "..", NAME[1:]]

    def open(self, path, flags):
        return 0

    def read(self, path, size, offset, fh):
        return os.pread(self._content, size, offset)

    def write(self, path, data, offset, fh):
        os.pwrite(self._content, data, offset)
        self._note(b"W", offset, data)
        return len(data)

    def fsync(self, path, datasync, fh):
        self._note(b"F")
        return 0


if __name__ == "__main__":
    base = Path(sys.argv[1])
    # one thread: what is answered first is in the log first
    mfusepy.FUSE(
        Recorder(base, int(sys.argv[2])),
        str(base / "mount"),
        foreground=True,
        nothreads=True,
        fsname="recorded-disk",
    )
