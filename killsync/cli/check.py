"""`killsync check`: whether the database can be trusted, and putting right what can be."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from killsync.cli import invocation, opening
from killsync.cli.invocation import Invocation, leave, say
from killsync.cli.signals import StopOnSignal
from killsync.errors import DatabaseError
from killsync.settings.config import Settings
from killsync.store import connection, lock
from killsync.store.connection import Store
from killsync.store.sqlite_errors import readable_errors
from killsync.terminal.text import safe

if TYPE_CHECKING:
    from killsync.check.findings import Verdict
    from killsync.check.verification import Progress

_LOCK_PATIENCE = 10.0
_LOCK_STEP = 0.5
_MOST_ROUNDS = 3


def check(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what can be; what cannot, ask ESI again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify the database offline: every body, list, count and time, and the token file."""
    call = invocation.of(context)
    with invocation.edge(call), StopOnSignal() as stop:
        settings = call.settings()
        checking = _Check(call, settings, stop, as_json=as_json)
        try:
            code = checking.repair() if repair else checking.look()
        except DatabaseError:
            if stop.exit_code is None:
                raise
            code = stop.exit_code
        leave(stop.exit_code or code)


class _Check:
    def __init__(
        self, call: Invocation, settings: Settings, stop: StopOnSignal, *, as_json: bool
    ) -> None:
        self._call = call
        self._settings = settings
        self._stop = stop
        self._as_json = as_json
        self._told_waiting = False

    def look(self) -> int:
        """Check, say what was found, and return the exit code."""
        with opening.for_reading(self._settings) as store:
            verdict = self._verify(store)
        self._show(verdict)
        return _code(verdict)

    def repair(self) -> int:
        """Check, mend and check again until nothing is left that can be mended."""
        with opening.for_reading(self._settings) as store, self._locked(store):
            verdict = before = self._verify(store, locked=True)
            mendable = _can_be_mended(before)
            if mendable:
                self._tell_found(before)
                verdict = self._mend(store, before)
        self._show(verdict, before if mendable else None)
        return _code(verdict)

    @contextmanager
    def _locked(self, store: Store) -> Iterator[None]:
        """Hold the lock; a signal ends the wait for it."""
        deadline = time.monotonic() + _LOCK_PATIENCE
        with ExitStack() as held:
            waiting = True
            while waiting:
                try:
                    held.enter_context(opening.locked(store, _LOCK_STEP))
                    waiting = False
                except lock.RunInProgress:
                    self._keep_waiting(deadline)
            yield

    def _keep_waiting(self, deadline: float) -> None:
        if self._stop.exit_code is not None:
            leave(self._stop.exit_code)
        if time.monotonic() >= deadline:
            raise lock.RunInProgress("another run is in progress; try again when it has ended")
        if not self._told_waiting and not self._call.quiet:
            self._call.warn("waiting for another run to end")
        self._told_waiting = True

    def _mend(self, store: Store, verdict: "Verdict") -> "Verdict":
        from killsync.check import repair as mending

        path = self._settings.database
        with closing(connection.connect(path)) as writing, readable_errors(path):
            self._tell_copy(mending.copy_before(writing))
            for _ in range(_MOST_ROUNDS):
                mending.mend(writing, verdict, time.time())
                verdict = self._verify(store, locked=True)
                if not _can_be_mended(verdict):
                    break
        return verdict

    def _verify(self, store: Store, *, locked: bool = False) -> "Verdict":
        from killsync.check import verification
        from killsync.store import verify

        verify.prepare(store.conn, self._stop.flag.is_set)
        with _progress(self._call, self._stop) as progress:
            return verification.verify_all(store, progress, locked=locked)

    def _tell_found(self, verdict: "Verdict") -> None:
        from killsync.terminal import verdict_lines

        if not self._as_json:
            for line in verdict_lines.mistakes(verdict, verdict_lines.FOUND):
                say(line)

    def _tell_copy(self, copy: Path) -> None:
        if not self._call.quiet and not self._as_json:
            say(f"what it was before is kept in {safe(copy, 400)}")

    def _show(self, verdict: "Verdict", before: "Verdict | None" = None) -> None:
        from killsync.terminal import verdict_lines

        if self._as_json:
            say(json.dumps(_json(verdict, verdict_lines.mended(verdict, before)), indent=2))
        elif not self._call.quiet or verdict.damaged:
            for line in verdict_lines.everything(verdict, before):
                say(line)
        elif verdict.total or before:
            for line in verdict_lines.mistakes(verdict, "mistake"):
                say(line)
            say(verdict_lines.conclusion(verdict, before))


def _can_be_mended(verdict: "Verdict") -> bool:
    return any(found.mendable for found in verdict.mistakes)


def _code(verdict: "Verdict") -> int:
    if verdict.damaged:
        return DatabaseError.exit_code
    return 1 if verdict.total else 0


def _json(verdict: "Verdict", mended: int) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(verdict)
    for mistake in plain["mistakes"]:
        mistake.pop("ask_with", None)
    return plain | {"total": verdict.total, "mended": mended, "ok": not verdict.total}


@contextmanager
def _progress(call: Invocation, stop: StopOnSignal) -> Iterator["Progress"]:
    """Yield what shows how far the check is; it ends the check when a signal has come."""

    def look(what: str, done: int, total: int | None) -> None:
        if stop.exit_code is not None:
            leave(stop.exit_code)

    if call.quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield look
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    words, of = TextColumn("{task.description}"), TextColumn("{task.fields[of]}")
    columns = (words, BarColumn(), of, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, of="")

        def show(what: str, done: int, total: int | None) -> None:
            look(what, done, total)
            of = "" if total is None else f"{done:,} of {total:,}"
            bar.update(task, description=what, completed=done, total=total, of=of)

        yield show
