"""The user's crontab: the line that scans every ten minutes, and one look at what stands there.

Source: crontab(5) of Debian's cron.
"""

import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from killsync.settings.config import SECRET_VARIABLES
from killsync.settings.program import without_secrets

_CRON_PATH = "/usr/bin:/bin"
_EVERY_TEN_MINUTES = "*/10 * * * *"
_SECRET = re.compile(rf"\b({'|'.join(SECRET_VARIABLES)})\b[\"']?\s*=", re.ASCII)
_PATIENCE = 5.0
_NONE = ("no crontab for", "no such file")


class Owner(msgspec.Struct, frozen=True):
    """Whose crontab is looked at."""

    name: str
    home: Path
    is_me: bool


class Crontab(msgspec.Struct, frozen=True):
    """What stands in a crontab, comments left out; `trouble` says why it cannot be read."""

    text: str
    trouble: str | None = None

    @property
    def secrets(self) -> list[str]:
        """The names of the variables with secrets that are set here."""
        return sorted({match[1] for match in _SECRET.finditer(self.text)})

    @property
    def names_killsync(self) -> bool:
        """Whether killsync is called here, as far as one word can show."""
        return "killsync" in self.text


def entry(program: Sequence[str], file: Path, home: Path, database: Path | None = None) -> str:
    """Return the line for `crontab -e` that scans every ten minutes.

    The log is in the owner's `home`, which surely exists; for the rest see `scan_words`.
    """
    command = shlex.join([*scan_words(program, file, home, database), "--splay", "45s"])
    line = f"{command} >> {shlex.quote(str(home / 'killsync.log'))} 2>&1"
    # in a crontab a percent sign would end the command
    return f"{_EVERY_TEN_MINUTES} " + line.replace("%", r"\%")


def scan_words(
    program: Sequence[str], file: Path, home: Path, database: Path | None = None
) -> list[str]:
    """Return the words that scan in the bare environment that cron and systemd give.

    `program` are the words that call killsync from anywhere; the configuration `file` is named
    if it would not be found by itself, a `database` if it is not the one that the file names.
    """
    named = [] if file == usual_file(home) else ["--config", str(file)]
    named += [] if database is None else ["--db", str(database)]
    return [*program, *named, "scan"]


def usual_file(home: Path) -> Path:
    """Return where a killsync that cron calls looks for its configuration."""
    return _usual_directory(home, ".config") / "config.toml"


def usual_database(home: Path) -> Path:
    """Return where a killsync that cron calls has its database, if none is named."""
    return _usual_directory(home, ".local/share") / "killsync.db"


def find_owner(database: Path) -> Owner:
    """Return who runs killsync: this user, or if that is root the owner of the database."""
    me = os.geteuid()
    uid = database.stat().st_uid if me == 0 and database.exists() else me
    return Owner(_name(uid), home_of(uid), uid == me)


def home_of(uid: int) -> Path:
    """Return the home directory that cron gives a user, HOME for one who has none.

    In a container a user need not be known.
    """
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        home = Path(os.environ.get("HOME", "/"))
        return home if home.is_absolute() else Path("/")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def read(owner: Owner, env: Mapping[str, str]) -> Crontab:
    """Return the owner's crontab, as far as it can be read."""
    program = shutil.which("crontab", path=f"{env.get('PATH', '')}:{_CRON_PATH}")
    if program is None:
        return Crontab("", "there is no program `crontab` here")
    whose = [] if owner.is_me else ["-u", owner.name]
    try:
        done = subprocess.run(
            [program, *whose, "-l"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            env=without_secrets(env) | {"LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Crontab("", f"{program} cannot be run")
    output = done.stderr.decode(errors="replace").strip()
    if done.returncode == 0:
        lines = done.stdout.decode(errors="surrogateescape").splitlines()
        return Crontab("\n".join(line for line in lines if not line.lstrip().startswith("#")))
    if any(words in output.lower() for words in _NONE):
        return Crontab("")
    return Crontab(
        "", f"`crontab -l` says: {output.splitlines()[0] if output else done.returncode}"
    )


def _usual_directory(home: Path, below: str) -> Path:
    # as platformdirs finds it in cron's bare environment
    usual = "Library/Application Support" if sys.platform == "darwin" else below
    return home / usual / "killsync"
