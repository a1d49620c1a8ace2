"""A command at a terminal of its own, and all that it shows there."""

import codecs
import os
import pty
import subprocess
import sys
import termios

from world import TIMEOUT, Killsync


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, program: Killsync, *arguments: str, columns: int, **environment: str):
        self._end, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, columns))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "killsync", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=program.environment | {"TERM": "xterm-256color"} | environment,
        )
        os.close(theirs)
        self.shown = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def read(self) -> bool:
        """Read what is shown next; return whether there may be more."""
        try:
            piece = os.read(self._end, 65536)
        except OSError:  # Linux says so when the other end is closed
            piece = b""
        self.shown += self._decode(piece)
        return bool(piece)

    def wait_for(self, text: str) -> None:
        while text not in self.shown:
            assert self.read(), self.shown

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def to_end(self) -> str:
        while self.read():
            pass
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
    terminal = Terminal(program, *arguments, columns=columns, **environment)
    shown = terminal.to_end()
    assert exit_code is None or terminal.process.returncode == exit_code, shown
    return shown.splitlines()
