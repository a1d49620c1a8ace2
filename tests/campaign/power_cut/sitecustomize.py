"""Keeps a copy of what SQLite has fsynced, which is all that would survive a power cut.

Python imports this at startup, before killsync, if this directory is in PYTHONPATH. It wraps the
VFS of the SQLite library that the interpreter uses; DURABLE_COPIES is the directory of the copies.
"""

import ctypes
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any

OK, IOERR_FSYNC = 0, 10 | 4 << 8

File = c_void_p
Sync = CFUNCTYPE(c_int, File, c_int)
Close = CFUNCTYPE(c_int, File)
Read = CFUNCTYPE(c_int, File, c_void_p, c_int, c_int64)
FileSize = CFUNCTYPE(c_int, File, POINTER(c_int64))
Open = CFUNCTYPE(c_int, c_void_p, c_void_p, File, c_int, POINTER(c_int))
Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


class Methods(Structure):
    """sqlite3_io_methods; methods that are not wrapped are just copied."""

    _fields_ = (
        ("iVersion", c_int),
        ("xClose", Close),
        ("xRead", Read),
        ("xWrite", c_void_p),
        ("xTruncate", c_void_p),
        ("xSync", Sync),
        ("xFileSize", FileSize),
        ("others", c_void_p * 12),
    )


class Vfs(Structure):
    """sqlite3_vfs."""

    _fields_ = (
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", Open),
        ("xDelete", Delete),
        ("others", c_void_p * 14),
    )


def sqlite_library() -> str:
    """Return the path of the SQLite library that this interpreter has loaded.

    Raises LookupError if SQLite is linked into the interpreter.
    """
    import _sqlite3  # noqa: F401

    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        if "libsqlite3" in path:
            return path
    raise LookupError("SQLite is linked into this Python, so its VFS cannot be wrapped")


class PowerCut:
    """The wrapped VFS; `directory` holds the durable copies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        sqlite = ctypes.CDLL(sqlite_library())
        sqlite.sqlite3_vfs_find.restype = c_void_p
        sqlite.sqlite3_vfs_find.argtypes = [c_char_p]
        sqlite.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
        self._address = sqlite.sqlite3_vfs_find(None)
        self._vfs = Vfs.from_address(self._address)
        self._paths: dict[int, str] = {}
        # the library's methods and ours, keyed by the address of the library's
        self._tables: dict[int, tuple[Methods, Methods]] = {}
        self._table_of: dict[int, int] = {}
        # callbacks that SQLite may call must live as long as the process
        self._open, self._delete = Open(self.open), Delete(self.delete)
        self._sync, self._close = Sync(self.sync), Close(self.close)
        self.vfs = Vfs()
        ctypes.memmove(ctypes.byref(self.vfs), self._address, ctypes.sizeof(Vfs))
        self.vfs.zName = b"power-cut"
        self.vfs.xOpen, self.vfs.xDelete = self._open, self._delete
        if sqlite.sqlite3_vfs_register(ctypes.byref(self.vfs), 1) != OK:
            raise OSError("SQLite does not accept the VFS")

    def open(self, _: Any, name: Any, file: Any, flags: int, out: Any) -> int:
        """Open a file, and wrap its methods to notice when it is synced and closed."""
        code = int(self._vfs.xOpen(self._address, name, file, flags, out))
        methods = c_void_p.from_address(file)
        if code == OK and methods.value and name:
            self._paths[file] = os.fsdecode(ctypes.string_at(name))
            self._table_of[file] = methods.value
            methods.value = ctypes.addressof(self._wrapped(methods.value))
        return code

    def _wrapped(self, address: int) -> Methods:
        if address not in self._tables:
            original, ours = Methods.from_address(address), Methods()
            # an older version of the table is shorter
            pointers = {1: 12, 2: 16}.get(original.iVersion, 18)
            ctypes.memmove(ctypes.byref(ours), address, 8 * (pointers + 1))
            ours.xSync, ours.xClose = self._sync, self._close
            self._tables[address] = original, ours
        return self._tables[address][1]

    def close(self, file: Any) -> int:
        """Close a file."""
        self._paths.pop(file, None)
        return int(self._original(file).xClose(file))

    def sync(self, file: Any, flags: int) -> int:
        """Sync a file, then copy its content."""
        with self._exclusive():
            code = int(self._original(file).xSync(file, flags))
            if code != OK:
                return code
            try:
                self._store_copy(Path(self._paths[file]).name, self._content(file))
            except OSError:
                return IOERR_FSYNC
        return OK

    def delete(self, _: Any, name: bytes, directory_too: int) -> int:
        """Delete a file and its copy."""
        with self._exclusive():
            code = int(self._vfs.xDelete(self._address, name, directory_too))
            if code == OK:
                (self._directory / Path(os.fsdecode(name)).name).unlink(missing_ok=True)
        return code

    def _original(self, file: int) -> Methods:
        return self._tables[self._table_of[file]][0]

    def _content(self, file: int) -> bytes:
        # read through SQLite, since closing a second descriptor would drop the file's locks
        size = c_int64()
        methods = self._original(file)
        if methods.xFileSize(file, ctypes.byref(size)) != OK:
            raise OSError("the size cannot be read")
        content = ctypes.create_string_buffer(size.value)
        if size.value and methods.xRead(file, content, size.value, 0) != OK:
            raise OSError("the file cannot be read")
        return content.raw

    def _store_copy(self, name: str, content: bytes) -> None:
        new = self._directory / f"{os.getpid()}.new"
        new.touch(0o600)
        new.write_bytes(content)
        new.rename(self._directory / name)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        # a copy taken earlier must not replace one taken later by another process or thread
        with (self._directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


if "DURABLE_COPIES" in os.environ:
    power_cut = PowerCut(Path(os.environ["DURABLE_COPIES"]))
