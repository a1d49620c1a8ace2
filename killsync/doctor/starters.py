"""What starts scans by itself, cron or a timer of systemd's: its name, and what to do about it."""

import msgspec

from killsync.doctor.diagnosis import Diagnosis, warning
from killsync.doctor.setup import Setup
from killsync.model import Caller
from killsync.starting.units import JOURNAL, LINGER, SERVICE, START_TIMER, TIMER

ONE_OF_BOTH = (
    f"delete killsync's line with `crontab -e`, or run `systemctl --user disable --now {TIMER}`"
)


class Starter(msgspec.Struct, frozen=True):
    """Who starts scans, where to look if it does not, and how to change what it calls."""

    name: str
    where_to_look: str
    how_to_change: str


def of(last: Caller | None, setup: Setup, line: str) -> Starter:
    """Return what has started the last scan, cron if there was none; `line` is that for cron."""
    if last is None or not last.by_systemd:
        return Starter(
            "cron",
            f"look at `systemctl status cron` (or crond) and the scan's log; the entry: {line}",
            f"change the entry to: {line}",
        )
    return Starter(
        "systemd",
        f"look at `systemctl --user list-timers {TIMER}` and `{JOURNAL}`; without `{LINGER}` "
        "nothing runs while you are not logged in",
        renewed_units(setup),
    )


def renewed_units(setup: Setup) -> str:
    """Return how to have the units written for this installation."""
    command = setup.command("init --systemd --force")
    return f"write the units again: {command} && systemctl --user daemon-reload"


def timer_without_scans(setup: Setup) -> Diagnosis:
    """Return that there is a service, and no scan yet that anything has started."""
    text = (
        f"{SERVICE} is there, but none of its scans has reached {setup.settings.database}: its "
        "timer is not enabled, it has not run yet, it fails, or it works on another database"
    )
    return warning("scan", text, f"{START_TIMER}; then look at `{JOURNAL}`")
