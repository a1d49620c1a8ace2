"""The installation that is examined, as this process sees it."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from killsync.model import Caller
from killsync.settings.config import CheckedSettings, Settings
from killsync.settings.program import Program


class Setup(msgspec.Struct, frozen=True):
    """Settings and where they stand, the environment, and how this program is called.

    `caller` is what a scan that is called as this process would record. `now` is unix seconds.
    """

    found: CheckedSettings
    file: Path
    env: Mapping[str, str]
    program: Program
    caller: Caller
    now: float

    @property
    def settings(self) -> Settings:
        """The settings in force, as far as they are valid."""
        return self.found.settings

    def command(self, words: str) -> str:
        """Return the line that runs one of killsync's commands on this installation."""
        return self.program.line(words)
