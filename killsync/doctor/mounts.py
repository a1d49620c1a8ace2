"""Which file system a path is on, and whether that is on another computer.

SQLite's documentation ("How to corrupt an SQLite database file", 2.1): file locks do not work
reliably on network file systems, and WAL does not work there at all.
"""

import re
from pathlib import Path

import msgspec

_REMOTE = {
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "gfs", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "prl_fs", "smb2", "smb3", "smbfs",
    "vboxsf", "virtiofs", "vmhgfs",
}  # fmt: skip
_REMOTE_BY_FUSE = {
    "afpfs", "ceph", "cephfs", "curlftpfs", "davfs", "davfs2", "gcsfuse", "glusterfs", "goofys",
    "gvfsd-fuse", "httpfs", "juicefs", "moosefs", "mfs", "rclone", "s3fs", "s3ql", "seaweedfs",
    "smbnetfs", "sshfs", "vmhgfs-fuse",
}  # fmt: skip
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True):
    """A line of the kernel's table: a directory, and the kind of file system seen there."""

    point: Path
    kind: str


def parse(text: str) -> list[Mount]:
    """Return the mounts of /proc/self/mounts, in its order; other lines are left out."""
    rows = [line.split(" ") for line in text.splitlines()]
    return [Mount(Path(_plain(row[1])), _plain(row[2])) for row in rows if len(row) >= 3]


def mount_of(path: Path, mounts: list[Mount]) -> Mount | None:
    """Return the mount that an absolute path is on: the deepest, of several there the last."""
    above = [mount for mount in mounts if path.is_relative_to(mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point.parts), default=None)


def is_remote(kind: str) -> bool:
    """Return whether a kind of file system keeps its files on another computer."""
    fuse, dot, inner = kind.partition(".")
    return kind in _REMOTE or (fuse == "fuse" and bool(dot) and inner in _REMOTE_BY_FUSE)


def _plain(text: str) -> str:
    # the kernel writes space, tab, newline and backslash as octal numbers
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
