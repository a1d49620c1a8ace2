"""Who calls `killsync scan` on this computer: crontabs and systemd's timers."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from killsync.doctor import crontab
from killsync.doctor.crontab import Entry
from killsync.settings.config import SECRET_VARIABLES

_ETC = Path("/etc")
_PROC = Path("/proc")
_DAEMONS = {"cron", "crond", "fcron", "dcron", "bcron-sched", "anacron", "cronie", "systemd-cron"}
_PATIENCE = 5.0
_NONE = ("no crontab for", "no such file")


class Owner(msgspec.Struct, frozen=True):
    """Whose schedules are looked at."""

    name: str
    home: str
    is_me: bool


class Schedules(msgspec.Struct, frozen=True):
    """What was found: every entry with its place, the text of each place that could be read.

    `trouble` says why the owner's crontab cannot be read.
    """

    entries: list[tuple[str, Entry]]
    texts: dict[str, str]
    trouble: str | None


def owner_of(database: Path) -> Owner:
    """Return who runs killsync: this user, or if that is root the owner of the database."""
    me = os.geteuid()
    uid = database.stat().st_uid if me == 0 and database.exists() else me
    try:
        known = pwd.getpwuid(uid)
    except KeyError:
        return Owner(str(uid), str(Path.home()), uid == me)
    return Owner(known.pw_name, known.pw_dir, uid == me)


def read(owner: Owner, env: Mapping[str, str]) -> Schedules:
    """Return what calls `killsync scan` for this user, as far as it can be read."""
    text, trouble = _own_crontab(owner, env)
    own = f"the crontab of {owner.name}"
    found = [(own, entry) for entry in crontab.entries(text, owner.home)]
    found += [*_of_the_system(owner), *_timers(owner)]
    texts = {str(file): _text(file) for file in [*_system_tables(), *_services(owner)]}
    return Schedules(found, {own: text} | texts, trouble)


def daemon_runs() -> bool | None:
    """Tell whether a cron daemon runs, None if the processes of others cannot be seen."""
    if not (_PROC / "1").exists():
        return None
    return any(map(_is_daemon, _PROC.glob("[0-9]*")))


def _is_daemon(process: Path) -> bool:
    try:
        # one that has ended and is not cleared away has no command line
        name = (process / "comm").read_text().strip()
        return name in _DAEMONS and bool((process / "cmdline").read_bytes())
    except OSError:
        return False


def _own_crontab(owner: Owner, env: Mapping[str, str]) -> tuple[str, str | None]:
    program = shutil.which("crontab", path=f"{env.get('PATH', '')}:{crontab.CRON_PATH}")
    if program is None:
        return "", "there is no program `crontab` here"
    whose = [] if owner.is_me else ["-u", owner.name]
    try:
        done = subprocess.run(
            [program, *whose, "-l"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            env={n: v for n, v in env.items() if n not in SECRET_VARIABLES} | {"LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", f"{program} cannot be run"
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == 0:
        return done.stdout.decode(errors="surrogateescape"), None
    if any(words in said.lower() for words in _NONE):
        return "", None
    return "", f"`crontab -l` says: {said.splitlines()[0] if said else done.returncode}"


def _of_the_system(owner: Owner) -> Iterator[tuple[str, Entry]]:
    for file in _system_tables():
        for entry in crontab.entries(_text(file), owner.home, with_user=True):
            if entry.user == owner.name:
                yield str(file), entry


def _system_tables() -> list[Path]:
    return [_ETC / "crontab", *sorted((_ETC / "cron.d").glob("*"))]


def _services(owner: Owner) -> Iterator[Path]:
    """Yield what the enabled timers start."""
    for units in (_ETC / "systemd/system", Path(owner.home) / ".config/systemd/user"):
        for timer in sorted(units.glob("timers.target.wants/*.timer")):
            yield units / f"{timer.stem}.service"


def _timers(owner: Owner) -> Iterator[tuple[str, Entry]]:
    for service in _services(owner):
        for entry in crontab.unit_entries(_text(service), owner.home):
            yield str(service.with_suffix(".timer")), entry


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="surrogateescape")
    except OSError:
        return ""
