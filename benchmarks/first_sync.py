"""First syncs at ESI's latency, without rate limits and under the real ones, and small syncs."""

import math
from statistics import median

from figures import Figure, Pairs, Scale, at_most, format_seconds, format_size, within
from installation import LATENCY, UNLIMITED, installation, poll, scan
from spending import Spent

CONNECTIONS = 8
PAGE_DELAY = 0.1
PAGE = 50
# ESI's real limit for lists, and the share of it that killsync reserves for manual syncs
LIST_TOKENS, COST, RESERVE = 30, 2, 0.2
MOST_RUNS = 9
_MOST_CPU = 20.0
LATENCIES = {"latency_list": LATENCY, "latency_body": LATENCY}


def measure(scale: Scale) -> list[Figure]:
    """Measure first syncs, and syncs of no or a few new killmails."""
    return [
        unlimited(scale),
        long_history(scale),
        *(limited(scale, killmails) for killmails in ((120,) if scale.quick else (742, 3000))),
        *small(scale),
    ]


def unlimited(scale: Scale) -> Figure:
    """Measure the wall time of a first sync against the latencies that it cannot avoid."""
    killmails = scale.of(742, 120)
    pages = math.ceil(killmails / PAGE)
    floor = (killmails + pages) * LATENCY / CONNECTIONS + (pages - 1) * PAGE_DELAY
    all_spent = []
    for _ in range(scale.runs):
        options = LATENCIES | UNLIMITED | {"killmails": killmails, "page_size": PAGE}
        with installation(characters=1, **options) as program:
            all_spent.append(scan(program))
            requests = len(program.simulator.log())
            stored = program.rows("SELECT count(*) FROM killmails")[0][0]
        if stored != killmails:
            raise RuntimeError(f"{stored} of {killmails} killmails are stored")
    pairs = Pairs([spent.wall for spent in all_spent], [floor] * len(all_spent))

    def describe(wall: float) -> str:
        if wall == floor:
            return format_seconds(wall)
        return f"{format_seconds(wall)}, {resources(all_spent)}"

    def resources(spent: list[Spent]) -> str:
        cpu, memory = median(s.cpu for s in spent), median(s.memory for s in spent)
        return f"{requests} requests, {cpu:.1f} CPU s, {format_size(memory)}"

    return at_most(
        f"first sync of {killmails} killmails, {pages} pages, 50 ms",
        pairs,
        1.2,
        describe,
        reference="387.6 s, 757 requests, 10.5 CPU s, 238 MB",
        note=(
            f"floor: all latencies over {CONNECTIONS} connections plus the page delays, "
            "which killsync spends on bodies"
        ),
    )


def long_history(scale: Scale) -> Figure:
    """Measure the CPU time of a history that ESI's limits spread over more than an hour."""
    killmails = scale.of(10_000, 100)
    spent = []
    for _ in range(scale.of(3, 1)):
        with installation(characters=1, killmails=killmails, **UNLIMITED) as program:
            spent.append(scan(program).cpu)
    return within(
        f"CPU time of a first sync of {killmails:,} killmails",
        spent,
        _MOST_CPU,
        format_seconds,
        note="the whole process; under ESI's limits these killmails take 83 minutes",
    )


def limited(scale: Scale, killmails: int) -> Figure:
    """Count the windows that a first sync needs under ESI's limits."""
    window = scale.of(8, 3)
    page = scale.of(PAGE, 6)
    pages = math.ceil(killmails / page)
    options = LATENCIES | {"killmails": killmails, "page_size": page}
    with installation(characters=1, list_window=window, body_window=window, **options) as program:
        runs = 0
        while program.rows("SELECT count(*) FROM killmails")[0][0] < killmails:
            scan(program)
            runs += 1
            if runs > MOST_RUNS:
                raise RuntimeError(f"not everything is stored after {MOST_RUNS} runs")
        log = program.simulator.log()
    starts = [entry["start"] for entry in log]
    refused = sum(entry["status"] == 429 for entry in log)
    allowed = LIST_TOKENS * (1 - RESERVE)
    floor = math.ceil(pages * COST / allowed)
    windows = math.floor((max(starts) - min(starts)) / window) + 1
    return Figure(
        what=f"the same under ESI's limits, {killmails} killmails on {pages} pages",
        measured=f"{windows} windows, {runs} runs, {refused} refused",
        peer=f"{floor} windows",
        ratio=windows / floor,
        goal="at most 1 more",
        met=windows <= floor + 1,
        reference="" if pages <= 15 else "never completes (0 of 800)",
        note=f"windows of {window} s in place of 15 minutes; tokens above the reserve of 0.2",
    )


def small(scale: Scale) -> list[Figure]:
    """Measure the wall time of the most frequent syncs: with nothing new, or very little."""
    with installation(characters=5, killmails=30, **LATENCIES, **UNLIMITED) as program:
        scan(program)
        users = [login["character_id"] for login in program.simulator.logins]

        def measure_polls(new: int, active: list[int]) -> list[float]:
            walls = []
            for _ in range(scale.runs):
                for user in active if new else ():
                    program.simulator.add_killmails(user, new)
                program.simulator.thaw()
                program.execute("UPDATE users SET state = 'disabled'")
                for user in active:
                    program.execute("UPDATE users SET state = 'active' WHERE user_id = ?", user)
                walls.append(poll(program).wall)
            return walls

        one = users[:1]
        return [
            _small("nothing new, 1 user", measure_polls(0, one), 1, "2.33 s"),
            _small("3 new killmails, 1 user", measure_polls(3, one), 2, "3.56 s"),
            _small("5 users with 1 new killmail each", measure_polls(1, users), 6, "14.5 s"),
        ]


def _small(what: str, walls: list[float], in_turn: int, reference: str) -> Figure:
    wall, floor = median(walls), in_turn * LATENCY
    return Figure(
        what=f"{what}, 50 ms",
        measured=format_seconds(wall),
        peer=f"{in_turn} latencies in turn: {format_seconds(floor)}",
        ratio=wall / floor,
        goal="none: a cron job's start included",
        met=None,
        reference=reference,
    )
