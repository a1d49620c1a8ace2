"""What follows a run once the lock is free: no killmail, and no other run, waits for it."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from killsync.cli.invocation import Invocation
from killsync.cli.progress import line_report
from killsync.cli.signals import StopOnSignal
from killsync.errors import describe
from killsync.settings import config
from killsync.settings.config import Settings
from killsync.store import lock, outbox
from killsync.store.connection import VERSION, Store
from killsync.store.sqlite_errors import readable_errors
from killsync.terminal.text import safe


class Ending(msgspec.Struct):
    """How a command that runs ends: its exit code, which it sets unless it raises an error."""

    exit_code: int = 0
    began: float | None = None

    def begin(self) -> None:
        """Take note that the run begins, if it has not; one that gives way never does."""
        if self.began is None:
            self.began = time.monotonic()


@contextmanager
def followed_up(
    call: Invocation, settings: Settings, store: Store, stop: StopOnSignal
) -> Iterator[Ending]:
    """Do what follows a run, however it ends; nothing if it gave way to another.

    What fails then is a warning, never the exit code, which in the end is the program's: a signal
    decides it. Raises UsageError first if the file for Prometheus would replace one of killsync's
    own.
    """
    if settings.prometheus_file:
        _metrics_place(call, settings)
    ending = Ending()
    try:
        with readable_errors(store.path):
            yield ending
    except lock.RunInProgress:
        raise
    except Exception as error:
        ending.begin()
        _follow_up(call, settings, store, stop, ending, error)
        raise
    _follow_up(call, settings, store, stop, ending, None)


def _follow_up(
    call: Invocation,
    settings: Settings,
    store: Store,
    stop: StopOnSignal,
    ending: Ending,
    error: Exception | None,
) -> None:
    """Tell what there is to tell, then describe the run, if there was one, to monitoring."""
    seconds = None if ending.began is None else time.monotonic() - ending.began
    if seconds is not None:
        tell(call, settings, store, stop)
    if error is not None:
        ending.exit_code = stop.exit_code_after(error)
    else:
        ending.exit_code = stop.exit_code or ending.exit_code
    if seconds is not None and settings.prometheus_file:
        _describe(call, settings, store, seconds, ending.exit_code)


def tell(call: Invocation, settings: Settings, store: Store, stop: StopOnSignal) -> None:
    """Tell what there is to tell; what fails is a warning."""
    try:
        if store.version() < VERSION or not (settings.tell or outbox.any_unfinished(store.conn)):
            return
        from killsync.outbox import telling

        telling.tell(store, settings, line_report(call, settings), stop.signalled)
    except Exception as error:
        call.warn_of_monitoring(f"telling could not go on: {_reason(error)}")


def _metrics_place(call: Invocation, settings: Settings) -> Path:
    from killsync.outbox import metrics_file

    return metrics_file.place(settings, config.config_file(call.config, os.environ))


def _describe(
    call: Invocation, settings: Settings, store: Store, seconds: float, exit_code: int
) -> None:
    from killsync.outbox import metrics, metrics_file
    from killsync.outbox.metrics import LastRun

    run = LastRun(seconds, exit_code)
    try:
        text = metrics.text(metrics.samples(store, run, time.time()))
        metrics_file.write(_metrics_place(call, settings), text)
    except Exception as error:  # nothing of it is worth the run's exit code
        call.warn_of_monitoring(f"prometheus_file could not be written: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return safe(f"{error.filename}: {error.strerror}" if error.filename else error, 400)
    return safe(error if isinstance(error, sqlite3.Error) else describe(error), 400)
