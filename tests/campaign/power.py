"""The part `power`: power cuts leave only what was fsynced, and killsync must recover."""

import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from world import TIMEOUT

from campaign.case import Case, case
from campaign.ledger import Launch, read
from campaign.score import Score, two_at_a_time
from campaign.strikes import UPKEEP, Strikes, choose_kinds, choose_options, finish, label_problems

PART = "power"
SHIM = Path(__file__).with_name("power_cut")
CASES, CUTS, FIRST_CUTS = 4, 3, 1
LONG_CASES, LONG_CUTS, LONG_FIRST_CUTS = 12, 4, 2


def play(seed: int, *, long: bool) -> Score:
    """Play the cases of the short or long form; return their combined score."""
    reason = cannot_be_cut()
    if reason:
        sys.stdout.write(f"power: skipped: {reason}\n")
        return Score(PART, problems=[f"{PART}: could not be played: {reason}"] if long else [])
    cases, cuts, first = (
        (LONG_CASES, LONG_CUTS, LONG_FIRST_CUTS) if long else (CASES, CUTS, FIRST_CUTS)
    )
    return two_at_a_time(PART, partial(play_case, seed, cuts, first), range(cases))


def cannot_be_cut() -> str:
    """Return why SQLite's fsyncs cannot be observed on this machine; empty if they can."""
    probe = subprocess.run(
        [sys.executable, "-c", "import sitecustomize as s; s.sqlite_library()"],
        env={"PYTHONPATH": str(SHIM)},
        capture_output=True,
        text=True,
        check=False,
    )
    return (probe.stderr.strip().splitlines() or [""])[-1] if probe.returncode else ""


def play_case(seed: int, cuts: int, first: int, number: int) -> Score:
    """Play one case, seeded by the seed of the campaign and the number of the case."""
    score = Score(PART, cases=1)
    with label_problems(score, f"case {number}"):
        rng = random.Random(f"{PART} {seed} {number}")
        with case(rng, users=False, encrypted=number % 2 == 1, **choose_options(rng)) as program:
            program.environment |= UPKEEP
            series = PowerCuts(program, score)
            series.register(first)
            for kind in choose_kinds(rng, number * cuts, cuts):
                series.strike(kind)
            finish(series)
    return score


class PowerCuts(Strikes):
    """Strikes that leave only the last fsynced content of each file."""

    one_by_one = False

    def __init__(self, program: Case, score: Score) -> None:
        super().__init__(program, score)
        self._durable = program.directory / "durable"
        self._durable.mkdir()
        program.environment |= {"PYTHONPATH": str(SHIM), "DURABLE_COPIES": str(self._durable)}

    def before_launch(self) -> None:
        """Treat all content as durable: the kernel writes everything within half a minute."""
        for old in self._durable.glob("killsync.db*"):
            old.unlink()
        for file in self._files():
            shutil.copy2(file, self._durable)

    def fall(self, launches: list[Launch]) -> None:
        """Read what other processes can see, kill the launches, and keep only what was fsynced."""
        if any(launch.process.poll() is None for launch in launches):
            # whatever others could read must already be durable
            with suppress(sqlite3.OperationalError):
                self.ledger.compare(read(self.program, alive=True))
        super().fall(launches)
        for launch in launches:
            launch.process.wait(TIMEOUT)
        self._restore()

    def _restore(self) -> None:
        for file in self._files(shm=True):
            file.unlink()
            if self._rng.random() < 0.5 and not file.name.endswith("-shm"):
                # as if it was created but never synced: its name may survive without its content
                file.touch(0o600)
        for file in self._durable.glob("killsync.db*"):
            shutil.copyfile(file, self.program.directory / file.name)
            (self.program.directory / file.name).chmod(0o600)

    def _files(self, *, shm: bool = False) -> list[Path]:
        found = sorted(self.program.directory.glob("killsync.db*"))
        return [file for file in found if shm or not file.name.endswith("-shm")]
