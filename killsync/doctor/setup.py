"""The installation that is examined, as this process sees it."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec

from killsync.settings.config import Found, Settings


class Setup(msgspec.Struct, frozen=True):
    """Settings and where they stand, the environment, and how this program is called.

    `program` are the words that call it from anywhere, `name` is what a person types; `options`
    name the configuration file if it is not the usual one. `now` is unix seconds.
    """

    found: Found
    file: Path
    env: Mapping[str, str]
    program: tuple[str, ...]
    name: str
    options: tuple[str, ...]
    now: float

    @property
    def settings(self) -> Settings:
        """The settings in force, as far as they are valid."""
        return self.found.settings

    def command(self, words: str) -> str:
        """Return the line that calls one of killsync's commands for this installation."""
        return " ".join([self.name, *map(shlex.quote, self.options), words])
