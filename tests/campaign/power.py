"""Power cuts: of the database only what had been fsynced is left, and killsync runs on."""

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
from campaign.strikes import Strikes, finish, kinds_of, named, options_of

PART = "power"
SHIM = Path(__file__).with_name("power_cut")
CASES, CUTS, FIRST_CUTS = 4, 3, 1
LONG_CASES, LONG_CUTS, LONG_FIRST_CUTS = 12, 4, 2


def play(seed: int, *, long: bool) -> Score:
    """Cut the power of so many databases, and judge each of them."""
    reason = cannot_be_cut()
    if reason:
        sys.stdout.write(f"power: skipped: {reason}\n")
        return Score(PART, problems=[f"{PART}: could not be played: {reason}"] if long else [])
    cases, cuts, first = (
        (LONG_CASES, LONG_CUTS, LONG_FIRST_CUTS) if long else (CASES, CUTS, FIRST_CUTS)
    )
    return two_at_a_time(PART, partial(play_case, seed, cuts, first), range(cases))


def cannot_be_cut() -> str:
    """Return why SQLite's fsync cannot be seen here; empty if it can."""
    asked = subprocess.run(
        [sys.executable, "-c", "import sitecustomize as s; s.library()"],
        env={"PYTHONPATH": str(SHIM)},
        capture_output=True,
        text=True,
        check=False,
    )
    return (asked.stderr.strip().splitlines() or [""])[-1] if asked.returncode else ""


def play_case(seed: int, cuts: int, first: int, number: int) -> Score:
    """Play one case; its seed is that of the campaign and its number."""
    score = Score(PART, cases=1)
    with named(score, f"case {number}"):
        rng = random.Random(f"{PART} {seed} {number}")
        with case(rng, users=False, **options_of(rng)) as program:
            struck = PowerCuts(program, score)
            struck.register(first)
            for kind in kinds_of(rng, number * cuts, cuts):
                struck.strike(kind)
            finish(struck)
    return score


class PowerCuts(Strikes):
    """Strikes that leave of each file what was fsynced last."""

    one_by_one = False

    def __init__(self, program: Case, score: Score) -> None:
        super().__init__(program, score)
        self._durable = program.directory / "durable"
        self._durable.mkdir()
        program.environment |= {"PYTHONPATH": str(SHIM), "DURABLE_COPIES": str(self._durable)}

    def before_launch(self) -> None:
        """Let the machine rest: after half a minute the kernel has written all there is."""
        for old in self._durable.glob("killsync.db*"):
            old.unlink()
        for file in self._files():
            shutil.copy2(file, self._durable)

    def fall(self, launches: list[Launch]) -> None:
        """Look at what can be seen, kill everything, and put back only what was fsynced."""
        if any(launch.process.poll() is None for launch in launches):
            # what others could read must have been durable
            with suppress(sqlite3.OperationalError):
                self.ledger.compare(read(self.program.database, alive=True))
        super().fall(launches)
        for launch in launches:
            launch.process.wait(TIMEOUT)
        self._restore()

    def _restore(self) -> None:
        for file in self._files(shm=True):
            file.unlink()
            if self._rng.random() < 0.5 and not file.name.endswith("-shm"):
                # it was made and never synced: its name may have been kept, not its content
                file.touch(0o600)
        for file in self._durable.glob("killsync.db*"):
            shutil.copyfile(file, self.program.directory / file.name)
            (self.program.directory / file.name).chmod(0o600)

    def _files(self, *, shm: bool = False) -> list[Path]:
        found = sorted(self.program.directory.glob("killsync.db*"))
        return [file for file in found if shm or not file.name.endswith("-shm")]
