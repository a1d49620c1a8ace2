"""Reading an export, CCP's own or the one that is shipped, however broken or hostile it is.

CCP's has 100 MB and unpacks to five times as much: it is read in pieces, and only what is needed.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

import msgspec

from killsync.errors import GameDataBroken
from killsync.gamedata import form
from killsync.gamedata.form import Export, Named, Release
from killsync.gamedata.game_data import GameData, System
from killsync.model import ItemType

# the largest that CCP's have ever had are a hundredth of 2 GB, 200 MB, 53,000 lines and 60 kB
LARGEST_FILE = 1 << 29
LARGEST_MEMBER = 1 << 30
_MOST_LINES = 500_000
_LONGEST_LINE = 1 << 22
_PIECE = 1 << 20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,  # cut short within a file of the zip
    RuntimeError,  # encrypted
    NotImplementedError,  # a newer form of zip
    ValueError,  # offsets that cannot be
)

L = TypeVar("L", bound=msgspec.Struct)
_OfGroup = tuple[int | None, str | None, int | None, str | None]


def read(path: Path, name: str | None = None) -> GameData:
    """Return what killsync needs of an export, which errors call by `name`, or else by its path.

    Raises GameDataBroken if it is no export, damaged, or larger than any; OSError if it cannot be
    read at all.
    """
    return joined(read_export(path, name))


def read_export(path: Path, name: str | None = None) -> Export:
    """Return an export's lines, in its own order. Raises as `read`."""
    try:
        return _export(path)
    except GameDataBroken as error:
        raise GameDataBroken(f"{name or path}: {error}") from error
    except _UNREADABLE as error:
        raise GameDataBroken(
            f"{name or path}: is not a zip file, or is damaged: {error or type(error).__name__}"
        ) from error


def _export(path: Path) -> Export:
    if path.stat().st_size > LARGEST_FILE:
        _refuse("is larger than any of CCP's exports")
    if not path.is_file():
        # a device or a pipe has no end
        _refuse("is not a regular file")
    with zipfile.ZipFile(path) as archive:
        releases = _lines(archive, form.RELEASE_FILE, Release)
        release = next((one for one in releases if one.key == form.RELEASE_KEY), None)
        if release is None:
            _refuse(f"{form.RELEASE_FILE} does not say which build it is")
        lines: dict[str, Any] = {
            field: _named(archive, member, kind) for field, (member, kind) in form.FILES.items()
        }
        return Export(release=release, **lines)


def joined(export: Export) -> GameData:
    """Return an export's types with their groups and categories, and systems with their regions."""
    categories, regions = _names(export.categories), _names(export.regions)
    constellations = _names(export.constellations)
    # there are fifty thousand types, and a scan that loads them waits
    groups: dict[int | None, _OfGroup] = {
        line.id: (line.id, line.name.en, line.category_id, _name(categories, line.category_id))
        for line in export.groups
    }
    return GameData(
        build=export.release.build,
        released_at=export.release.released_at,
        types=[
            ItemType(
                line.id,
                line.name.en,
                *groups.get(line.group_id, (line.group_id, None, None, None)),
            )
            for line in export.types
        ],
        systems=[
            System(
                line.id,
                line.name.en,
                line.security,
                line.constellation_id,
                _name(constellations, line.constellation_id),
                line.region_id,
                _name(regions, line.region_id),
            )
            for line in export.systems
        ],
        corporations=_names(export.corporations),
        factions=_names(export.factions),
    )


def newest_release(lines: bytes) -> Release:
    """Return what CCP's `latest.jsonl` says. Raises GameDataBroken if it is something else."""
    try:
        found = msgspec.json.Decoder(Release).decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GameDataBroken(f"CCP's latest.jsonl is of an unknown form: {error}") from error
    for release in found:
        if release.key == form.RELEASE_KEY:
            return release
    raise GameDataBroken("CCP's latest.jsonl names no build")


def _names(lines: list[Any]) -> dict[int, str]:
    return {line.id: line.name.en for line in lines}


def _name(names: Mapping[int, str], of: int | None) -> str | None:
    return None if of is None else names.get(of)


def _named(archive: zipfile.ZipFile, member: str, kind: type[Named]) -> list[Named]:
    named = [line for line in _lines(archive, member, kind) if line.name.en]
    if not named:
        _refuse(f"{member} names nothing in English")
    return named


def _lines(archive: zipfile.ZipFile, member: str, kind: type[L]) -> list[L]:
    try:
        info = archive.getinfo(member)
    except KeyError:
        _refuse(f"has no {member}: this is not CCP's static data as JSON lines")
    if info.compress_type not in _COMPRESSIONS:
        _refuse(f"{member} is compressed in an unknown way")
    decoder = msgspec.json.Decoder(kind)
    lines: list[L] = []
    try:
        with archive.open(info) as stream:
            for piece in _pieces(member, stream):
                lines += decoder.decode_lines(piece)
                if len(lines) > _MOST_LINES:
                    _refuse(f"{member} has more lines than any of CCP's")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse(f"{member} is of an unknown form: {error}")
    return lines


def _pieces(member: str, stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a file in pieces that end where a line ends."""
    rest, size = b"", 0
    while piece := stream.read(_PIECE):
        size += len(piece)
        whole, end, rest_of_piece = piece.rpartition(b"\n")
        if end:
            yield rest + whole
            rest = rest_of_piece
        else:
            rest += piece
        if len(rest) > _LONGEST_LINE or size > LARGEST_MEMBER:
            _refuse(f"{member} is larger than any of CCP's")
    yield rest


def _refuse(why: str) -> NoReturn:
    raise GameDataBroken(why)
