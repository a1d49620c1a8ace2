"""Searches everything that a case leaves behind for secrets in the wrong place."""

import base64
import json
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from world import Killsync, new_database

_GRAM = 8
_LIKE_A_SECRET = re.compile(rb"[\w.~+/=%-]{8,}", re.ASCII)
_POLL_INTERVAL = 0.05
_PAGE = 4096


def forms(secret: str) -> set[bytes]:
    """Return the forms a secret may appear in: plain, URL-quoted, base64, its signature alone."""
    texts = {secret, quote(secret, safe=""), secret.rpartition(".")[2]}
    found = {text.encode() for text in texts}
    for shift in range(3):
        # the first and last digits depend on the surrounding bytes
        coded = base64.b64encode(b"\0" * shift + secret.encode())
        middle = coded[-(-shift * 8 // 6) : -4]
        found |= {middle, middle.translate(bytes.maketrans(b"+/", b"-_"))}
    return {form for form in found if len(form) >= _GRAM}


class Needles:
    """All forms of many secrets, searched for in one pass."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._by_gram: dict[bytes, dict[bytes, str]] = {}
        for secret in secrets:
            for form in forms(secret):
                self._by_gram.setdefault(form[:_GRAM], {})[form] = secret

    def within(self, content: bytes) -> set[str]:
        """Return the secrets that occur in the content."""
        found = set()
        for run in _LIKE_A_SECRET.findall(content):
            for start in range(len(run) - _GRAM + 1):
                for form, secret in self._by_gram.get(run[start : start + _GRAM], {}).items():
                    if run.startswith(form, start):
                        found.add(secret)
        return found


class ProcessList:
    """What other users of the machine could read about our processes while they ran."""

    def __init__(self) -> None:
        self.command_lines: set[bytes] = set()
        self.environments: set[bytes] = set()

    def sample(self) -> None:
        """Read the command lines and environments of all children of this process."""
        for listed in Path("/proc/self/task").glob("*/children"):
            pids: list[str] = []
            with suppress(OSError):
                pids = listed.read_text().split()
            for pid in pids:
                # suppressed one by one: a process that has ended must not hide those after it
                with suppress(OSError):
                    self.command_lines.add(Path(f"/proc/{pid}/cmdline").read_bytes())
                    self.environments.add(Path(f"/proc/{pid}/environ").read_bytes())


@contextmanager
def watch_processes() -> Iterator[ProcessList]:
    """Sample the process list in the background until the block ends."""
    seen, over = ProcessList(), threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_INTERVAL):
            seen.sample()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def hunt(case: Killsync, seen: ProcessList | None = None) -> list[str]:
    """Return every place where a case has exposed a secret, and every file that might.

    The environment may hold the client secret and the token key, which are put there on purpose.
    """
    issued = [*case.simulator.control("secrets"), *_token_keys(case)]
    needles = Needles(issued)
    exposed = _exposed_content(case)
    found = [f"{name} holds a secret" for name, content in exposed if needles.within(content)]
    if seen is not None:
        given = {case.environment.get(f"KILLSYNC_{name}") for name in _FILE_SETTINGS}
        tokens = Needles(secret for secret in issued if secret not in given)
        # copied, since the watching thread goes on adding to them
        if any(needles.within(line) for line in seen.command_lines.copy()):
            found.append("a command line holds a secret")
        if any(tokens.within(environment) for environment in seen.environments.copy()):
            found.append("an environment holds a secret")
    return found + list(_wrong_modes(case))


_FILE_SETTINGS = ("CLIENT_SECRET", "TOKEN_KEY")


def _secret_files(case: Killsync) -> dict[str, Path]:
    paths = {name: case.environment.get(f"KILLSYNC_{name}_FILE") for name in _FILE_SETTINGS}
    return {name: Path(file) for name, file in paths.items() if file}


def _token_keys(case: Killsync) -> list[str]:
    file = _secret_files(case).get("TOKEN_KEY")
    return [*case.environment.get("KILLSYNC_TOKEN_KEY", "").split(), *_words(file)]


def _words(file: Path | None) -> list[str]:
    return file.read_text().split() if file else []


def _exposed_content(case: Killsync) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of everything in which no secret may be readable.

    The token file is included only if its tokens are encrypted.
    """
    files = set(_secret_files(case).values())
    old = _pages(new_database())
    if not _token_keys(case):
        files |= set(case.directory.rglob(f"{case.database.name}.tokens*"))
    for file in sorted(case.directory.rglob("*")):
        if file.is_file() and file not in files:
            content = file.read_bytes()
            if file == case.database:
                # most of it is what every new database has, which is older than all secrets
                content = b"".join(page for page in _pages(content) if page not in old)
            yield file.name, file.name.encode() + b"\n" + content
    log: list[dict[str, Any]] = case.simulator.log()
    yield "a URL", json.dumps(log).encode()


def _pages(database: bytes) -> dict[bytes, None]:
    """Return the pages of a database, each once, in their order."""
    starts = range(0, len(database), _PAGE)
    return dict.fromkeys(database[start : start + _PAGE] for start in starts)


def _wrong_modes(case: Killsync) -> Iterator[str]:
    for file in case.directory.rglob("*"):
        mode = stat.S_IMODE(file.lstat().st_mode)
        if file.name.startswith(case.database.name) and mode != 0o600:
            yield f"{file.name} has mode {mode:o}"
        if re.fullmatch(r"core(\.\d+)?", file.name):
            yield f"{file.name} is a core dump"
