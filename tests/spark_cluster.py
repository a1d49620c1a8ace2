"""A standalone Spark cluster on loopback: a master, and workers of one core each."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from processes import command_line, is_alive

STARTED_WITHIN = 90.0
LOOPBACK = "127.0.0.1"
_MASTER, _WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
_AT = re.compile(r"Starting Spark master at (spark://\S+)")
_REGISTERED = re.compile(r"Successfully registered with master")
_EXECUTOR = b"CoarseGrainedExecutorBackend"
_DAEMON = b"pyspark.daemon"
# small, and quick to start
_JAVA = "-XX:-UsePerfData -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def spark_environment(directory: Path, **settings: str) -> dict[str, str]:
    """Return the environment in which Spark keeps to a directory, and to loopback."""
    defaults = {
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
    } | {name.replace("_", "."): text for name, text in settings.items()}
    conf, scratch = directory / "conf", directory / "scratch"
    for each in (conf, scratch):
        each.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} {text}\n" for name, text in defaults.items()]
    (conf / "spark-defaults.conf").write_text("".join(lines))
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(scratch),
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOCAL_DIRS": str(scratch),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_DAEMON_MEMORY": "256m",
        "JDK_JAVA_OPTIONS": f"{_JAVA} -Djava.io.tmpdir={scratch}",
        "SPARK_LAUNCHER_OPTS": _JAVA,
        "PYSPARK_PYTHON": sys.executable,
    }


class Cluster:
    """A cluster that runs; `environment` is that of who uses it."""

    def __init__(self, master: str, workers: list[int], environment: Mapping[str, str]) -> None:
        self.master = master
        self.environment = dict(environment)
        self._workers = workers

    def executors(self) -> list[int]:
        """Return the processes that do the work, one of each worker's."""
        return [pid for worker in self._workers for pid in _below(worker) if _is(pid, _EXECUTOR)]

    def pythons(self) -> list[int]:
        """Return the processes of Python's that executors have started to do a task each."""
        found = []
        for executor in self.executors():
            for daemon in _below(executor):
                if _is(daemon, _DAEMON):
                    found += [pid for pid in _below(daemon) if _is(pid, _DAEMON)]
        return found


@contextmanager
def cluster(directory: Path, workers: int = 2, **settings: str) -> Iterator[Cluster]:
    """Yield a cluster that keeps its files in a directory; nothing of it is left in the end."""
    environment = spark_environment(directory, **settings)
    with ExitStack() as stack:
        log = directory / "master.log"
        _start(stack, [_MASTER, "--host", LOOPBACK, "--port", "0"], environment, log)
        master = _awaited(log, _AT)[1]
        started, logs = [], []
        for number in range(workers):
            logs.append(directory / f"worker{number}.log")
            words = [_WORKER, "--host", LOOPBACK, "--cores", "1", "--memory", "1g"]
            words += ["--work-dir", str(directory / f"work{number}"), master]
            started.append(_start(stack, words, environment, logs[-1]))
        for each in logs:
            _awaited(each, _REGISTERED)
        yield Cluster(master, started, environment)


def _start(stack: ExitStack, words: list[str], environment: dict[str, str], log: Path) -> int:
    import pyspark

    home = Path(pyspark.__file__).parent
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(home / "bin" / "spark-class"), *words, "--webui-port", "0"],
            env=environment | {"SPARK_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    stack.callback(_end, process)
    return process.pid


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a master or a worker, with all that it has started."""
    left = [process.pid, *_all_below(process.pid)]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + STARTED_WITHIN
    while any(map(is_alive, left)) and time.monotonic() < until:
        time.sleep(0.01)


def _awaited(log: Path, wanted: re.Pattern[str]) -> re.Match[str]:
    until = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < until:
        found = wanted.search(log.read_text(errors="replace"))
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{log.name} does not say so: {log.read_text()[-2000:]}")


def _below(pid: int) -> list[int]:
    """Return the processes that a process has started, by whichever of its threads."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def _all_below(pid: int) -> list[int]:
    found = _below(pid)
    return [*found, *(deeper for child in found for deeper in _all_below(child))]


def _is(pid: int, words: bytes) -> bool:
    try:
        return words in command_line(pid)
    except OSError:
        return False
