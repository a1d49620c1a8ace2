"""The process that `commands` starts killsync from: it has read every module, and only waits.

Each message on its standard input, a socket, is one command; the answer is the process id. The
command is a fork: from there on it is `python -m killsync`, with the arguments, environment,
directory and streams of whoever asked. Here nothing is run, no database opened and no thread
started, so that there is nothing but modules that a command could inherit. It has no time of its
own but that of `clock`, which follows the clock that a command's environment names.
"""

import atexit
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import termios
from contextlib import suppress
from typing import Any

from clock import sitecustomize as clock

LARGEST = 1 << 20
# what killsync, and what it uses, read only where they need it
READ_LATER = (
    "authlib.integrations.requests_client",
    "joserfc.jwt",
    "platformdirs",
    "rich.live",
    "rich.progress",
    "rich.table",
    "sqlite_utils",
    "typer._adapters",
)

_code: object = None


@atexit.register
def _leave() -> None:
    """End a command; called last, since it was registered before all that the modules register.

    What is left to Python is to take every module apart, which takes longer than most commands.
    """
    if isinstance(_code, int):
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_code)


def read_modules() -> None:
    """Read every module, and make what each simulator would have to make first."""
    import killsync
    from killsync.simulator.tokens import first_key

    for module in pkgutil.walk_packages(killsync.__path__, "killsync."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in READ_LATER:
        # another version of a library may do without
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    first_key()
    parse_commands()
    gc.collect()
    # no command needs to look through these again
    gc.freeze()


def parse_commands() -> None:
    """Parse each command's options once, from an empty line: the first time takes the longest."""
    import typer

    from killsync.cli.app import app

    commands = [typer.main.get_command(app)]
    for command in commands:
        command.make_context(command.name, [], resilient_parsing=True)
        commands += dict(getattr(command, "commands", {})).values()


def next_command(asked: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Start commands until no asker is left; return only in the commands themselves."""
    while True:
        message, streams, *_ = socket.recv_fds(asked, LARGEST, 3)
        if not message:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            # the one in between ends at once, and so the command becomes a child of who asked
            if command := os.fork():
                os.write(writing, str(command).encode())
                os._exit(0)
            os.close(reading)
            os.close(writing)
            return json.loads(message), streams
        os.waitpid(between, 0)
        asked.send(os.read(reading, 20))
        for descriptor in (reading, writing, *streams):
            os.close(descriptor)


def be(command: dict[str, Any], streams: list[int]) -> None:
    """Become this command; does not return."""
    global _code
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if command["own_terminal"]:
        # its standard error becomes the terminal that Ctrl-C and /dev/tty belong to
        os.setsid()
        fcntl.ioctl(2, termios.TIOCSCTTY, 0)
    open_streams()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(command["directory"])
    os.umask(command["umask"])
    os.environ.clear()
    os.environ.update(command["environment"])
    clock.obey(os.environ)
    sys.argv[1:] = command["arguments"]
    try:
        runpy.run_module("killsync", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        _code = end.code or 0
        raise


def open_streams() -> None:
    """Open the streams as Python does when it starts: what they are now is not what they were."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        old = getattr(sys, name)
        buffering = 1 if name == "stderr" else -1
        new = open(number, mode, buffering, old.encoding, old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, new)


if __name__ == "__main__":
    # Ctrl-C is for the tests, which then leave
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # before there is a module that keeps it
    clock.replace_time()
    # where `python -m` looks first
    sys.path[0] = os.getcwd()  # noqa: PTH109
    read_modules()
    asked = socket.socket(fileno=0)
    command, streams = next_command(asked)
    asked.detach()
    be(command, streams)
