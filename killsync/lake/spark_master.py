"""Where Spark works: what may be named as its master, and whether one answers at all."""

import os
import re
import socket
from pathlib import Path

from killsync.errors import TryLater, UsageError

_LOCAL = re.compile(r"local(\[(?P<threads>\*|[1-9][0-9]*)(,(?P<failures>[1-9][0-9]*))?\])?")
_STANDALONE = "spark://"
_YARN = "yarn"
_OTHERS = (_YARN, "k8s://")
_OF_YARN = ("HADOOP_CONF_DIR", "YARN_CONF_DIR")
_PORT = 7077
_CONNECTING = 5.0
# a task that fails, as a process of its was killed, is tried again: as on a cluster
_FAILURES = 4


def is_local(master: str) -> bool:
    """Return whether a master is this machine alone."""
    return _LOCAL.fullmatch(master) is not None


def for_spark(master: str) -> str:
    """Return what Spark is told as the master, so that it tries again what has failed.

    Raises UsageError if it is none, or Spark's own settings cannot be found.
    """
    if "@" in master:
        raise UsageError(
            "--master has a user or a secret in it, which others could see: leave it out"
        )
    _check_environment(master)
    local = _LOCAL.fullmatch(master)
    if local is not None:
        return f"local[{local['threads'] or 1},{local['failures'] or _FAILURES}]"
    if master.startswith(_STANDALONE):
        _addresses(master)
    elif not master.startswith(_OTHERS):
        raise UsageError(
            f"--master {master}: is none of Spark's: local[*], local[2], spark://HOST:7077, "
            "yarn, k8s://..."
        )
    return master


def _check_environment(master: str) -> None:
    home = os.environ.get("SPARK_HOME")
    if home and not Path(home, "bin", "spark-submit").exists():
        raise UsageError(
            f"SPARK_HOME is {home}, where there is no bin/spark-submit: correct it, or unset it "
            "for the Spark that pyspark brings"
        )
    # Spark itself would wait for minutes for a YARN that it takes to be on this machine
    if master == _YARN and not any(map(os.environ.get, _OF_YARN)):
        raise UsageError(
            f"--master yarn: set {' or '.join(_OF_YARN)} to the directory of the cluster's settings"
        )


def require_answer(master: str) -> None:
    """Raise TryLater if nobody answers where a standalone cluster's master should be."""
    if not master.startswith(_STANDALONE):
        return
    problems = []
    for address in _addresses(master):
        try:
            socket.create_connection(address, _CONNECTING).close()
        except OSError as error:
            problems.append(error.strerror or str(error))
        else:
            return
    raise TryLater(
        f"no Spark master answers at {master} ({problems[0]}): check the address and that it runs"
    )


def _addresses(master: str) -> list[tuple[str, int]]:
    """Return host and port of each master that may be the leading one."""
    found = []
    for part in master.removeprefix(_STANDALONE).split(","):
        host, _, port = part.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
            raise UsageError(
                f"--master {master}: give spark://HOST:PORT; the port is mostly {_PORT}"
            )
        found.append((host.strip("[]"), int(port)))
    return found
