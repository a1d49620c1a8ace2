"""Metrics: a file that describes the last run, in the form that node_exporter's textfile reads.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterator, Mapping

import msgspec

from killsync.esi.buckets import OWN_GROUPS
from killsync.esi.ratelimit import ERROR_LIMIT, SSO_GROUP, Bucket
from killsync.model import UserKind, UserState
from killsync.store import facts, figures, limits, pending
from killsync.store.connection import Store, snapshot

_UNLIMITED = OWN_GROUPS | {ERROR_LIMIT, SSO_GROUP}

Labels = tuple[tuple[str, str], ...]


class Metric(msgspec.Struct, frozen=True):
    """What a metric is called and means; `kind` is Prometheus' type."""

    name: str
    kind: str
    meaning: str


LAST_SUCCESS = Metric(
    "killsync_last_success_timestamp_seconds",
    "gauge",
    "When a scan or a sync last ended without an error, in unix time; not there before the first.",
)
OLDEST_SYNC = Metric(
    "killsync_oldest_sync_timestamp_seconds",
    "gauge",
    "The last sync of the active user who has waited longest since one, in unix time.",
)
USERS = Metric("killsync_users", "gauge", "Registered users by kind and state.")
STORED = Metric(
    "killsync_killmails_stored_total",
    "counter",
    "Killmails ever stored in this database, those deleted since too.",
)
PENDING = Metric(
    "killsync_killmails_pending",
    "gauge",
    "Killmails that are listed and still to be fetched, without those set aside.",
)
SET_ASIDE = Metric(
    "killsync_killmails_set_aside",
    "gauge",
    "Killmails that ESI refused again and again, and that are asked for seldom.",
)
REMAINING = Metric(
    "killsync_rate_limit_remaining",
    "gauge",
    "Tokens left of ESI's rate limit, of the character with the fewest; 0 while ESI wants a rest.",
)
DURATION = Metric("killsync_run_duration_seconds", "gauge", "How long the last run took.")
EXIT_CODE = Metric("killsync_run_exit_code", "gauge", "The exit code of the last run.")

METRICS = (
    *(LAST_SUCCESS, OLDEST_SYNC, USERS, STORED, PENDING, SET_ASIDE, REMAINING),
    *(DURATION, EXIT_CODE),
)


class Sample(msgspec.Struct, frozen=True):
    """One value of a metric."""

    metric: Metric
    value: float
    labels: Labels = ()


class LastRun(msgspec.Struct, frozen=True):
    """The run that is described: how long it took, and the exit code of its process."""

    seconds: float
    exit_code: int


def samples(store: Store, run: LastRun, now: float) -> list[Sample]:
    """Return what there is to say of a database after a run, metric by metric."""
    conn = store.conn
    with snapshot(conn):
        counts = pending.count_by_state(conn)
        found = [
            *_if_known(LAST_SUCCESS, figures.last_success(conn)),
            *_if_known(OLDEST_SYNC, figures.oldest_sync(conn)),
            *_users(figures.users(conn)),
            Sample(STORED, facts.last_stored_seq(conn)),
            Sample(PENDING, counts.ready + counts.put_off),
            Sample(SET_ASIDE, counts.set_aside),
            *_remaining(limits.everything(conn), now),
        ]
    return [*found, Sample(DURATION, round(run.seconds, 3)), Sample(EXIT_CODE, run.exit_code)]


def text(found: list[Sample]) -> str:
    """Return samples, those of a metric together, in Prometheus' text form."""
    lines = []
    described: set[str] = set()
    for sample in found:
        metric = sample.metric
        if metric.name not in described:
            described.add(metric.name)
            lines += [
                f"# HELP {metric.name} {_escaped(metric.meaning)}",
                f"# TYPE {metric.name} {metric.kind}",
            ]
        lines.append(f"{metric.name}{_shown(sample.labels)} {sample.value}")
    return "".join(f"{line}\n" for line in lines)


def _if_known(metric: Metric, moment: float | None) -> Iterator[Sample]:
    if moment is not None:
        yield Sample(metric, int(moment))


def _users(found: Mapping[tuple[str, str], int]) -> Iterator[Sample]:
    # a series that is there only at times is hard to ask for
    usual = [
        (kind.value, state.value)
        for kind in UserKind
        for state in UserState
        if UserKind.UNKNOWN is not kind and UserState.UNKNOWN is not state
    ]
    for kind, state in sorted({*usual, *found}):
        labels = (("kind", kind), ("state", state))
        yield Sample(USERS, found.get((kind, state), 0), labels)


def _remaining(buckets: list[Bucket], now: float) -> Iterator[Sample]:
    left: dict[str, int] = {}
    for bucket in buckets:
        if bucket.group not in _UNLIMITED:
            tokens = 0 if bucket.is_resting(now) else max(0, bucket.remaining(now))
            left[bucket.group] = min(tokens, left.get(bucket.group, tokens))
    for group, tokens in sorted(left.items()):
        yield Sample(REMAINING, tokens, (("group", group),))


def _shown(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels)
    return f"{{{','.join(pairs)}}}"


def _escaped(value: str, *, quotes: bool = False) -> str:
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped
