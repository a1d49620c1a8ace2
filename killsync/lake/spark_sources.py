"""Which archives there are: in files, in directories, in an object store."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from killsync.archive import days
from killsync.errors import UsageError
from killsync.lake.spark_plan import FoundArchive
from killsync.lake.target_address import files_of, is_url
from killsync.lake.target_remote import RemoteFiles, explained


class Sources(msgspec.Struct):
    """The archives at some places, how many other files there are, and what is wrong with some."""

    archives: list[FoundArchive] = []
    ignored: int = 0
    refused: dict[str, str] = {}


def find(places: Sequence[str], today: date) -> Sources:
    """Return the archives that these paths and URLs are, or that lie below them.

    Raises UsageError if there is none, or one of them cannot be read; TryLater if a store cannot
    be reached.
    """
    sources = Sources()
    paths = [Path(place) for place in places if not is_url(place)]
    if paths:
        found = days.find(paths, today)
        sources.ignored = found.ignored
        sources.refused = {str(path): flaw for path, flaw in found.refused.items()}
        sources.archives = [
            # other processes have other working directories
            FoundArchive(one.day, "", os.path.abspath(one.path), one.size, one.version)  # noqa: PTH100
            for one in found.archives
        ]
    for place in places:
        if is_url(place):
            _find_remote(place, sources, today)
    if not (sources.archives or sources.refused):
        raise UsageError(days.NO_ARCHIVE)
    return sources


def _find_remote(root: str, sources: Sources, today: date) -> None:
    from pyarrow import fs

    files = files_of(root)
    files.check()
    assert isinstance(files, RemoteFiles)
    try:
        found = files.filesystem.get_file_info(fs.FileSelector(files.base, recursive=True))
    except FileNotFoundError:
        raise UsageError(f"{files.shown}: there is nothing") from None
    except OSError as error:
        raise explained(error, files.shown) from None
    for info in found:
        if info.type != fs.FileType.Directory:
            _take(root, files.base, info, sources, today)


def _take(root: str, base: str, info: Any, sources: Sources, today: date) -> None:
    day = days.day_of(info.base_name)
    if day is None:
        sources.ignored += 1
    elif day > today:
        sources.refused[info.path] = days.TO_COME
    else:
        path = info.path.removeprefix(f"{base}/")
        version = days.version_of(info.size, info.mtime_ns)
        sources.archives.append(FoundArchive(day, root, path, info.size, version))
