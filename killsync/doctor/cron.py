"""Cron: whether a scan is called, which one, with which settings, and whether it happens."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from killsync.doctor import crontab, schedules, storage
from killsync.doctor.crontab import Entry
from killsync.doctor.diagnosis import Diagnosis, mend, ok, skipped, warning
from killsync.doctor.schedules import Owner, Schedules
from killsync.doctor.setup import Setup
from killsync.errors import KillsyncError, UsageError
from killsync.settings import application, config
from killsync.settings.config import ENVIRONMENT_PREFIX, Origin, Settings
from killsync.store import runs
from killsync.times import HOUR, ago

_EDIT = "with `crontab -e`"


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how the scans are called."""
    owner = schedules.owner_of(setup.settings.database)
    found = schedules.read(owner, setup.env)
    line = crontab_line(setup, owner)
    for place, table in found.texts.items():
        for name in crontab.secrets_in(table):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            text = f"{name} stands in {place}"
            yield warning("secret", text, f"put it into a file of mode 600, and set {key}_file")
    if not found.entries:
        yield _without_entry(found, line)
        yield from _unseen(setup, {})
        return
    for place, entry in found.entries:
        yield from _program(place, entry, line)
        yield from _settings(setup, owner, entry)
        yield from _unseen(setup, entry.variables)
    yield from _last_scan(setup, [entry for _, entry in found.entries])


def crontab_line(setup: Setup, owner: Owner) -> str:
    """Return the line for the owner's crontab that calls this installation."""
    return crontab.entry(setup.program, setup.file, Path(owner.home))


def _without_entry(found: Schedules, line: str) -> Diagnosis:
    if found.trouble is not None:
        text = f"{found.trouble}; no other call of `killsync scan` is found"
        return warning("entry", text, f"let something call this regularly: {line}")
    text = "nothing calls `killsync scan`, so nothing is synced by itself"
    return warning("entry", text, f"add this line {_EDIT}: {line}")


def _program(place: str, entry: Entry, line: str) -> Iterator[Diagnosis]:
    called = " ".join(entry.program)
    cure = f"let it be this line, {_EDIT}: {line}"
    path = shutil.which(entry.program[0], path=entry.variables.get("PATH", crontab.CRON_PATH))
    if path is None:
        yield mend("entry", f"{place} calls {called}, {_why_not(entry)}", cure)
    elif not _is_this(entry.program, Path(path)):
        text = f"{place} calls another killsync, {called}"
        yield warning("entry", text, cure)
    else:
        yield ok("entry", f"{place}: {entry.schedule} {called} scan")


def _why_not(entry: Entry) -> str:
    program = entry.program[0]
    if "/" not in program:
        return f"which is not in cron's PATH, {entry.variables.get('PATH', crontab.CRON_PATH)}"
    return "which cannot be executed" if Path(program).exists() else "which is not there"


def _is_this(program: tuple[str, ...], path: Path) -> bool:
    """Tell whether an entry calls the installation that this process runs from."""
    if len(program) > 1:
        return path.parent.resolve() == Path(sys.executable).parent.resolve()
    mine = {Path(sys.argv[0]).resolve(), Path(sysconfig.get_path("scripts"), "killsync").resolve()}
    return path.resolve() in mine


def _settings(setup: Setup, owner: Owner, entry: Entry) -> Iterator[Diagnosis]:
    """Yield whether the scan that is called has what it needs, and works on this database."""
    try:
        settings = _seen_by(owner, entry)
        application.require(settings)
    except UsageError as error:
        cure = f"{setup.command('init')}, or set it in the crontab"
        yield mend("settings", f"the scan that is called fails: {error}", cure)
        return
    here, there = setup.settings.database, settings.database
    if here.resolve() != there.resolve():
        text = f"the scan that is called works on {there}, this is {here}"
        yield warning("settings", text, f"let db or KILLSYNC_DB say the same, {_EDIT}")
    else:
        yield ok("settings", f"the scan that is called works on {there}")


def _seen_by(owner: Owner, entry: Entry) -> Settings:
    """Return the settings of the scan that an entry calls. Raises UsageError."""
    variables = entry.variables
    named = entry.config or variables.get("KILLSYNC_CONFIG")
    file = Path(named) if named else crontab.usual_file(owner.home, variables)
    home = variables.get("HOME", owner.home)
    file = Path(home, file)  # cron starts everything there
    if not named and not file.exists():
        file = Path(os.devnull)
    settings = config.load(file, {"db": entry.db}, variables)
    text = settings.db or str(crontab.usual_database(owner.home, variables))
    absolute = Path(home, text[2:] if text.startswith("~/") else text)
    return msgspec.structs.replace(settings, db=str(absolute))


def _unseen(setup: Setup, variables: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Yield which settings this shell alone sets, and cron would see otherwise."""
    file = setup.file if setup.file.exists() else Path(os.devnull)
    seen = config.examine(file, {}, variables).settings
    unseen = [
        ENVIRONMENT_PREFIX + key.upper()
        for key, origin in setup.found.origins.items()
        if origin is Origin.ENVIRONMENT and getattr(seen, key) != getattr(setup.settings, key)
    ]
    if unseen:
        text = f"cron does not see what only this environment sets: {', '.join(unseen)}"
        there = setup.file.exists()
        cure = f"set them in {setup.file}" if there else setup.command("init")
        yield warning("environment", text, cure)


def _last_scan(setup: Setup, entries: list[Entry]) -> Iterator[Diagnosis]:
    try:
        with storage.opened(setup) as store:
            last = runs.last_scan(store.conn, setup.now)
    except KillsyncError:
        yield skipped("last scan", "the database cannot be read")
        return
    pauses = [crontab.longest_pause(entry.schedule) for entry in entries]
    known = [pause for pause in pauses if pause is not None]
    told = f"the last scan began {ago(last, setup.now)}" if last else "no scan has been made yet"
    if last is not None and setup.now - last <= min(known, default=HOUR):
        yield ok("last scan", told)
    elif all(entry.schedule == "systemd" for entry in entries):
        yield warning("last scan", told, "see whether the timer runs: systemctl list-timers")
    elif schedules.daemon_runs() is False:
        text = f"{told}, and no cron daemon runs"
        yield mend("last scan", text, "start it: sudo systemctl enable --now cron (or crond)")
    else:
        yield warning("last scan", told, "look again in ten minutes; then at the log of the scan")
