"""Ticks with nothing new: many users, with and without fresh access tokens."""

from contextlib import AbstractContextManager

from figures import Figure, Pairs, Scale, at_most, format_seconds, within
from installation import LATENCY, UNLIMITED, installation, poll, scan
from world import Killsync

from killsync.sync.refreshes import MOST

WORKERS = 16
REFRESH = 0.1
# a slow SSO, and a setting for many users
FEWER_WORKERS = 8
SLOW_REFRESH = 0.3
GOAL = 170.0


def measure(scale: Scale) -> list[Figure]:
    """Measure ticks with fresh and with expired tokens."""
    return [*_of_a_thousand(scale), _of_two_thousand(scale)]


def _of_a_thousand(scale: Scale) -> list[Figure]:
    users = scale.of(1000, 20)
    with _many(users) as program:
        scan(program, "--workers", str(WORKERS))
        program.simulator.options(latency_list=LATENCY)
        fresh = [_tick(program, WORKERS) for _ in range(scale.runs)]
        program.simulator.options(latency_sso=REFRESH)
        expired = []
        for _ in range(scale.of(3, 1)):
            program.expire_access()
            expired.append(_tick(program, WORKERS))
    return [
        _row(f"{users} idle users, fresh tokens", fresh, users * LATENCY / WORKERS, 1.3),
        _row(f"{users} idle users, expired tokens", expired, users * REFRESH / MOST, 1.2),
    ]


def _of_two_thousand(scale: Scale) -> Figure:
    users = scale.of(2000, 20)
    with _many(users) as program:
        scan(program, "--workers", str(WORKERS))
        program.simulator.options(latency_list=LATENCY, latency_sso=SLOW_REFRESH)
        program.expire_access()
        wall = _tick(program, FEWER_WORKERS)
    what = f"{users} idle users, expired tokens, 300 ms a refresh, {FEWER_WORKERS} workers"
    floor = users * SLOW_REFRESH / MOST
    note = f"floor: {MOST} refreshes at a time, {format_seconds(floor)}"
    return within(what, [wall], GOAL, format_seconds, note=note)


def _many(users: int) -> AbstractContextManager[Killsync]:
    return installation(characters=users, killmails=1, access_lifetime=86000, **UNLIMITED)


def _tick(program: Killsync, workers: int) -> float:
    wall = poll(program, "--workers", str(workers)).wall
    users = len(program.simulator.logins)
    answers = [entry["status"] for entry in program.simulator.log("list")]
    if answers != [304] * users:
        raise RuntimeError(f"{len(answers)} lists were requested, {users} were expected")
    return wall


def _row(what: str, walls: list[float], floor: float, goal: float) -> Figure:
    return at_most(what, Pairs(walls, [floor] * len(walls)), goal, format_seconds)
