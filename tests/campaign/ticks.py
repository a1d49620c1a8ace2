"""Ticks of cron on one database, in the time of a shared clock."""

from dataclasses import dataclass

from campaign.case import Case
from campaign.clock import TICK, Clock
from campaign.running import Running
from killsync.times import unix_or_none

# a user is due at every second tick
TWO_TICKS = 2 * TICK
HOUR = 3600.0
# a run waits up to a minute
LEAP = 15.0
DAY = 24 * HOUR


@dataclass(frozen=True)
class Tick:
    """One quiet scan: when it began, how it ended, what it wrote, how many requests it sent."""

    started: float
    code: int
    said: str
    requests: int


class Cron:
    """Calls `scan --quiet` at each tick; all its killsync's commands live by the clock."""

    def __init__(self, program: Case, clock: Clock) -> None:
        self.program = program
        self.clock = clock
        program.forks = True
        program.environment |= clock.environment
        # by how many seconds the clock is moved while all wait
        self.leap = LEAP
        self._sent = 0

    def tick(self, **environment: str) -> Tick:
        """Play the next tick to its end."""
        started = self.clock.now() // TICK * TICK + TICK
        self.clock.forward_to(started)
        code = self.run("scan", "--quiet", **environment)
        sent = sum(self.program.simulator.control("log?count").values())
        before, self._sent = self._sent, sent
        said = self.program.heard() + self.program.printed()
        return Tick(started, code, said, sent - before)

    def run(self, *arguments: str, **environment: str) -> int:
        """Run a command to its end, without the time in which it only waits."""
        running = Running(self.program.launch(*arguments, **environment))
        pid = self.program.simulator.pid
        self.clock.fast_forward(running, simulator_pid=pid, leap=self.leap)
        return running.process.returncode

    def forget_requests(self) -> None:
        """Empty the simulator's log, which grows with every tick."""
        self.program.simulator.clear_log()
        self._sent = 0

    def last_syncs(self) -> dict[int, float]:
        """Return when each user was synced last, in unix seconds; 0 for never."""
        rows = self.program.rows("SELECT user_id, last_killmail_sync_at FROM users")
        return {user: unix_or_none(last) or 0.0 for user, last in rows}
