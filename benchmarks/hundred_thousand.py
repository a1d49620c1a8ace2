"""100,000 users on one machine, simulated: how late who is synced, and what binds first.

The simulation is checked against real scans: of 2,000 users, to their end and cut short.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import islice
from statistics import median

import msgspec
from figures import Figure, Pairs, Scale, format_seconds
from installation import LATENCY, UNLIMITED, installation, poll, scan
from simulated import START, Costs, Installation, Run, Setting, play
from world import Killsync

from killsync.sync.ticks import TICK
from killsync.times import DAY, HOUR, MINUTE

# how far the simulation may be from a real scan
_NEAR = 0.1
_ROUNDS = 3
# three days
_MOST_TICKS = 432
_FULL = 0.95
_NEARLY = 0.9
_SHORT_RUN = 40

BASE = Setting()
SETTINGS: dict[str, Setting] = {
    "8 workers, min_age 15m, 300 ms a refresh, 100 ms a list or body": BASE,
    "1 worker": Setting(workers=1),
    "2 workers": Setting(workers=2),
    "4 workers": Setting(workers=4),
    "16 workers": Setting(workers=16),
    "min_age 1h": Setting(min_age=HOUR),
    "min_age 6h": Setting(min_age=6 * HOUR),
    "SSO bears 1 refresh at a time": Setting(sso_bears=1),
    "SSO bears 2": Setting(sso_bears=2),
    "SSO bears 3": Setting(sso_bears=3),
    "100 ms a refresh": Setting(sso_latency=0.1),
    "100 ms a refresh, 16 workers, 300 ms a list": Setting(
        workers=16, sso_latency=0.1, list_latency=0.3
    ),
    "100 ms a refresh, min_age 1h": Setting(sso_latency=0.1, min_age=HOUR),
    "2 killmails a day each": Setting(killmails=2.0),
    "but fewer": Setting(users=20_000),
    "and fewer still": Setting(users=10_000),
}


class Outcome(msgspec.Struct, frozen=True):
    """How late users were polled, in seconds, what was had a day, and what kept more waiting."""

    median: float
    last: float
    polls: float
    bodies: float
    binds: str


def measure(scale: Scale) -> list[Figure]:
    """Check the simulation against real scans, then play each setting."""
    with _installed(scale.of(2000, 20)) as program:
        measured = _measured(program)
        checks = list(_checks(program, measured, scale))
    rows = []
    settings = SETTINGS.items()
    for what, setting in islice(settings, scale.of(len(settings), 2)):
        users = scale.of(setting.users, 500)
        outcome = simulate(msgspec.structs.replace(setting, users=users), measured.costs)
        rows.append(_row(f"{users:,} users: {what}", outcome))
    return [*checks, *rows]


def simulate(setting: Setting, costs: Costs) -> Outcome:
    """Play a setting until its last rounds are alike."""
    users = Installation(setting, costs)
    runs = list(play(users, _ROUNDS, _MOST_TICKS))
    late = [poll.late for poll in users.polls if poll is not None]
    latest = runs[len(runs) // 2 :]
    days = _days(latest)
    return Outcome(
        median(late),
        max(late),
        polls=sum(run.polls for run in latest) / days,
        bodies=sum(run.bodies for run in latest) / days,
        binds=_binds(setting, users, latest),
    )


def _days(runs: list[Run]) -> float:
    return len(runs) * TICK / DAY


def _binds(setting: Setting, users: Installation, runs: list[Run]) -> str:
    found = []
    if sum(run.left > 0 for run in runs) > len(runs) / 2:
        seconds = sum(run.seconds for run in runs)
        if sum(run.processor for run in runs) > _FULL * seconds:
            found.append("the processor")
        elif sum(run.refreshing for run in runs) > _FULL * sum(run.allowed for run in runs):
            found.append("refreshes")
        else:
            found.append("workers")
    fetched = sum(run.bodies for run in runs) / _days(runs)
    if fetched < _NEARLY * setting.users * setting.killmails and any(users.waiting.values()):
        found.append("bodies")
    return " and ".join(found) or "nothing"


def _row(what: str, outcome: Outcome) -> Figure:
    late = f"{outcome.median / MINUTE:,.0f} min late, the last {outcome.last / MINUTE:,.0f} min"
    measured = f"{late}; {outcome.polls:,.0f} polls, {outcome.bodies:,.0f} bodies a day"
    return Figure(what=what, measured=measured, peer=f"binds: {outcome.binds}", goal="", met=None)


# the same in truth


def _installed(users: int) -> AbstractContextManager[Killsync]:
    return installation(characters=users, killmails=1, access_lifetime=86000, **UNLIMITED)


class Measured(msgspec.Struct, frozen=True):
    """What a run costs the processor here, and what a refresh and a list take beside that.

    Beside the latency that the simulated SSO and ESI are told to have, too.
    """

    costs: Costs
    refresh: float
    list: float


def _measured(program: Killsync) -> Measured:
    """Scan one user at a time, where SSO and ESI answer at once."""
    scan(program, "--workers", "16")
    users = len(program.simulator.logins)
    idle = scan(program)
    fresh = poll(program, "--workers", "1")
    program.expire_access()
    expired = poll(program, "--workers", "1")
    costs = Costs(
        start=idle.wall,
        list=max(0.0, fresh.cpu - idle.cpu) / users,
        refresh=max(0.0, expired.cpu - fresh.cpu) / users,
    )
    return Measured(
        costs,
        refresh=max(0.0, (expired.wall - fresh.wall) / users - costs.refresh),
        list=max(0.0, (fresh.wall - idle.wall) / users - costs.list),
    )


def _checks(program: Killsync, measured: Measured, scale: Scale) -> Iterator[Figure]:
    """Yield how near the simulation comes to a scan that ends, and to one that is cut short."""
    users = len(program.simulator.logins)
    for latency, max_runtime in ((0.3, BASE.max_runtime), (0.1, scale.of(_SHORT_RUN, 3))):
        setting = Setting(
            users=users,
            max_runtime=max_runtime,
            sso_latency=latency + measured.refresh,
            list_latency=LATENCY + measured.list,
            killmails=0,
        )
        program.simulator.options(latency_list=LATENCY, latency_sso=latency)
        program.expire_access()
        words = ("--workers", str(setting.workers), "--max-runtime", f"{max_runtime:.0f}s")
        wall = poll(program, *words).wall
        polls = len(program.simulator.log("list"))
        run = Installation(setting, measured.costs).tick(START)
        if polls == users:
            real, simulated, show = wall, run.seconds, format_seconds
        else:
            real, simulated, show = polls, run.polls, "{:.0f} polls".format
        pairs = Pairs([simulated], [real])
        yield Figure(
            what=f"simulated: {users} expired users, {latency * 1e3:.0f} ms a refresh, {words[-1]}",
            measured=show(simulated),
            peer=show(real),
            ratio=pairs.ratio,
            goal=f"within {_NEAR:.0%}",
            met=abs(pairs.ratio - 1) <= _NEAR,
        )
