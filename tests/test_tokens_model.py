"""Two processes with one token file, in every order that Hypothesis thinks of.

Each is a real process with a real token file; SSO is a model that replaces refresh tokens. Before
each of its steps (a request, its answer, a use of the token file) a process waits for its turn.
"""

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
from killsync.login import accounts
from killsync.login.access import Character
from killsync.login.sso import Grant
from killsync.settings.config import Settings
from killsync.store import connection, users
from killsync.store.connection import Store
from killsync.tokens import key_file
from killsync.tokens.sealing import Keyring
from killsync.tokens.tokens import Token, Tokens

USER = 90000001
STORED = "stored-token"
FOREVER = 1e12
EXAMPLES = 30
# what is lost is not lost in a power cut here: nothing need be on a disk
MEMORY = next((place for place in ("/dev/shm",) if os.access(place, os.W_OK)), None)
STEPS = {"get", "renew", "claim", "release", "remove", "replace", "rekey"}


class SsoModel:
    """Which refresh tokens are valid, and what becomes of one that is sent."""

    def __init__(self, rotates: bool) -> None:
        self.rotates = rotates
        self.valid = {STORED}
        self._made = 0

    def answer(self, what: str, token: str) -> str | None:
        match what:
            case "new":
                return self._issue()
            case "revoke":
                self.valid.discard(token)
                return ""
        if token not in self.valid:
            return None
        if self.rotates:
            self.valid.discard(token)
            return self._issue()
        return token

    def _issue(self) -> str:
        self._made += 1
        self.valid.add(f"token-{self._made}")
        return f"token-{self._made}"


class SsoOfAProcess:
    """What `accounts` asks of SSO: the model in the parent process answers."""

    def __init__(self, parent: Connection) -> None:
        self._parent = parent

    def prepare(self) -> None:
        pass

    def fingerprint(self, refused: str) -> str:
        return refused

    def refresh(self, refresh_token: str) -> Grant:
        answer = self._ask("refresh", refresh_token)
        if answer is None:
            raise LoginNeeded("refused")
        return Grant(f"access-{answer}", answer, FOREVER)

    def exchange(self, _: str, __: object) -> Grant:
        answer = self._ask("new", "")
        assert answer is not None
        return Grant(f"access-{answer}", answer, FOREVER)

    def revoke(self, refresh_token: str) -> None:
        self._ask("revoke", refresh_token)

    def verify(self, _: str, __: str) -> Character:
        return Character(USER, "Aino Halla", "owner", frozenset())

    def _ask(self, what: str, token: str) -> str | None:
        turn(self._parent)
        self._parent.send((what, token))
        answer: str | None = self._parent.recv()
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
    add(store, tokens, sso, sso._ask("new", ""))


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


@pytest.mark.parametrize("first", ACTS, ids=lambda act: act.__name__)
@given(
    second=st.sampled_from(ACTS),
    rotates=st.sampled_from([True, True, False]),
    order=st.lists(st.booleans(), min_size=60, max_size=60),
)
@settings(max_examples=EXAMPLES)
def test_two_processes_leave_a_token_that_works_or_no_user(
    first: Act, second: Act, rotates: bool, order: list[bool]
) -> None:
    sso = SsoModel(rotates)
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
        assert token.refresh_token in sso.valid
