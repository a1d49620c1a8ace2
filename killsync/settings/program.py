"""How this program was called, how to call it again, and what others that it starts inherit."""

import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import requires
from pathlib import Path

import msgspec

from killsync.settings import config, places
from killsync.settings.config import SECRET_VARIABLES


class Program(msgspec.Struct, frozen=True):
    """This installation as it was called.

    `words` call it from any directory and without a PATH; `name` is what a person types, quoted
    for a shell. `options` name the configuration file, unless it is the usual one, and the
    database that --db named.
    """

    words: tuple[str, ...]
    name: str
    options: tuple[str, ...] = ()

    def line(self, command: str) -> str:
        """Return the line that a person types for another command on the same installation."""
        return " ".join([self.name, *map(shlex.quote, self.options), command])

    def call(self, *command: str) -> list[str]:
        """Return the words that call another command on the same installation."""
        return [*self.words, *self.options, *command]


def this_program(
    named_config: Path | None, named_db: str | None, env: Mapping[str, str]
) -> Program:
    """Return how this process was called; the arguments are what --config and --db named."""
    file = config.config_file(named_config, env).absolute()
    options = [] if places.is_default_file(file) else ["--config", str(file)]
    options += [] if named_db is None else ["--db", named_db]
    words = _words()
    found = shutil.which("killsync")
    typed = found is not None and found == shutil.which(sys.argv[0])
    return Program(words, "killsync" if typed else shlex.join(words), tuple(options))


def without_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program that is started: without the secrets in it."""
    return {name: value for name, value in env.items() if name not in SECRET_VARIABLES}


def _words() -> tuple[str, ...]:
    called = Path(sys.argv[0])
    if called.name != "__main__.py":
        return (str(called.absolute()),)
    script = Path(sysconfig.get_path("scripts"), "killsync")
    return (str(script),) if script.exists() else (sys.executable, "-m", "killsync")


def extra_line(extra: str) -> str:
    """Return the line that installs what one of killsync's extras brings.

    It does not name killsync: that comes from a clone, and whoever has its name in a registry may
    be somebody else.
    """
    marked = f'extra == "{extra}"'
    found = [line for line in requires("killsync") or () if marked in line.replace("'", '"')]
    wanted = " ".join(shlex.quote(line.partition(";")[0].strip()) for line in found)
    return f"{shlex.quote(sys.executable)} -m pip install {wanted}"
