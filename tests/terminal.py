"""A command at a terminal of its own, and all that it shows there."""

import codecs
import os
import pty
import select
import subprocess
import termios
import time
from typing import Any

import commands
from world import TIMEOUT, Killsync

# of Ctrl-C, until it must have been heard
PRESSES = 4


class Terminal:
    """A command at a terminal of its own, where it may be typed."""

    def __init__(
        self,
        program: Killsync,
        *arguments: str,
        columns: int = 120,
        keyboard: bool = True,
        **environment: str,
    ):
        self._end, theirs = pty.openpty()
        self.resize(columns)
        self.first_modes = self.modes()
        self.process = commands.start_at_terminal(
            *arguments,
            environment=program.environment | {"TERM": "xterm-256color"} | environment,
            stdin=theirs if keyboard else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._deadline = time.monotonic() + 2 * TIMEOUT
        self.shown = ""
        self._passed = 0
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def read(self) -> bool:
        """Read what is shown next; return whether there may be more."""
        # what is drawn again and again is never silent
        assert time.monotonic() < self._deadline, f"no end: {self.shown}"
        assert select.select([self._end], [], [], TIMEOUT)[0], f"nothing more: {self.shown}"
        try:
            piece = os.read(self._end, 65536)
        except OSError:  # Linux says so when the other end is closed
            piece = b""
        self.shown += self._decode(piece)
        return bool(piece)

    def modes(self) -> list[Any]:
        """Return how the terminal takes what is typed, as `tcgetattr` does."""
        return termios.tcgetattr(self._end)

    def resize(self, columns: int, lines: int = 40) -> None:
        """Give the terminal a size, which its command is told of."""
        termios.tcsetwinsize(self._end, (lines, columns))

    def wait_for(self, text: str) -> None:
        while text not in self.shown[self._passed :]:
            assert self.read(), self.shown

    def type(self, text: str) -> None:
        """Type something: `\\n` is Enter, `\\x03` Ctrl-C, `\\x04` Ctrl-D."""
        os.write(self._end, text.encode())

    def answer(self, question: str, text: str, *, then: str = "") -> None:
        """Wait for words that were not shown before, and `then` others; type a line."""
        for words in (question, then):
            self.wait_for(words)
            self._passed = self.shown.index(words, self._passed) + len(words)
        self.type(f"{text}\n")

    def interrupt(self) -> None:
        """Type Ctrl-C, and wait until it has ended the command.

        It is typed again after a while of silence, as a person would: Python overlooks a signal
        that comes in the instant before it begins to wait for a line.
        """
        for _ in range(PRESSES):
            self.type("\x03")
            while select.select([self._end], [], [], TIMEOUT / PRESSES)[0]:
                if not self.read():
                    return
        raise AssertionError(f"Ctrl-C ends nothing: {self.shown}")

    def close(self) -> None:
        """Close the terminal, as its window is closed."""
        os.close(self._end)

    def to_end(self) -> str:
        while self.read():
            pass
        self.last_modes = self.modes()
        os.close(self._end)
        self.process.wait(TIMEOUT)
        return self.shown


def at_terminal(
    program: Killsync,
    *arguments: str,
    columns: int = 120,
    exit_code: int | None = 0,
    **environment: str,
) -> list[str]:
    """Run a command at a terminal to its end; return the lines that it has shown."""
    terminal = Terminal(program, *arguments, columns=columns, keyboard=True, **environment)
    shown = terminal.to_end()
    assert exit_code is None or terminal.process.returncode == exit_code, shown
    return shown.splitlines()
