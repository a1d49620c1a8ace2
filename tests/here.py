"""Runs a command within the test's own process, which takes less than to start one for it.

`test_commands` shows that it says the same, and ends the same.
"""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

import killsync.__main__
from killsync.cli.app import main

Done = subprocess.CompletedProcess[str]


def run_here(*arguments: str, environment: Mapping[str, str], given: str = "") -> Done:
    """Run `python -m killsync` within this process, with the streams that a pipe would give it."""
    words = [killsync.__main__.__file__, *arguments]
    stdin, stdout, stderr = (
        io.TextIOWrapper(io.BytesIO(content), "utf-8", write_through=True)
        for content in (given.encode(), b"", b"")
    )
    code = 0
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.multiple(sys, argv=words, stdin=stdin),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    said = (stream.buffer.getvalue().decode() for stream in (stdout, stderr))
    return Done([sys.executable, "-m", "killsync", *arguments], code, *said)
