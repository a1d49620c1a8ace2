"""`killsync init --systemd`: the units of the user's systemd that scan every ten minutes."""

import os
from pathlib import Path

from killsync import files
from killsync.cli.invocation import Invocation, print_result
from killsync.errors import UsageError
from killsync.settings import config
from killsync.settings.config import Settings
from killsync.settings.places import expanded
from killsync.starting import crontab, units
from killsync.terminal.questions import agree
from killsync.terminal.text import safe

_COPY = "before-init"


def write(call: Invocation, *, asking: bool, force: bool) -> None:
    """Write the service and its timer for this installation; say how to start them.

    A unit of another text is replaced only with `force`, or if a person agrees; a copy is kept.
    Raises UsageError otherwise.
    """
    file = config.config_file(call.config, os.environ).absolute()
    settings = config.load(call.config, {"db": call.db}, os.environ)
    home = crontab.home_of(os.geteuid())
    database = _to_be_named(file, settings, home)
    texts = {
        units.SERVICE: units.service_text(
            crontab.scan_words(call.program.words, file, home, database), settings
        ),
        units.TIMER: units.timer_text(),
    }
    directory = units.directory()
    wanted = {directory / name: text for name, text in texts.items()}
    others = [file for file, text in wanted.items() if _is_other(file, text)]
    for file in others:
        if not (force or (asking and agree(f"Replace {safe(file)}?", default=False))):
            raise UsageError(
                f"{file}: is there already and differs, and was not changed: use --force to "
                "replace it (a copy is kept)"
            )
    for place in units.written_places(settings):
        # systemd starts no service whose place to write is not there
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in others:
        _print(call, f"the old {file.name} is kept in {safe(files.keep_copy(file, _COPY))}")
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in wanted.items():
        with files.whole_file(file, mode=0o644) as stream:
            stream.write(text.encode())
        _print(call, f"{safe(file)} is written")
    _print(call, f"start the timer: {units.START_TIMER}")
    _print(call, f"let it run while you are not logged in: {units.LINGER}")
    _print(call, f"see what it did: {units.JOURNAL}")
    if crontab.read(crontab.find_owner(settings.database), os.environ).names_killsync:
        _print(call, "your crontab names killsync too: delete that line with `crontab -e`")


def _to_be_named(file: Path, settings: Settings, home: Path) -> Path | None:
    """Return the database if a scan that has only the configuration file would use another."""
    in_file = config.examine(file, {}, {}).settings.db
    found = expanded(in_file) if in_file else crontab.usual_database(home)
    return None if found.resolve() == settings.database.resolve() else settings.database.absolute()


def _is_other(file: Path, text: str) -> bool:
    """Return whether a file is there with another text."""
    return os.path.lexists(file) and not (file.is_file() and file.read_bytes() == text.encode())


def _print(call: Invocation, text: str) -> None:
    if not call.quiet:
        print_result(text)
