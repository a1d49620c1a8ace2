"""A user's systemd units: the service that scans, the timer that starts it, and what stands there.

Sources: systemd.service(5), systemd.exec(5) and systemd.timer(5) of systemd 252.
"""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from killsync.errors import STOPPED, TryLater, UsageError
from killsync.settings.config import Settings
from killsync.settings.places import expanded
from killsync.store.paths import token_file
from killsync.times import MINUTE

SERVICE = "killsync.service"
TIMER = "killsync.timer"
# what a person runs
START_TIMER = f"systemctl --user daemon-reload && systemctl --user enable --now {TIMER}"
LINGER = "loginctl enable-linger"
JOURNAL = f"journalctl --user -u {SERVICE}"
_WRITABLE = "ReadWritePaths="
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
_SHORTEST = 15 * MINUTE
# a run that hangs would keep the timer from starting another, which could report it
_GRACE = 6 * MINUTE

_SERVICE_TEXT = """\
# A scan: killsync.timer starts it, and `killsync init --systemd` writes both for your paths.
# `systemctl --user edit killsync.service` adds settings of your own, such as what a command of
# [[tell]] needs to write, or Environment=HTTPS_PROXY=...

[Unit]
Description=Fetch new EVE Online killmails

[Service]
Type=oneshot
ExecStart={command}
# tried again at the next tick (75), or stopped in good order; 1 and 2 need a person
SuccessExitStatus={well}
# longer than max_runtime: a scan that hangs is ended, and the next one goes on where it was
TimeoutStartSec={longest}
Nice=10
UMask=0077

# what a scan may write; it may read all that you may
ProtectSystem=strict
ProtectHome=read-only
{writable}
PrivateMounts=yes
PrivateTmp={own_tmp}

# without this a user's unit has none of the other namespaces
PrivateUsers=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid

CapabilityBoundingSet=
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""

_TIMER_TEXT = """\
# Scans every ten minutes: `systemctl --user enable --now killsync.timer` starts it, and
# `loginctl enable-linger` keeps it going while you are not logged in.

[Unit]
Description=Fetch new EVE Online killmails every ten minutes

[Timer]
OnBootSec=2min
OnUnitInactiveSec=10min
# not every killsync in the world asks at the same second
RandomizedDelaySec=45s

[Install]
WantedBy=timers.target
"""


def directory(home: Path | None = None) -> Path:
    """Return where a user's systemd looks for the user's units; without a home, for this user's.

    Raises UsageError if the home directory is not known.
    """
    return (home or expanded("~")) / ".config/systemd/user"


def timer_text() -> str:
    """Return the timer: every ten minutes, counted from the end of a scan."""
    return _TIMER_TEXT


def service_text(command: Sequence[str], settings: Settings) -> str:
    """Return the service that runs a command, which may write only what a scan writes.

    Raises UsageError if a path cannot stand in a unit.
    """
    first, *others = command
    if set(first) & set("\"'\\"):
        raise UsageError(f"{first}: systemd starts no program of such a name: use cron")
    # a colon: systemd replaces no variables in the words
    words = [_quoted(word) for word in (f":{first}", *others)]
    places = written_places(settings)
    used = [*places, *(Path(word) for word in command if word.startswith("/"))]
    return _SERVICE_TEXT.format(
        command=" ".join(words),
        well=" ".join(map(str, (TryLater.exit_code, *STOPPED))),
        longest=f"{max(_SHORTEST, settings.max_runtime + _GRACE) / MINUTE:.0f}min",
        writable=_WRITABLE + " ".join(_quoted(str(place)) for place in places),
        # what lies in the common one would be missing from its own
        own_tmp="no" if any(_is_below(place, _TEMPORARY) for place in used) else "yes",
    )


def written_places(settings: Settings) -> list[Path]:
    """Return the directories in which a scan writes, each once."""
    database = settings.database.absolute()
    files = [database, token_file(database).resolve()]
    if settings.prometheus_file:
        metrics = expanded(settings.prometheus_file).absolute()
        # systemd would not start a service that is to write where nothing is
        files += [metrics] if metrics.parent.is_dir() else []
    return list(dict.fromkeys(file.parent for file in files))


def not_writable(text: str, settings: Settings) -> list[Path]:
    """Return the directories in which a scan writes and its service, of this text, may not."""
    if "ProtectSystem=strict" not in text:
        return []
    named = [
        Path(word.lstrip("-+").replace("%%", "%"))
        for line in text.splitlines()
        if line.startswith(_WRITABLE)
        for word in shlex.split(line.removeprefix(_WRITABLE))
    ]
    return [place for place in written_places(settings) if not _is_below(place, named)]


def _is_below(place: Path, directories: Iterable[Path]) -> bool:
    return any(place.resolve().is_relative_to(one.resolve()) for one in directories)


def _quoted(word: str) -> str:
    """Return a word of a command, or a path, as a unit holds it."""
    if not word.isprintable():
        # systemd drops a line that is not UTF-8
        raise UsageError(f"{word!r} cannot stand in a systemd unit: use another name, or cron")
    word = word.replace("%", "%%")
    if word and not set(word) & set(" \"'\\;"):
        return word
    return '"' + word.replace("\\", r"\\").replace('"', r"\"") + '"'
