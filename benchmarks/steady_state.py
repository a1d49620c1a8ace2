"""Ticks with nothing new: many users, with and without fresh access tokens."""

from figures import Figure, Pairs, Scale, at_most, format_seconds
from installation import LATENCY, UNLIMITED, installation, poll, scan
from world import Killsync

WORKERS = 16
REFRESH = 0.1
REFRESHES = 2


def measure(scale: Scale) -> list[Figure]:
    """Measure ticks with fresh and with expired tokens."""
    users = scale.of(1000, 20)
    with installation(characters=users, killmails=1, access_lifetime=86000, **UNLIMITED) as program:
        scan(program, "--workers", str(WORKERS))
        program.simulator.options(latency_list=LATENCY)
        fresh = [_tick(program) for _ in range(scale.runs)]
        program.simulator.options(latency_sso=REFRESH)
        expired = []
        for _ in range(scale.of(3, 1)):
            program.expire_access()
            expired.append(_tick(program))
    return [
        _row(f"{users} idle users, fresh tokens", fresh, users * LATENCY / WORKERS, 1.3),
        _row(f"{users} idle users, expired tokens", expired, users * REFRESH / REFRESHES, 1.2),
    ]


def _tick(program: Killsync) -> float:
    wall = poll(program, "--workers", str(WORKERS)).wall
    users = len(program.simulator.logins)
    answers = [entry["status"] for entry in program.simulator.log("list")]
    if answers != [304] * users:
        raise RuntimeError(f"{len(answers)} lists were requested, {users} were expected")
    return wall


def _row(what: str, walls: list[float], floor: float, goal: float) -> Figure:
    return at_most(what, Pairs(walls, [floor] * len(walls)), goal, format_seconds)
