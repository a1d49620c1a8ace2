"""Starts killsync's command line, in processes of their own that have read its modules already.

Reading the modules takes longer than what most commands do. `preloaded` has read them, and forks
what is asked for here: the real command line in a real process, a child of the test's own. A test
of how Python starts, of a terminal, or of what a process is allowed, starts Python itself.
"""

import atexit
import ctypes
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, AnyStr

TIMEOUT = 120

PRELOADED = Path(__file__).with_name("preloaded.py")
PR_SET_CHILD_SUBREAPER = 36
CLOCK_DIRECTORY = Path(__file__).with_name("clock")
# what Python reads of the environment only when it starts
READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ")
# but this a fork reads, too
CLOCK = ("PYTHONPATH", str(CLOCK_DIRECTORY))
_AT_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
os.execv(sys.executable, sys.orig_argv[:1] + sys.argv[1:])
"""


def start(*arguments: str, environment: dict[str, str], **streams: Any) -> subprocess.Popen[Any]:
    """Start `python -m killsync`; the streams are given as to `Popen`."""
    return _start(arguments, environment, streams, own_terminal=False)


def start_at_terminal(
    *arguments: str, environment: dict[str, str], **streams: Any
) -> subprocess.Popen[Any]:
    """Start it where its standard error is the terminal that Ctrl-C and /dev/tty belong to."""
    return _start(arguments, environment, streams, own_terminal=True)


def _start(
    arguments: Sequence[str],
    environment: dict[str, str],
    streams: dict[str, Any],
    *,
    own_terminal: bool,
) -> subprocess.Popen[Any]:
    words = [sys.executable, "-m", "killsync", *arguments]
    if sys.platform == "linux" and not read_at_start(environment):
        return _Fork(words, env=environment, start_new_session=own_terminal, **streams)
    if own_terminal:
        words[1:1] = ["-c", _AT_TERMINAL]
    return subprocess.Popen(words, env=environment, start_new_session=own_terminal, **streams)


def run(
    *arguments: str, environment: dict[str, str], given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `python -m killsync` to its end."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start(*arguments, environment=environment, text=True, **pipes) as process:
        try:
            output = process.communicate(given, TIMEOUT)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, *output)


class _Fork(subprocess.Popen[AnyStr]):
    """A child as any other; only how it comes into being is not `Popen`'s own."""

    _child_created: bool
    _close_pipe_fds: Callable[..., None]

    def _execute_child(self, words: list[str], *given: Any) -> None:
        pipes = given[9:15]
        theirs = (pipes[0], pipes[3], pipes[5])
        # a stream that is not redirected is the one of this process
        streams = [end if end != -1 else own for own, end in enumerate(theirs)]
        self.pid = _preloaded.start(words[3:], given[5], streams, own_terminal=given[20])
        self._child_created = True
        self._close_pipe_fds(*pipes)


class _Preloaded:
    """The process to fork from, started by the first command; it ends when this one does."""

    def __init__(self) -> None:
        self._one_at_a_time = Lock()
        self._asks: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        arguments: list[str],
        environment: dict[str, str],
        streams: list[int],
        *,
        own_terminal: bool,
    ) -> int:
        """Start a command, and return its process id."""
        # asked of the kernel, since asking Python changes it for all threads
        (umask,) = re.findall(r"^Umask:\t(\d+)$", Path("/proc/self/status").read_text(), re.M)
        command = {
            "arguments": arguments,
            "environment": environment,
            "directory": str(Path.cwd()),
            "umask": int(umask, 8),
            "own_terminal": own_terminal,
        }
        with self._one_at_a_time:
            asks = self._asks or self._preload()
            socket.send_fds(asks, [json.dumps(command).encode()], streams)
            return int(asks.recv(20))

    def _preload(self) -> socket.socket:
        # whoever is left without a parent becomes a child of this process: so its commands do
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._asks, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, PRELOADED],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"]},
            )
        atexit.register(self.end)
        return self._asks

    def end(self) -> None:
        """End the process, if it was ever started."""
        if self._asks is not None and self._process is not None:
            atexit.unregister(self.end)
            self._asks.close()
            self._process.wait()


def read_at_start(environment: dict[str, str]) -> bool:
    """Return whether Python would have to start with this environment."""
    return any(
        name.startswith(READ_AT_START) and (name, text) != CLOCK
        for name, text in environment.items()
    )


_preloaded = _Preloaded()
