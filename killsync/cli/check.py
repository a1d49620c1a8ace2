"""`killsync check`: whether the database can be trusted, and fixing what can be fixed."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from killsync.cli import invocation, opening
from killsync.cli.help_parts import STOPPED, HelpText, exits
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.cli.signals import StopOnSignal
from killsync.errors import DatabaseError
from killsync.settings.config import Settings
from killsync.store import connection
from killsync.store.connection import Store
from killsync.store.sqlite_errors import readable_errors
from killsync.terminal.console import error_console
from killsync.terminal.text import safe

if TYPE_CHECKING:
    from killsync.check.findings import Verdict
    from killsync.check.verification import Progress

_LOCK_PATIENCE = 10.0
_MOST_ROUNDS = 3


HELP = {
    "check": HelpText(
        {
            "killsync check": "reads everything, and changes nothing",
            "killsync check --repair": "fixes what can be fixed",
        },
        exits(
            "nothing is wrong, or all of it is repaired",
            _1="there are problems, which the lines above name",
            _2="SQLite says that the file is damaged, or it is no database of killsync's",
            _75="another run is at work: try later",
            _130_143=STOPPED,
        ),
    ),
}


def check(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fix what can be fixed; ask ESI again for the rest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify the database offline: every body, list, count and time, and the token file."""
    call = invocation.from_context(context)
    with invocation.edge(call, works=repair and not as_json), StopOnSignal() as stop:
        settings = call.settings()
        checking = _Check(call, settings, stop, as_json=as_json)
        try:
            code = checking.repair() if repair else checking.look()
        except DatabaseError:
            if stop.exit_code is None:
                raise
            code = stop.exit_code
        exit_with(stop.exit_code or code)


class _Check:
    def __init__(
        self, call: Invocation, settings: Settings, stop: StopOnSignal, *, as_json: bool
    ) -> None:
        self._call = call
        self._settings = settings
        self._stop = stop
        self._as_json = as_json

    def look(self) -> int:
        """Check, print what was found, and return the exit code."""
        with opening.for_reading(self._settings) as store:
            verdict = self._verify(store)
        self._show(verdict)
        return _code(verdict)

    def repair(self) -> int:
        """Check, repair and check again until nothing is left that can be repaired."""
        with (
            opening.for_reading(self._settings) as store,
            opening.locked_patiently(store, self._call, self._stop, _LOCK_PATIENCE),
        ):
            verdict = before = self._verify(store, locked=True)
            repairable = _is_repairable(before)
            if repairable:
                self._print_found(before)
                verdict = self._repair(store, before)
            elif any(user.set_aside for user in before.users):
                self._ask_for_set_aside()
        self._show(verdict, before if repairable else None)
        return _code(verdict)

    def _repair(self, store: Store, verdict: "Verdict") -> "Verdict":
        from killsync.check import repair

        path = self._settings.database
        with closing(connection.connect(path)) as writing, readable_errors(path):
            self._print_copy(repair.copy_before(writing))
            for _ in range(_MOST_ROUNDS):
                repair.repair_all(writing, verdict, time.time())
                verdict = self._verify(store, locked=True)
                if not _is_repairable(verdict):
                    break
        return verdict

    def _ask_for_set_aside(self) -> None:
        from killsync.store import repair

        path = self._settings.database
        with closing(connection.connect(path)) as writing, readable_errors(path):
            repair.ask_for_set_aside(writing)
        if not self._call.quiet and not self._as_json:
            print_result("the next `killsync scan` asks once more for what is set aside")

    def _verify(self, store: Store, *, locked: bool = False) -> "Verdict":
        from killsync.check import verification
        from killsync.store import verify

        verify.prepare(store.conn, self._stop.flag.is_set)
        with _progress(self._call, self._stop) as progress:
            return verification.verify_all(store, progress, locked=locked)

    def _print_found(self, verdict: "Verdict") -> None:
        from killsync.terminal import verdict_lines

        if not self._as_json:
            for line in verdict_lines.problems(verdict, verdict_lines.FOUND):
                print_result(line)

    def _print_copy(self, copy: Path) -> None:
        if not self._call.quiet and not self._as_json:
            print_result(f"a copy of the database as it was is kept in {safe(copy, 400)}")

    def _show(self, verdict: "Verdict", before: "Verdict | None" = None) -> None:
        from killsync.terminal import verdict_lines

        if self._as_json:
            print_result(
                json.dumps(_json(verdict, verdict_lines.repaired(verdict, before)), indent=2)
            )
        elif not self._call.quiet or verdict.damaged:
            for line in verdict_lines.everything(verdict, before):
                print_result(line)
        elif verdict.total or before:
            for line in verdict_lines.problems(verdict, "problem"):
                print_result(line)
            print_result(verdict_lines.conclusion(verdict, before))


def _is_repairable(verdict: "Verdict") -> bool:
    return any(finding.repairable for finding in verdict.problems)


def _code(verdict: "Verdict") -> int:
    if verdict.damaged:
        return DatabaseError.exit_code
    return 1 if verdict.total else 0


def _json(verdict: "Verdict", repaired: int) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(verdict)
    for problem in plain["problems"]:
        problem.pop("ask_with", None)
    return plain | {"total": verdict.total, "repaired": repaired, "ok": not verdict.total}


@contextmanager
def _progress(call: Invocation, stop: StopOnSignal) -> Iterator["Progress"]:
    """Yield what shows how far the check is; it ends the check when a signal has come."""

    def look(what: str, done: int, total: int | None) -> None:
        if stop.exit_code is not None:
            exit_with(stop.exit_code)

    if call.quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield look
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = error_console()
    words, of = TextColumn("{task.description}"), TextColumn("{task.fields[of]}")
    columns = (words, BarColumn(), of, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, of="")

        def show(what: str, done: int, total: int | None) -> None:
            look(what, done, total)
            of = "" if total is None else f"{done:,} of {total:,}"
            bar.update(task, description=what, completed=done, total=total, of=of)

        yield show
