"""A JVM of our own that Spark's driver runs in, from its start to its end, and its executors."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from importlib.util import find_spec
from typing import IO, Any

from killsync.errors import KillsyncError, TryLater, UsageError
from killsync.lake import spark_java, spark_master
from killsync.lake.spark_errors import explained
from killsync.settings.config import SECRET_VARIABLES

NAME = "killsync lake"
_EXECUTORS_WITHIN = 120.0
_LOOK_EVERY = 0.2
_ENDS_WITHIN = 15.0
_LOOPBACK = "127.0.0.1"
_ALWAYS = {
    "spark.app.name": NAME,
    "spark.ui.showConsoleProgress": "false",
    # the rows are large and few, and where they go is decided already
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "8",
    "spark.locality.wait": "0",
}
_UNLESS_CONFIGURED = {
    # it would compile what runs for few rows
    "spark.sql.codegen.wholeStage": "false",
    "spark.ui.enabled": "false",
    # they are compressed already
    "spark.shuffle.compress": "false",
    "spark.shuffle.spill.compress": "false",
}
_OF_THIS_MACHINE = {"spark.driver.host": _LOOPBACK, "spark.driver.bindAddress": _LOOPBACK}


class Driver:
    """Spark, as long as it is needed: `start` it, and always `stop` it.

    What its JVM prints is shown only if it is `verbose`.
    """

    def __init__(self, master: str, *, verbose: bool) -> None:
        """Raise UsageError or TryLater if it is clear that it cannot start."""
        self.master = spark_master.for_spark(master)
        self.is_spread = not spark_master.is_local(master)
        self._verbose = verbose
        self._gateway: Any = None
        self._launching = threading.Lock()
        self._is_stopped = False
        self.context: Any = None
        spark_java.require_java(os.environ)
        spark_master.require_answer(master)

    def start(self) -> None:
        """Start it, and wait for the first executor; raises UsageError or TryLater."""
        _silence()
        # what executors start, and the driver: on other machines at the same path
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        for name in SECRET_VARIABLES:
            os.environ.pop(name, None)
        with tempfile.TemporaryFile() as said:
            try:
                self._launch(said)
                if not self._is_stopped:
                    self._connect()
            except KillsyncError:
                raise
            except Exception as error:
                raise explained(error, self.master, _read(said)) from error
        self._await_executors()

    def stop(self) -> None:
        """End it, from any thread and whatever it is doing; the JVM is gone then."""
        self._is_stopped = True
        # of which there is no hold yet: it takes some seconds
        if self._launching.acquire(timeout=_ENDS_WITHIN):
            self._launching.release()
        if self.context is not None:
            ending = threading.Thread(target=self._end_context, daemon=True)
            ending.start()
            ending.join(_ENDS_WITHIN)
        if self._gateway is None:
            return
        process: subprocess.Popen[bytes] = self._gateway.proc
        with suppress(Exception):
            self._gateway.shutdown()
        with suppress(OSError):
            # at whose end it ends
            assert process.stdin is not None
            process.stdin.close()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _launch(self, said: IO[bytes]) -> None:
        from pyspark.java_gateway import launch_gateway

        shown = {} if self._verbose else {"stdout": said, "stderr": said}
        with self._launching:
            if not self._is_stopped:
                self._gateway = launch_gateway(popen_kwargs=shown)

    def _connect(self) -> None:
        from pyspark import SparkConf, SparkContext

        conf = SparkConf(_jvm=self._gateway.jvm)
        conf.setMaster(self.master)
        for key, value in _ALWAYS.items():
            conf.set(key, value)
        defaults = _UNLESS_CONFIGURED | ({} if self.is_spread else _OF_THIS_MACHINE)
        for key, value in defaults.items():
            conf.setIfMissing(key, value)
        self.context = SparkContext(conf=conf, gateway=self._gateway)
        self.context.setLogLevel("WARN" if self._verbose else "ERROR")

    def _await_executors(self) -> None:
        if not self.is_spread:
            return
        until = time.monotonic() + _EXECUTORS_WITHIN
        while not self._executors() and not self._is_stopped:
            if time.monotonic() > until:
                raise TryLater(
                    f"{self.master} gave no executor within {_EXECUTORS_WITHIN:.0f} s: it has no "
                    "free worker with as much memory and as many cores as are asked for"
                )
            time.sleep(_LOOK_EVERY)

    def _executors(self) -> int:
        # the driver is one of them
        return len(self.context._jsc.sc().statusTracker().getExecutorInfos()) - 1

    def _end_context(self) -> None:
        with suppress(Exception):
            self.context.cancelAllJobs()
        with suppress(Exception):
            self.context.stop()


def require_pyspark(install_line: str) -> None:
    """Raise UsageError unless pyspark and what it needs here are installed."""
    # of which pyspark only says so once it is at work, and which take long to load
    for name in ("pyspark", "pyarrow", "pandas"):
        if find_spec(name) is None:
            raise UsageError(
                f"`lake` needs Spark, and {name} is not installed: run `{install_line}`"
            )
    from pyspark.sql import DataFrame

    if not hasattr(DataFrame, "repartitionById"):
        raise UsageError(f"`lake` needs pyspark 4.1 or later: run `{install_line}`")


def _silence() -> None:
    """Let pyspark print nothing: what is wrong is said once, in our words."""
    warnings.filterwarnings("ignore", module="pyspark")
    for name in ("py4j", "pyspark", "SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(65_536).decode(errors="replace")
