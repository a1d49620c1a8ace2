"""Two processes with one token file, in every order that Hypothesis thinks of.

Each is a real process with a real token file; SSO is a model that replaces refresh tokens, and may
once answer a refresh with garbage or with what is another user's. Before each of its steps (a
request, its answer, a use of the token file) a process waits for its turn.
"""

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killsync.errors import KillsyncError, LoginNeeded
from killsync.esi.client import SCOPE
from killsync.login import access, accounts
from killsync.login.access import Character
from killsync.login.sso import Grant, always_alone
from killsync.settings.config import Settings
from killsync.store import connection, users
from killsync.store.connection import Store
from killsync.tokens import key_file
from killsync.tokens.sealing import Keyring
from killsync.tokens.tokens import Token, Tokens

pytestmark = pytest.mark.long

USER, ANOTHER_USER = 90000001, 90000002
STORED = "stored-token"
FOREVER = 1e12
# the campaign tries more
EXAMPLES = 10
# what is lost is not lost in a power cut here: nothing need be on a disk
MEMORY = next((place for place in ("/dev/shm",) if os.access(place, os.W_OK)), None)
STEPS = {"get", "renew", "claim", "release", "remove", "add_successor", "rekey"}


def access_token(user_id: int) -> str:
    """Return what names a user as SSO's access tokens do."""
    claims = {"sub": f"CHARACTER:EVE:{user_id}", "name": "Aino Halla", "scp": SCOPE}
    parts = [json.dumps({"alg": "RS256"}), json.dumps(claims), "signature"]
    return ".".join(base64.urlsafe_b64encode(p.encode()).decode().rstrip("=") for p in parts)


# an access and a refresh token; None is the right one
Answer = tuple[str | None, str | None]
ANOTHERS_TOKEN = "the-token-of-another-user"
WRONG_ANSWERS: dict[str, Answer] = {
    "garbage": ("garbage", "more-garbage"),
    "a garbled refresh token": (None, "more-garbage"),
    "a garbled access token": ("garbage", None),
    "another user's": (access_token(ANOTHER_USER), ANOTHERS_TOKEN),
}


class SsoModel:
    """Which refresh tokens are valid, and what becomes of one that is sent.

    The wrong answer, if there is one, is given to one refresh. A refresh token that it leaves out
    has not been replaced: no program could make good for one that SSO has told nobody.
    """

    def __init__(self, rotates: bool, wrong: Answer | None = None, wrong_after: int = 0) -> None:
        self.rotates = rotates
        self.valid = {STORED}
        # another user's, which works, for him
        self.anothers = {ANOTHERS_TOKEN}
        self._wrong = wrong
        self._wrong_after = wrong_after
        self._made = 0

    def answer(self, what: str, token: str) -> Answer | None:
        match what:
            case "new":
                return access_token(USER), self._issue(self.valid)
            case "revoke":
                self.valid.discard(token)
                self.anothers.discard(token)
                return None, None
        for user, valid in ((USER, self.valid), (ANOTHER_USER, self.anothers)):
            if token in valid:
                return self._refreshed(user, valid, token)
        return None

    def _refreshed(self, user: int, valid: set[str], token: str) -> Answer:
        access, refresh = self._next_wrong() or (None, None)
        if refresh is None:
            refresh = token
            if self.rotates:
                valid.discard(token)
                refresh = self._issue(valid)
        return access or access_token(user), refresh

    def _next_wrong(self) -> Answer | None:
        self._wrong_after -= 1
        return self._wrong if self._wrong_after == -1 else None

    def _issue(self, valid: set[str]) -> str:
        self._made += 1
        valid.add(f"token-{self._made}")
        return f"token-{self._made}"


class SsoOfAProcess:
    """What `accounts` asks of SSO: the model in the parent process answers."""

    def __init__(self, parent: Connection) -> None:
        self._parent = parent

    def prepare(self) -> None:
        pass

    def fingerprint(self, refused: str) -> str:
        return refused

    def refresh(self, refresh_token: str, is_alone: Callable[[], bool] = always_alone) -> Grant:
        answer = self._ask("refresh", refresh_token)
        if answer is None:
            raise LoginNeeded("refused")
        return Grant(*answer, FOREVER)

    def exchange(self, _: str, __: object) -> Grant:
        return Grant(*self.new_tokens(), FOREVER)

    def new_tokens(self) -> tuple[str, str]:
        answer = self._ask("new", "")
        assert answer is not None
        return answer

    def revoke(self, refresh_token: str) -> None:
        self._ask("revoke", refresh_token)

    def verify(self, access_token: str, _: str) -> Character:
        return access.claimed(access_token)

    def _ask(self, what: str, token: str) -> tuple[str, str] | None:
        turn(self._parent)
        self._parent.send((what, token))
        answer: tuple[str, str] | None = self._parent.recv()
        # the answer is on its way
        turn(self._parent)
        return answer


class TokensOfAProcess(Tokens):
    """The token file, of which each use is a step."""

    parent: Connection

    def __getattribute__(self, name: str) -> Any:
        # within a transaction nobody else has a turn
        if name in STEPS and not self._db.conn.in_transaction:
            turn(self.parent)
        return super().__getattribute__(name)


class Process(msgspec.Struct):
    """A forked process, and whether it has ended."""

    pid: int
    pipe: Connection
    is_over: bool = False


def turn(parent: Connection) -> None:
    """Wait for this process's turn."""
    parent.send(None)
    parent.recv()


# what the processes do


def refresh(store: Store, tokens: Tokens, sso: Any) -> None:
    accounts.renew(tokens, sso, USER)


def add_another(store: Store, tokens: Tokens, sso: Any) -> None:
    add(store, tokens, sso, sso.new_tokens()[1])


def add_the_same(store: Store, tokens: Tokens, sso: Any) -> None:
    add(store, tokens, sso, STORED)


def add(store: Store, tokens: Tokens, sso: Any, refresh_token: str) -> None:
    candidate = accounts.add(store, tokens, sso, refresh_token)
    turn(tokens.parent)  # type: ignore[attr-defined]
    accounts.register(store, tokens, Settings(), candidate, 0.0)


def log_in(store: Store, tokens: Tokens, sso: Any) -> None:
    candidate = accounts.log_in(store, tokens, sso, "code", None)  # type: ignore[arg-type]
    turn(tokens.parent)  # type: ignore[attr-defined]
    accounts.register(store, tokens, Settings(), candidate, 0.0)


def remove(store: Store, tokens: Tokens, sso: Any) -> None:
    accounts.forget(tokens, sso, USER)


def rekey(store: Store, tokens: Tokens, sso: Any) -> None:
    tokens.rekey(make_key=partial(key_file.add_key, store.path.with_name("keys")))


Act = Callable[[Store, Tokens, Any], None]
ACTS: list[Act] = [refresh, add_another, add_the_same, log_in, remove, rekey]


@cache
def template() -> Path:
    """Make a database with one user, its token and a key."""
    database = Path(tempfile.mkdtemp(dir=MEMORY)) / "killsync.db"
    with closing(connection.connect(database, create=True)) as store:
        connection.upgrade(store)
        with store.transaction() as conn:
            users.add(conn, USER, "Aino Halla", 0.0)
    key_file.add_key(database.with_name("keys"))
    with closing(Tokens(database)) as tokens:
        tokens.put(USER, Token(STORED, "access", 0.0), "owner")
    return database


@pytest.fixture(scope="module", autouse=True)
def _template() -> Iterator[None]:
    yield
    remove_template()


def remove_template() -> None:
    shutil.rmtree(template().parent)
    template.cache_clear()


@contextmanager
def fresh_copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        shutil.copytree(template().parent, directory, dirs_exist_ok=True)
        yield Path(directory) / "killsync.db"


def start(database: Path, act: Act) -> Process:
    ours, its = Pipe()
    pid = os.fork()
    if pid == 0:
        ours.close()
        perform(database, act, its)
    its.close()
    return Process(pid, ours)


def perform(database: Path, act: Act, parent: Connection) -> None:
    """Act in a forked process; it never returns to the test."""
    code = 1
    try:
        TokensOfAProcess.parent = parent
        keys = Keyring(partial(key_file.keys, database.with_name("keys")))
        with (
            closing(connection.connect(database)) as store,
            closing(TokensOfAProcess(database, keys)) as tokens,
        ):
            turn(parent)
            with suppress(KillsyncError):
                act(store, tokens, SsoOfAProcess(parent))
        code = 0
    finally:
        os._exit(code)


def step(process: Process, sso: SsoModel) -> None:
    """Let a process do what it is about to do, until it waits again or has ended."""
    process.pipe.send(None)
    await_next(process, sso)


def await_next(process: Process, sso: SsoModel) -> None:
    try:
        while (asked := process.pipe.recv()) is not None:
            process.pipe.send(sso.answer(*asked))
    except EOFError:
        process.is_over = True
        assert os.waitpid(process.pid, 0)[1] == 0


ORDERS: dict[str, Any] = {
    "second": st.sampled_from(ACTS),
    "rotates": st.sampled_from([True, True, False]),
    "wrong": st.sampled_from([None, *WRONG_ANSWERS]),
    "wrong_after": st.integers(0, 2),
    "order": st.lists(st.booleans(), min_size=60, max_size=60),
}


def leave_a_token_that_works(
    first: Act, second: Act, rotates: bool, wrong: str | None, wrong_after: int, order: list[bool]
) -> None:
    """Let two processes act in an order: a token that works is left, or no user."""
    sso = SsoModel(rotates, WRONG_ANSWERS[wrong] if wrong else None, wrong_after)
    with fresh_copy() as database:
        both = [start(database, first), start(database, second)]
        for process in both:
            await_next(process, sso)
        turns = iter(order)
        while live := [process for process in both if not process.is_over]:
            step(live[next(turns, False) % len(live)], sso)
        keys = Keyring(partial(key_file.keys, database.with_name("keys")))
        with closing(Tokens(database, keys)) as tokens:
            token = tokens.get(USER)
    if token is None:
        assert remove in (first, second)
    else:
        assert sso.valid & {*token.refresh_tokens}
        if wrong is None:
            assert token.refresh_token in sso.valid


@pytest.mark.parametrize("first", ACTS, ids=lambda act: act.__name__)
@given(**ORDERS)
@settings(max_examples=EXAMPLES)
def test_two_processes_leave_a_token_that_works_or_no_user(first: Act, **chosen: Any) -> None:
    leave_a_token_that_works(first, **chosen)


class Killed(KillsyncError):
    """The process has been killed: its answer is stored, and not verified."""


def killed_here(*_: str) -> Character:
    raise Killed


class SsoInPlace(SsoOfAProcess):
    """The model asked by this process itself."""

    def __init__(self, model: SsoModel) -> None:
        self._model = model

    def _ask(self, what: str, token: str) -> tuple[str, str] | None:
        answer: tuple[str, str] | None = self._model.answer(what, token)  # type: ignore[assignment]
        return answer


FAULTS: dict[str, Any] = {
    "rotates": st.booleans(),
    "wrong": st.sampled_from(list(WRONG_ANSWERS)),
    "wrong_after": st.integers(0, 4),
    "killed": st.lists(st.booleans(), min_size=7, max_size=7),
}


def overcome(rotates: bool, wrong: str, wrong_after: int, killed: list[bool]) -> None:
    """Refresh wherever runs were killed, past one wrong answer: three more are enough."""
    model = SsoModel(rotates, WRONG_ANSWERS[wrong], wrong_after)
    with fresh_copy() as database, closing(Tokens(database)) as tokens:
        # as many as there are before the wrong answer and with it, and two more
        for number in range(7):
            sso: Any = SsoInPlace(model)
            with suppress(KillsyncError):
                if killed[number]:
                    sso.verify = killed_here
                accounts.renew(tokens, sso, USER, lambda: 0.0)
        last: Any = SsoInPlace(model)
        assert accounts.renew(tokens, last, USER, lambda: 0.0).token == access_token(USER)


@given(**FAULTS)
@settings(max_examples=EXAMPLES)
def test_one_wrong_answer_is_overcome_by_three_more_refreshes_wherever_runs_were_killed(
    **chosen: Any,
) -> None:
    overcome(**chosen)
