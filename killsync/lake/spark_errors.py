"""What a person can do about an error of Spark's, which comes with the traces of two languages."""

import re

from killsync import errors
from killsync.errors import KillsyncError, TryLater, UsageError

# the last line of a trace of Python's in the text of an error of Java's
_OURS = re.compile(r"^\s*(?:\S+: )?killsync\.errors\.(\w+): (.+)$", re.MULTILINE)
_NO_MODULE = re.compile(r"(?:No module named '|PACKAGE_NOT_INSTALLED\] )([\w.]+)")
_NO_PROGRAM = re.compile(r'Cannot run program "([^"]+)"')
_VERSIONS = re.compile(r"PYTHON_VERSION_MISMATCH|Python in worker has different version")
_NO_ROOM = "No space left on device"
_UNRESPONSIVE = re.compile(r"All masters are unresponsive|was stopped|stopped SparkContext")
_NOT_A_MASTER = re.compile(r"Could not parse Master URL")
_WITHOUT_MEMORY = re.compile(r"OutOfMemoryError|Python worker exited unexpectedly|ExecutorLost")
_GONE = re.compile(r"Py4JNetworkError|ConnectionRefusedError|Answer from Java side is empty")
# of Java's, without the packages of their classes
_CAUSE = re.compile(r"^(?:: |Caused by: )(?:[a-z]\w*\.)*(\w+(?:: .+)?)$", re.MULTILINE)
_INSTALL = (
    "install killsync with its extra spark on every worker, and name its Python by PYSPARK_PYTHON "
    "(docs/spark.md)"
)
_MORE = "--verbose shows what Spark says"
_LONGEST = 300


def explained(error: BaseException, master: str, said: str = "") -> KillsyncError:
    """Return what is wrong, in one line; `said` is what the JVM has printed as it started."""
    text = f"{type(error).__name__}: {error}\n{said}"
    return _ours(text) or _of_the_workers(text) or _of_spark(text, master)


def _ours(text: str) -> KillsyncError | None:
    found = _OURS.findall(text)
    if not found:
        return None
    name, what = found[-1]
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, TryLater):
        return TryLater(what)
    return UsageError(what)


def _of_the_workers(text: str) -> KillsyncError | None:
    if found := _NO_MODULE.search(text):
        return UsageError(f"a worker's Python has no {found[1]}: {_INSTALL}")
    if found := _NO_PROGRAM.search(text):
        return UsageError(f"a worker has no {found[1]}: {_INSTALL}")
    if _VERSIONS.search(text):
        return UsageError(f"a worker's Python is of another version: {_INSTALL}")
    if _NO_ROOM in text:
        return UsageError(
            "a disk that Spark keeps its own files on is full: free some, or set spark.local.dir"
        )
    return None


def _of_spark(text: str, master: str) -> KillsyncError:
    if _NOT_A_MASTER.search(text):
        return UsageError(f"--master {master}: Spark does not know such a master")
    if _WITHOUT_MEMORY.search(text):
        return TryLater(
            "what Spark had started was killed again and again, as happens where memory is short: "
            f"give it more (docs/spark.md); {_MORE}"
        )
    if _UNRESPONSIVE.search(text):
        return TryLater(
            f"the Spark master at {master} does not take this program: it may be of another "
            f"version of Spark, or want a secret; {_MORE}"
        )
    if _GONE.search(text):
        return TryLater(f"Spark's JVM has ended by itself; nothing is written; {_MORE}")
    causes = _CAUSE.findall(text)
    what = causes[-1] if causes else text.strip().partition("\n")[0]
    return UsageError(f"Spark could not do it: {what[:_LONGEST]}; {_MORE}")
