"""What `killsync init --force` takes over from the configuration file that it replaces."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from killsync import files
from killsync.errors import UsageError
from killsync.settings import config
from killsync.settings.config import Settings, other_of_pair
from killsync.settings.text import config_text


class Former(msgspec.Struct, frozen=True):
    """The values of the old file that are valid, and words for what else it holds."""

    values: dict[str, Any] = {}
    lost: list[str] = []

    def without(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return what is kept beside other values: a secret and its file replace each other."""
        replaced = {k for key in keys for k in (key, other_of_pair(key))}
        return {key: value for key, value in self.values.items() if key not in replaced}


def read(file: Path, checks: Mapping[str, Callable[[str], str]]) -> Former:
    """Return what an old configuration file holds; nothing if there is none.

    `checks` raise UsageError for a value of their key that is of no use.
    """
    if not file.exists():
        return Former()
    try:
        keys = config.values_in(file)
    except UsageError:
        return Former(lost=["all that it holds: it is not valid TOML"])
    found = config.examine(file, {}, {})
    values = {
        key: value
        for key in found.origins
        if _passes(checks.get(key), value := getattr(found.settings, key))
    }
    lost = sorted(keys.keys() - values.keys())
    return Former(values, [*lost, *(["its comments"] if _has_comments(file) else [])])


def _has_comments(file: Path) -> bool:
    """Return whether a file has comments that `init` has not written."""
    from killsync.settings.edit import comments

    own = set(comments(config_text({}, Settings())))
    defaults = tuple(f"#{key} = " for key in Settings.__struct_fields__)
    try:
        found = list(comments(files.read_text(file)))
    except ValueError:  # two libraries may disagree about what is TOML
        return True
    return any(text not in own and not text.startswith(defaults) for text in found)


def _passes(check: Callable[[str], str] | None, value: str) -> bool:
    try:
        return check is None or bool(check(value))
    except UsageError:
        return False
