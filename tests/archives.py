"""Archives as EVE Ref makes them, and hostile ones: tar files made block by block."""

import bz2
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
DAY = "2016-02-01"


def header(name: bytes | str, size: int, kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    """Return a header block, whatever it claims; fields are those of TarInfo."""
    info = tarfile.TarInfo(name if isinstance(name, str) else name.decode("latin-1"))
    info.size, info.type = size, kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT, "latin-1")


def padded(content: bytes) -> bytes:
    """Return content filled up to whole blocks."""
    return content + bytes(-len(content) % BLOCK)


def member(name: str, content: bytes, **fields: Any) -> bytes:
    """Return a member: its header, and its content."""
    return header(name, len(content), **fields) + padded(content)


def killmail(content: dict[str, Any]) -> bytes:
    """Return the member of a killmail, named as it should be."""
    return member(f"killmails/{content['killmail_id']}.json", json.dumps(content).encode())


def pax(records: dict[str, str]) -> bytes:
    """Return a pax header for the next member."""
    lines = b""
    for key, value in records.items():
        rest = f" {key}={value}\n".encode()
        length = len(rest) + 2
        length += len(str(length)) - 2
        lines += str(length).encode() + rest
    return header("PaxHeaders/x", len(lines), tarfile.XHDTYPE) + padded(lines)


def tar(*members: bytes) -> bytes:
    """Return a whole tar file of these members."""
    return b"".join(members) + END


def path_of(directory: Path, day: str = DAY) -> Path:
    """Return where `rclone copy` would leave the archive of a day."""
    return directory / day[:4] / f"killmails-{day}.tar.bz2"


def write(directory: Path, content: bytes, day: str = DAY) -> Path:
    """Write the compressed archive of a day, whatever its content; return its path."""
    path = path_of(directory, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def archive(directory: Path, contents: Iterable[dict[str, Any]], day: str = DAY) -> Path:
    """Write the archive of a day with these killmails; return its path."""
    return write(directory, bz2.compress(tar(*map(killmail, contents))), day)
