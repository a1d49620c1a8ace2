"""The dialogue of a login: sending the person to SSO, and registering whoever comes back."""

import os
import re
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from types import FrameType

import msgspec

from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.cli.registering import Outcome, Registering
from killsync.cli.signals import StopOnSignal, leaving_by_exception
from killsync.errors import KillsyncError, LoginRefused, Refused, TryLater, UsageError
from killsync.esi.client import CORPORATION_SCOPE, SCOPE
from killsync.http import Http
from killsync.login import accounts, callback
from killsync.login.accounts import Candidate
from killsync.login.callback import Listener, Visit
from killsync.login.connecting import connected
from killsync.login.corporations import Corporations
from killsync.login.page import BrowserPage
from killsync.login.sso import Authorization, Sso
from killsync.settings import application, config
from killsync.settings.config import Settings
from killsync.store.connection import Store
from killsync.terminal.questions import agree, prompt
from killsync.terminal.text import safe
from killsync.times import span

Show = Callable[[BrowserPage], None]
# SSO's codes are longer than what a person types
_CODE = re.compile(r"[\w.~-]{16,}", re.ASCII)


class LoginOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command; `limit` is in seconds."""

    no_browser: bool
    corporation: bool
    another: bool
    yes: bool
    limit: float


def log_in(call: Invocation, settings: Settings, store: Store, options: LoginOptions) -> int:
    """Log in one character, or one after the other; return the exit code.

    It is that of the worst that kept a corporation from being registered beside its character.
    Raises LoginRefused, LoginNeeded, UsageError, Refused or TryLater; characters that have
    already logged in are kept.
    """
    stop = StopOnSignal()
    stop.wake = lambda: prompt("\nEnding as soon as the answer is here; Ctrl-C again ends at once.")
    # once SSO has been asked for a token, nothing keeps it from being stored or revoked
    with (
        connected(store.path, settings, threading.Event()) as (_, tokens, sso),
        # what ESI is asked after that may be stopped
        closing(Http(application.user_agent(settings.contact), stop.flag)) as http,
    ):
        corporations = Corporations(store, http, settings) if options.corporation else None
        registering = Registering(call, settings, store, tokens, corporations)
        log_in_one = partial(accounts.log_in, store, tokens, sso)
        dialogue = _Dialogue(call, settings, options, stop, sso, log_in_one, registering)
        if options.no_browser:
            # before anything is read: what is not text is not an address either
            sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
            return dialogue.play(dialogue.wait_for_paste)
        with callback.listen(settings.callback_url) as listener:
            return dialogue.play(lambda login: dialogue.wait_for_browser(login, listener))


class _Dialogue(msgspec.Struct, frozen=True):
    call: Invocation
    settings: Settings
    options: LoginOptions
    stop: StopOnSignal
    sso: Sso
    log_in: Callable[[str, Authorization], Candidate]
    registering: Registering

    def play(self, one: Callable[[Authorization], int]) -> int:
        """Log in one character, and others if the person wants to; return the exit code."""
        scopes = [SCOPE, CORPORATION_SCOPE] if self.options.corporation else [SCOPE]
        code = 0
        while True:
            self.sso.prepare()
            try:
                code = max(code, one(self.sso.authorize(self.settings.callback_url, *scopes)))
            except KeyboardInterrupt:
                prompt("\nStopped: this login has changed nothing.")
                raise
            if not self.options.another or not agree("Log in another character?"):
                return code

    def wait_for_browser(self, login: Authorization, listener: Listener) -> int:
        """Wait until the browser comes back from SSO, and register its character."""
        self._show_url(login)
        deadline = time.monotonic() + self.options.limit
        while (visit := listener.wait(deadline - time.monotonic())) is not None:
            try:
                code = self._complete(login, visit)
                if code is not None:
                    return code
            except KillsyncError as error:
                visit.reply(_failed(error))
                raise
            finally:
                # if nothing has been replied yet: only the first reply counts
                visit.reply(callback.UNDECIDED)
        raise self._too_late()

    def _complete(self, login: Authorization, visit: Visit) -> int | None:
        """Return the exit code of the login, None if the browser comes from another one."""
        try:
            code = callback.extract_code(visit.query, login.state)
        except Refused as error:
            visit.reply(_failed(error))
            self.call.warn(f"{error}; still waiting for that one")
            return None
        return self._finish(code, login, visit.reply)

    def wait_for_paste(self, login: Authorization) -> int:
        """Take what the person pastes, until it is the answer to this login."""
        prompt(
            f"Open this URL in a browser anywhere, and log in:\n\n{login.url}\n\n"
            f"You end on a page at {self.settings.callback_url}, which may fail to load.\n"
            "Copy the whole address of that page, and paste it here:"
        )
        deadline = time.monotonic() + self.options.limit
        while True:
            try:
                code = _code_in(self._read(deadline), login.state)
                break
            except Refused as error:
                self.call.warn(f"{error}; paste the address on which the browser ended:")
        return self._finish(code, login, lambda _: None)

    def _show_url(self, login: Authorization) -> None:
        opens = opens_a_browser(os.environ, sys.platform)
        if opens:
            # the browser inherits the environment, and needs no secrets of ours
            for name in config.SECRET_VARIABLES:
                os.environ.pop(name, None)
            # one that keeps its caller waiting must not keep the listener waiting
            threading.Thread(target=webbrowser.open, args=(login.url,), daemon=True).start()
            what = "Your browser opens EVE's login. If it does not, open this URL on this computer:"
        else:
            what = (
                "No browser can be opened here. Open this URL in one on this computer; if there "
                f"is none, press Ctrl-C and run `{self.call.program.line('login --no-browser')}`:"
            )
        prompt(f"{what}\n\n{login.url}\n\nWaiting, {span(self.options.limit)} at most…")

    def _finish(self, code: str, login: Authorization, show: Show) -> int:
        # what SSO has given is stored before a signal ends the program
        with self.stop:
            candidate = self.log_in(code, login)
            is_open = candidate.sold and not self.options.yes
            registered = 0 if is_open else self._register(candidate, show)
        if self.stop.exit_code is not None:
            if is_open:
                accounts.turn_away(self.sso, candidate.grant)
            exit_with(self.stop.exit_code)
        if not is_open:
            return registered
        show(BrowserPage("One question is left", "Answer it in the terminal where killsync runs."))
        with leaving_by_exception():
            self._confirm_new_owner(candidate)
        with self.stop:
            registered = self._register(candidate, show)
        if self.stop.exit_code is not None:
            exit_with(self.stop.exit_code)
        return registered

    def _confirm_new_owner(self, candidate: Candidate) -> None:
        """Raise LoginRefused, and leave no token behind, unless the person agrees."""
        name, agreed = safe(candidate.character.name, 60), False
        self.call.warn(f"{name} belongs to another account than at its last login: it was sold")
        try:
            agreed = agree(f"Keep syncing {name}, with the new account's login?", default=False)
        finally:
            if not agreed:
                accounts.turn_away(self.sso, candidate.grant)
        if not agreed:
            raise LoginRefused(f"{name} keeps the login it had; use --yes to take the new one")

    def _register(self, candidate: Candidate, show: Show) -> int:
        """Register who has logged in, and say so; return the exit code."""
        outcome = self.registering.register(candidate)
        show(_page(outcome))
        if not self.call.quiet:
            print_result(outcome.character_line())
            if (line := outcome.corporation_line()) is not None:
                print_result(line)
        outcome.raise_if_ends()
        if (reason := outcome.reason()) is not None:
            self.call.warn(reason)
        if not self.call.quiet:
            words = " ".join(map(str, outcome.user_ids))
            prompt(
                f"The killmails of {outcome.names} come with the next "
                f"`killsync scan`; or now, with `{self.call.program.line(f'sync {words}')}`."
            )
        return outcome.exit_code

    def _read(self, deadline: float) -> str:
        with _until(deadline, self._too_late()):
            line = sys.stdin.readline()
        if not line:
            raise UsageError("nothing was pasted: the login is not complete, nothing has changed")
        return line.strip()

    def _too_late(self) -> TryLater:
        return TryLater(
            f"nobody came back from SSO within {span(self.options.limit)}; try again. If SSO "
            "showed an error, check client_id, and give your EVE application the callback URL "
            f"{self.settings.callback_url}"
        )


def opens_a_browser(environment: Mapping[str, str], platform: str) -> bool:
    """Return whether a browser with a window of its own can be opened here.

    One that runs in the terminal would take it from the person who waits there.
    """
    if platform in ("darwin", "win32", "cygwin"):
        return True
    return any(environment.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_INTEROP"))


def _code_in(pasted: str, state: str) -> str:
    """Return the code of a pasted address, or pasted alone. Raises as `callback.code_of`."""
    pasted = pasted.strip("\"'<> ")
    if not pasted:
        raise Refused("nothing was pasted")
    query = pasted.partition("?")[2] or pasted
    if "code=" in query or "error=" in query:
        return callback.extract_code(query.partition("#")[0], state)
    if not _CODE.fullmatch(pasted):
        raise Refused("this holds no code, so it is not the address where the login ended")
    return pasted


@contextmanager
def _until(deadline: float, too_late: TryLater) -> Iterator[None]:
    """Raise `too_late` if what is done within, in the main thread, goes on after the deadline."""

    def ring(_: int, __: FrameType | None) -> None:
        raise too_late

    before = signal.signal(signal.SIGALRM, ring)
    # a timer of zero would never ring
    signal.setitimer(signal.ITIMER_REAL, max(0.001, deadline - time.monotonic()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _page(outcome: Outcome) -> BrowserPage:
    """Return what the browser shows of who was registered."""
    registered = "is registered" if outcome.new else "is logged in again"
    if (reason := outcome.reason()) is not None:
        return BrowserPage(
            f"{outcome.name} {registered}, but not as a director", f"{reason}.", good=False
        )
    end = "You may close this page and go back to the terminal."
    found = outcome.corporation
    if found is None:
        return BrowserPage(f"{outcome.name} {registered}", end)
    return BrowserPage(f"{outcome.name} and {safe(found.name, 60)} are registered", end)


def _failed(error: KillsyncError) -> BrowserPage:
    return BrowserPage("This login did not work", f"{safe(error, 500)}.", good=False)
