"""The form of CCP's static data: a zip of files of JSON lines, of which killsync reads nine.

Source: developers.eveonline.com/docs/services/static-data ("JSON Lines"). What is not named here
is skipped, so the file that is shipped, which has nothing else, and CCP's own are read alike.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, field

# what SQLite can hold
Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]

# where CCP publishes its exports
ADDRESS = "https://developers.eveonline.com/static-data/tranquility"
RELEASE_KEY = "sde"


class EnglishName(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A name in the language that killsync shows; CCP gives others too."""

    en: Annotated[str, Meta(max_length=1000)] = ""


class Named(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    omit_defaults=True,
    rename={"id": "_key"},
):
    """A line of any of the files: something that has an id and a name."""

    id: Id
    name: EnglishName = EnglishName()


class Type(Named, frozen=True, gc=False, kw_only=True, rename={"group_id": "groupID"}):
    """A line of `types.jsonl`."""

    group_id: Id | None = None


class Group(Named, frozen=True, gc=False, kw_only=True, rename={"category_id": "categoryID"}):
    """A line of `groups.jsonl`."""

    category_id: Id | None = None


class Constellation(Named, frozen=True, gc=False, kw_only=True, rename={"region_id": "regionID"}):
    """A line of `mapConstellations.jsonl`."""

    region_id: Id | None = None


class SolarSystem(
    Named,
    frozen=True,
    gc=False,
    kw_only=True,
    rename={
        "security": "securityStatus",
        "constellation_id": "constellationID",
        "region_id": "regionID",
    },
):
    """A line of `mapSolarSystems.jsonl`; `security` is the true one, not rounded."""

    security: float | None = None
    constellation_id: Id | None = None
    region_id: Id | None = None


class Release(msgspec.Struct, frozen=True, kw_only=True, rename={"key": "_key"}):
    """A line of `_sde.jsonl`, and of `latest.jsonl`, which says what is the newest export."""

    key: str
    build: Annotated[int, Meta(ge=1, le=2**63 - 1)] = field(name="buildNumber")
    released_at: Annotated[str, Meta(max_length=40)] = field(name="releaseDate", default="")


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """The nine files, line by line."""

    release: Release
    categories: list[Named]
    groups: list[Group]
    types: list[Type]
    regions: list[Named]
    constellations: list[Constellation]
    systems: list[SolarSystem]
    corporations: list[Named]
    factions: list[Named]


# the file of each of `Export`'s fields but the release
RELEASE_FILE = "_sde.jsonl"
FILES = {
    "categories": ("categories.jsonl", Named),
    "groups": ("groups.jsonl", Group),
    "types": ("types.jsonl", Type),
    "regions": ("mapRegions.jsonl", Named),
    "constellations": ("mapConstellations.jsonl", Constellation),
    "systems": ("mapSolarSystems.jsonl", SolarSystem),
    "corporations": ("npcCorporations.jsonl", Named),
    "factions": ("factions.jsonl", Named),
}
