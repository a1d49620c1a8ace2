"""Whether scans run by themselves, when the last one did, how it was called.

Each scan records how it was called; here that is compared with how this process was called.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from killsync.doctor import starters, storage
from killsync.doctor.diagnosis import Diagnosis, ok, problem, skipped, warning
from killsync.doctor.setup import Setup
from killsync.doctor.starters import Starter
from killsync.errors import KillsyncError
from killsync.model import Caller
from killsync.settings import config
from killsync.settings.config import ENVIRONMENT_PREFIX, Source
from killsync.starting import crontab, units
from killsync.starting.crontab import Crontab
from killsync.store import runs
from killsync.store.runs import BackgroundScan
from killsync.times import MINUTE, ago

_TICK = 10 * MINUTE
_MISSED_TICKS = 3
_LOOKED_AT = 12


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield whether scans run by themselves, and as this process would."""
    owner = crontab.find_owner(setup.settings.database)
    table = crontab.read(owner, setup.env)
    for name in table.secrets:
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        text = f"{name} stands in the crontab of {owner.name}"
        where = "the configuration file" if key == "ping_url" else f"a file that {key}_file names"
        yield warning("secret", text, f"put it into {where}, with mode 600")
    try:
        scans = _background_scans(setup.settings.database, setup.now)
    except KillsyncError:
        yield skipped("scan", "the database cannot be read")
        return
    named = _named_by_flag(setup)
    line = crontab.entry(setup.program.words, setup.file, owner.home, named)
    service = units.directory(None if owner.is_me else owner.home) / units.SERVICE
    last = scans[0].caller if scans else None
    starter = starters.of(last, setup, line)
    if not scans and service.exists():
        yield starters.timer_without_scans(setup)
    else:
        yield _recency(setup, scans, table, line, starter)
    yield from _both(setup, scans)
    if last is not None:
        yield from _differences(setup, last, starter)
    yield from _unseen(setup, last.variables if last else [], starter)
    yield from _locked_out(setup, service)


def _background_scans(database: Path, now: float) -> list[BackgroundScan]:
    if not database.exists():
        return []
    with storage.opened(database) as store:
        found = runs.background_scans(store.conn, _LOOKED_AT)
    # a time ahead of now is a wrong clock's
    return [scan for scan in found if scan.started_at <= now]


def longest_silence(starts: Sequence[float]) -> float:
    """Return after how many seconds without a scan something must be wrong: three ticks.

    `starts` are the times of the last scans, newest first; a tick is the usual time between two.
    """
    gaps = [later - earlier for later, earlier in pairwise(starts) if later > earlier]
    return _MISSED_TICKS * max(_TICK, median(gaps) if gaps else _TICK)


def _recency(
    setup: Setup, scans: Sequence[BackgroundScan], table: Crontab, line: str, starter: Starter
) -> Diagnosis:
    """Return whether the last scan without a terminal was recent; if none was, what to do."""
    starts = [scan.started_at for scan in scans]
    silence = longest_silence(starts)
    if starts and setup.now - starts[0] <= silence:
        by = " by systemd" if scans[0].caller.by_systemd else ""
        last = ago(starts[0], setup.now)
        return ok("scan", f"the last one was started {last}{by}, without a terminal")
    elsewhere = _scanned_elsewhere(setup)
    if elsewhere is not None:
        here = setup.settings.database
        text = f"the scans that run by themselves work on {elsewhere}, not on {here}"
        return warning("scan", text, f"set db to the same database for both, or use: {line}")
    if starts:
        last = ago(starts[0], setup.now)
        text = (
            f"the last one started {last}: {starter.name} does not run any more, or the scan fails"
        )
        return problem("scan", text, starter.where_to_look)
    return _never(setup, table, line)


def _never(setup: Setup, table: Crontab, line: str) -> Diagnosis:
    if table.names_killsync:
        database = setup.settings.database
        text = (
            f"the crontab names killsync, but none of its scans has reached {database}: "
            "it has not run yet, it fails, or it works on another database"
        )
        cure = f"look again in ten minutes, then at the scan's log; the entry should be: {line}"
        return warning("scan", text, cure)
    text = "none has run without a terminal yet, so nothing is synced by itself"
    if table.trouble is not None:
        text += f" ({table.trouble})"
    return warning("scan", text, f"add this line with `crontab -e`: {line}")


def _scanned_elsewhere(setup: Setup) -> Path | None:
    """Return the database that is scanned without this process's flags and environment, if any."""
    here = setup.settings.database.resolve()
    for file in (setup.file if setup.file.exists() else None, None):
        there = config.examine(file, {}, {}).settings.database
        if there.resolve() != here and _is_scanned(there, setup.now):
            return there
    return None


def _is_scanned(database: Path, now: float) -> bool:
    try:
        starts = [scan.started_at for scan in _background_scans(database, now)]
    except KillsyncError:
        return False
    return bool(starts) and now - starts[0] <= longest_silence(starts)


def _named_by_flag(setup: Setup) -> Path | None:
    by_flag = setup.found.origins.get("db") is Source.COMMAND_LINE
    return setup.settings.database.absolute() if by_flag else None


def _both(setup: Setup, scans: Sequence[BackgroundScan]) -> Iterator[Diagnosis]:
    """Yield whether two start scans: no harm, as one gives way to the other, but needless."""
    lately = longest_silence([scan.started_at for scan in scans])
    kinds = [s.caller.by_systemd for s in scans if setup.now - s.started_at <= lately]
    # who has gone over from one to the other has changed once
    if sum(later is not earlier for later, earlier in pairwise(kinds)) > 1:
        text = "both a timer of systemd's and cron have started some lately; one is enough"
        yield warning("starters", text, starters.ONE_OF_BOTH)


def _locked_out(setup: Setup, service: Path) -> Iterator[Diagnosis]:
    """Yield where the service keeps scans from writing, since the settings have changed."""
    if service.exists():
        for place in units.not_writable(service.read_text(errors="replace"), setup.settings):
            text = f"{service} does not let a scan write in {place}"
            yield warning("service", text, starters.renewed_units(setup))


def _differences(setup: Setup, last: Caller, starter: Starter) -> Iterator[Diagnosis]:
    """Yield whether the last scan was called as this process was."""
    mine = setup.caller
    compared = {
        "program": (last.program, mine.program),
        "configuration": (last.config, mine.config),
        "database": (last.database, mine.database),
    }
    for subject, (its, ours) in compared.items():
        if Path(its).resolve() == Path(ours).resolve():
            yield ok(subject, f"the last scan used {its} too")
        else:
            text = f"the last scan used {its}, this is {ours}"
            yield warning(subject, text, starter.how_to_change)


def _unseen(setup: Setup, seen: Sequence[str], starter: Starter) -> Iterator[Diagnosis]:
    """Yield which settings only this environment makes; a scan by cron has them otherwise."""
    file = setup.file if setup.file.exists() else Path(os.devnull)
    without = config.examine(file, {}, {}).settings
    unseen = [
        name
        for key, origin in setup.found.origins.items()
        if origin is Source.ENVIRONMENT
        and (name := ENVIRONMENT_PREFIX + key.upper()) not in seen
        and getattr(without, key) != getattr(setup.settings, key)
    ]
    if unseen:
        text = f"{starter.name} does not see what only this environment sets: {', '.join(unseen)}"
        there = setup.file.exists()
        cure = f"set them in {setup.file}" if there else setup.command("init")
        yield warning("environment", text, cure)
