"""Which Java Spark would start, and whether it can."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from killsync.errors import UsageError

OLDEST = 17
"""Source: Spark 4's documentation, "Runs on Java 17/21"."""
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_PATIENCE = 30.0
_ADVICE = f"install Java {OLDEST} or later (Debian: `apt install openjdk-17-jre-headless`)"


def require_java(env: Mapping[str, str]) -> None:
    """Raise UsageError unless there is a Java that Spark can run on, where Spark looks for it."""
    home = env.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java", path=env.get("PATH"))
    if java is None:
        raise UsageError(f"Spark needs Java, and there is none: {_ADVICE}, or set JAVA_HOME")
    if not os.access(java, os.X_OK):
        raise UsageError(f"JAVA_HOME is {home}, where there is no bin/java: correct or unset it")
    version = _version_of(java, env)
    if version < OLDEST:
        raise UsageError(f"{java} is Java {version}, and Spark needs {OLDEST}: {_ADVICE}")


def _version_of(java: str, env: Mapping[str, str]) -> int:
    try:
        # it is written to standard error
        done = subprocess.run(
            [java, "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        raise UsageError(f"{java} does not start: {_ADVICE}, or set JAVA_HOME to another") from None
    found = _VERSION.search(done.stdout.decode(errors="replace"))
    if found is None:
        raise UsageError(f"{java} does not say which Java it is: {_ADVICE}, or set JAVA_HOME")
    return int(found[1])
