"""The dialogue of a login: the way to SSO's page, and what becomes of who comes back."""

import os
import re
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import msgspec

from killsync.cli.invocation import Invocation, leave, say
from killsync.cli.signals import StopOnSignal, leaving_by_exception
from killsync.errors import KillsyncError, LoginRefused, Refused, TryLater, UsageError
from killsync.esi.client import SCOPE
from killsync.login import accounts, callback
from killsync.login.accounts import Candidate
from killsync.login.callback import Arrival, Listener
from killsync.login.connecting import connected
from killsync.login.page import Page
from killsync.login.sso import Authorization, Sso
from killsync.settings import config
from killsync.settings.config import Settings
from killsync.store import origin
from killsync.store.connection import Store
from killsync.terminal.questions import agree, tell
from killsync.terminal.text import safe
from killsync.times import duration
from killsync.tokens.tokens import Tokens

Show = Callable[[Page], None]
# SSO's codes are longer than what a person types
_CODE = re.compile(r"[\w.~-]{16,}", re.ASCII)


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the person wants; `limit` is in seconds."""

    no_browser: bool
    another: bool
    yes: bool
    limit: float


def log_in(call: Invocation, settings: Settings, store: Store, wishes: Wishes) -> None:
    """Log in one character, or one after the other.

    Raises LoginRefused, LoginNeeded, UsageError, Refused or TryLater; the characters that have
    logged in before are kept.
    """
    stop = StopOnSignal()
    stop.wake = lambda: tell("\nEnding as soon as SSO has answered; Ctrl-C again ends at once.")
    # once SSO has been asked for a token, nothing keeps it from being stored or revoked
    with connected(store.path, settings, threading.Event()) as (_, tokens, sso):
        dialogue = _Dialogue(call, settings, wishes, stop, store, tokens, sso)
        if wishes.no_browser:
            dialogue.play(dialogue.pasted)
        else:
            with callback.listen(settings.callback_url) as listener:
                dialogue.play(lambda login: dialogue.arrived(login, listener))


class _Dialogue(msgspec.Struct, frozen=True):
    call: Invocation
    settings: Settings
    wishes: Wishes
    stop: StopOnSignal
    store: Store
    tokens: Tokens
    sso: Sso

    def play(self, one: Callable[[Authorization], None]) -> None:
        """Let one character log in, and others if wished."""
        while True:
            self.sso.prepare()
            try:
                one(self.sso.authorize(self.settings.callback_url, SCOPE))
            except KeyboardInterrupt:
                tell("\nStopped: this login has changed nothing.")
                raise
            if not self.wishes.another or not agree("Log in another character?"):
                break

    def arrived(self, login: Authorization, listener: Listener) -> None:
        """Wait until the browser comes back from SSO, and register whom it brings."""
        self._show_url(login)
        deadline = time.monotonic() + self.wishes.limit
        while (arrival := listener.wait(deadline - time.monotonic())) is not None:
            try:
                if self._ended(login, arrival):
                    return
            except KillsyncError as error:
                arrival.reply(_failed(error))
                raise
            finally:
                # if nothing has been replied yet: only the first one counts
                arrival.reply(callback.UNDECIDED)
        raise self._too_late()

    def _ended(self, login: Authorization, arrival: Arrival) -> bool:
        try:
            code = callback.code_of(arrival.query, login.state)
        except Refused as error:
            arrival.reply(_failed(error))
            self.call.warn(f"{error}; still waiting for that one")
            return False
        self._finish(code, login, arrival.reply)
        return True

    def pasted(self, login: Authorization) -> None:
        """Take what the person pastes, until it is the answer to this login."""
        tell(
            f"Open this URL in a browser anywhere, and log in:\n\n{login.url}\n\n"
            f"You end on a page at {self.settings.callback_url}, which may fail to load.\n"
            "Copy the whole address of that page, and paste it here:"
        )
        # what is no text is no address either
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        deadline = time.monotonic() + self.wishes.limit
        while True:
            try:
                code = _code_in(self._read(deadline), login.state)
                break
            except Refused as error:
                self.call.warn(f"{error}; paste the address on which the browser ended:")
        self._finish(code, login, lambda _: None)

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
                f"is none, press Ctrl-C and say `{self.call.program.line('login --no-browser')}`:"
            )
        tell(f"{what}\n\n{login.url}\n\nWaiting, {duration(self.wishes.limit)} at most…")

    def _finish(self, code: str, login: Authorization, show: Show) -> None:
        # what SSO has given is stored before a signal ends the program
        with self.stop:
            candidate = accounts.log_in(self.store, self.tokens, self.sso, code, login)
            if not candidate.sold or self.wishes.yes:
                self._register(candidate, show)
        is_open = candidate.sold and not self.wishes.yes
        if self.stop.exit_code is not None:
            if is_open:
                accounts.turn_away(self.sso, candidate.grant)
            leave(self.stop.exit_code)
        if is_open:
            show(Page("One question is left", "Answer it in the terminal where killsync runs."))
            with leaving_by_exception():
                self._confirm_new_owner(candidate)
            with self.stop:
                self._register(candidate, show)

    def _confirm_new_owner(self, candidate: Candidate) -> None:
        """Raise LoginRefused, and leave no token behind, unless the person agrees."""
        name, agreed = safe(candidate.character.name, 60), False
        self.call.warn(f"{name} belongs to another account than at the login before: it was sold")
        try:
            agreed = agree(f"Keep syncing {name}, with the new account's login?", default=False)
        finally:
            if not agreed:
                accounts.turn_away(self.sso, candidate.grant)
        if not agreed:
            raise LoginRefused(f"{name} keeps the login it had; say --yes to take the new one")

    def _register(self, candidate: Candidate, show: Show) -> None:
        new = accounts.register(self.store, self.tokens, candidate, time.time())
        with self.store.transaction() as conn:
            origin.remember(conn, self.settings.sso_url, self.settings.esi_url)
        character = candidate.character
        name = safe(character.name, 60)
        what = "is registered" if new else "is logged in again"
        show(Page(f"{name} {what}", "You may close this page and go back to the terminal."))
        if not self.call.quiet:
            say(f"{'added' if new else 'renewed'} {name} ({character.character_id})")
            tell(
                "Its killmails come with the next `killsync scan`; or now, with\n"
                f"`{self.call.program.line(f'sync {character.character_id}')}`."
            )

    def _read(self, deadline: float) -> str:
        with _until(deadline, self._too_late()):
            line = sys.stdin.readline()
        if not line:
            raise UsageError("nothing was pasted: the login has not ended, nothing has changed")
        return line.strip()

    def _too_late(self) -> TryLater:
        return TryLater(
            f"nobody came back from SSO within {duration(self.wishes.limit)}; begin again. If SSO "
            "showed an error, check client_id, and give your EVE application the callback URL "
            f"{self.settings.callback_url}"
        )


def opens_a_browser(environment: Mapping[str, str], platform: str) -> bool:
    """Tell whether a browser with a window of its own can be opened here.

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
        return callback.code_of(query.partition("#")[0], state)
    if not _CODE.fullmatch(pasted):
        raise Refused("this holds no code, so it is not where the login ended")
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


def _failed(error: KillsyncError) -> Page:
    return Page("This login did not work", f"{safe(error, 500)}.", good=False)
