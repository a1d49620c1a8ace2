"""`killsync init`: the configuration file, the first login and the crontab entry."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from killsync import files
from killsync.cli import former, given, invocation, unit_files
from killsync.cli.former import Former
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.errors import INTERRUPTED, UsageError
from killsync.settings import application, config
from killsync.settings.config import Settings, Source
from killsync.settings.program import this_program
from killsync.settings.text import is_text
from killsync.starting import crontab
from killsync.terminal.questions import Unanswered, agree, ask, ask_hidden, prompt
from killsync.terminal.text import safe

_COPY = "before-init"


HELP = {
    "init": HelpText(
        {
            "killsync init": "asks for what is missing",
            "killsync init --systemd": "a timer instead of cron",
            "killsync init --set workers=4": "changes one setting, and leaves the rest",
        },
        exits(
            "the file is written",
            _2="a value is wrong or missing, or the file is there already",
            _130="stopped by Ctrl-C",
        ),
    ),
}


def init(
    context: typer.Context,
    client_id: Annotated[
        str | None, typer.Option(help="Of your EVE application. [env: KILLSYNC_CLIENT_ID]")
    ] = None,
    contact: Annotated[
        str | None,
        typer.Option(help="How ESI's operators reach you. [env: KILLSYNC_CONTACT]"),
    ] = None,
    client_secret_file: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Holds the secret, if there is one. [env: KILLSYNC_CLIENT_SECRET_FILE]",
        ),
    ] = None,
    callback_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="As the application has it. [env: KILLSYNC_CALLBACK_URL]"),
    ] = None,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing; the default without a terminal.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Write an existing file again with its settings; keep a copy."
        ),
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Only change this setting, and leave the rest of the file.",
        ),
    ] = None,
    systemd: Annotated[
        bool,
        typer.Option(
            "--systemd",
            help="Write a service and a timer for your systemd, instead of cron's line.",
        ),
    ] = False,
) -> None:
    """Write the configuration file; then offer a login and show the line for cron.

    With --systemd a file that is there stays as it is.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        call.warn_of_unknown_variables()
        given_here = any((client_id, contact, client_secret_file, callback_url))
        if changes:
            if force or systemd or given_here:
                raise UsageError("--set only changes settings: use it without other options")
            given.change(call, changes)
            exit_with(0)
        flags = {
            "db": call.db,
            "client_id": client_id,
            "contact": contact,
            "client_secret_file": client_secret_file,
            "callback_url": callback_url,
        }
        asking = not no_input and sys.stdin.isatty()
        if systemd and not given_here and config.config_file(call.config, os.environ).is_file():
            unit_files.write(call, asking=asking, force=force)
            exit_with(0)
        exit_with(_Init(call, flags, asking=asking, systemd=systemd).run(force=force))


class _Init:
    def __init__(
        self, call: Invocation, flags: Mapping[str, object], *, asking: bool, systemd: bool
    ) -> None:
        self._call = call
        self._flags = flags
        self._asking = asking
        self._systemd = systemd
        self._named = config.config_file(call.config, os.environ).absolute()
        # the file that is written names the database
        self._program = this_program(call.config, None, os.environ)
        self._database: Path | None = None

    def run(self, *, force: bool) -> int:
        """Write the file and offer what comes next; return the exit code."""
        file = given.written_to(self._named)
        _check_place(file, force=force)
        old = former.read(file, given.CHECKS)
        fixed = self._given()
        values = old.without(fixed) | fixed
        given.require_secrets(values)
        try:
            answers = self._answers(values, asked_again=old.without(fixed))
        except Unanswered:
            raise UsageError("no more answers; nothing was written") from None
        values |= answers
        self._name_database(values)
        text = given.text(values)
        if file.exists():
            self._keep_copy(file, old)
        files.write_private(file, text.encode())
        self._print(f"{safe(self._named)} is written; nobody else can read it")
        return self._go_on(force=force)

    def _keep_copy(self, file: Path, old: Former) -> None:
        copy = files.keep_copy(file, _COPY)
        self._print(f"the old contents of {safe(file)} are kept in {safe(copy)}")
        if old.lost:
            lost = safe(", ".join(old.lost), 300)
            self._call.warn(f"not taken over from the old file, and kept in {safe(copy)}: {lost}")

    def _name_database(self, values: dict[str, Any]) -> None:
        """Name the database in the file if it must be, or by flag if its path cannot stand there.

        Raises UsageError if none is named, and nobody knows this user's home.
        """
        if not values.get("db"):
            database = Settings().database
            if database != crontab.usual_database(_home()):
                # cron would look elsewhere
                values["db"] = str(database)
        if "db" in values and not is_text(values["db"]):
            self._database = Path(values.pop("db"))
            self._program = this_program(self._call.config, str(self._database), os.environ)
            self._prompt(
                f"{safe(self._database)} is not valid UTF-8, which the file cannot hold: name it "
                "with --db each time, as below"
            )

    def _given(self) -> dict[str, Any]:
        """Return what flags and environment set, checked, paths made absolute."""
        found = config.examine(Path(os.devnull), self._flags, os.environ)
        if found.mistakes:
            raise UsageError(found.mistakes[0])
        values = {key: getattr(found.settings, key) for key in found.origins}
        given.complete(values)
        taken = [key for key, origin in found.origins.items() if origin is Source.ENVIRONMENT]
        if taken:
            self._prompt(
                "Taken from the environment and written to the file, since cron does not see "
                f"what a shell exports: {', '.join(taken)}"
            )
        return values

    def _answers(self, values: Mapping[str, Any], asked_again: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is still missing, asked for at the terminal; old values may be changed."""
        settings = Settings(**values)
        wanted = [] if settings.client_id else ["client_id"]
        if application.needs_contact(settings) and not settings.contact:
            wanted.append("contact")
        if not self._asking:
            _refuse_without(wanted)
            return {}
        wanted += [key for key in ("client_id", "contact") if asked_again.get(key)]
        return self._asked(settings, wanted)

    def _asked(self, settings: Settings, wanted: list[str]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        if "client_id" in wanted:
            answers |= self._asked_application(settings)
        if "contact" in wanted:
            prompt(
                "ESI asks for a way to reach you, such as an e-mail address; others do not see it."
            )
            answers["contact"] = _ask("Contact", application.check_contact, settings.contact)
        return answers

    def _asked_application(self, settings: Settings) -> dict[str, Any]:
        from killsync.esi.client import CORPORATION_SCOPE, SCOPE

        old = settings.client_id
        if not old:
            prompt(
                "killsync works through an EVE application of your own. Create one, with ESI "
                "access, at https://developers.eveonline.com:\n"
                f"  callback URL  {settings.callback_url}  (to the letter)\n"
                f"  scope         {SCOPE}\n"
                f"  scope         {CORPORATION_SCOPE}  (only to read corporations' killmails)"
            )
        client_id = _ask("Client id of the application", application.check_client_id, old)
        answers = {"client_id": client_id}
        if settings.client_secret_file or (settings.client_secret and client_id == old):
            return answers
        question = "Its secret, which killsync does not need (not shown; Enter for none)"
        secret = ask_hidden(question, application.check_client_secret)
        # that of another application is of no use
        return answers | ({"client_secret": secret} if secret or settings.client_secret else {})

    def _go_on(self, *, force: bool) -> int:
        """Offer a login and the line for cron, or write systemd's units; return the exit code."""
        code = 0
        logs_in = self._asking and agree("Log in with a character now?")
        if logs_in:
            code = _call(self._program.call("login"))
        if code or not logs_in:
            self._print(f"log in with a character: {self._program.line('login')}")
        stopped = code in (INTERRUPTED, -signal.SIGINT)
        if self._systemd:
            unit_files.write(self._call, asking=self._asking and not stopped, force=force)
        elif stopped or not self._asking or agree("Show the line for your crontab?"):
            self._print(
                f"add this line with `crontab -e`, for a scan every ten minutes:\n{self._entry()}"
            )
        self._print(f"to check that all is well: {self._program.line('doctor')}")
        return INTERRUPTED if stopped else code

    def _entry(self) -> str:
        return crontab.entry(self._program.words, self._named, _home(), self._database)

    def _print(self, text: str) -> None:
        if not self._call.quiet:
            print_result(text)

    def _prompt(self, text: str) -> None:
        if not self._call.quiet:
            prompt(text)


def _ask(question: str, check: Callable[[str], str], old: str) -> str:
    """Ask for a value; Enter alone keeps the old one, if there is one."""
    if not old:
        return ask(question, check)
    return ask(f"{question} [{safe(old)}]", lambda text: check(text or old))


def _check_place(file: Path, *, force: bool) -> None:
    """Raise UsageError unless the file may be written."""
    if file.exists() and not file.is_file():
        raise UsageError(f"{file}: is not a file; name another with --config")
    if file.exists() and not force:
        raise UsageError(
            f"{file}: exists already, and was not changed: go on with `killsync login`, then "
            "`killsync doctor`, which shows the line for cron; edit the file, or use --force to "
            "replace it (a copy is kept)"
        )


def _refuse_without(wanted: list[str]) -> None:
    if wanted:
        missing = [
            f"{key} (--{key.replace('_', '-')} or {config.ENVIRONMENT_PREFIX}{key.upper()})"
            for key in wanted
        ]
        raise UsageError(f"not given, and there is no terminal to ask at: {', '.join(missing)}")


def _home() -> Path:
    """Return the home directory that cron gives this user."""
    return crontab.home_of(os.geteuid())


def _call(words: list[str]) -> int:
    """Run another command at this terminal; Ctrl-C stops that command alone."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(words, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
