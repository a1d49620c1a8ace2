"""The file for Prometheus: what stands in it after each run, and that programs can read it."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import parser
from world import Killsync, copy_new_database, run_in_progress

from killsync.errors import UsageError
from killsync.esi.buckets import body_bucket, list_bucket, names_bucket, sso_bucket
from killsync.esi.ratelimit import Bucket
from killsync.model import Reader, UserKind, UserState
from killsync.outbox import metrics, metrics_file
from killsync.outbox.metrics import LastRun, Metric, Sample
from killsync.settings.config import Settings
from killsync.starting import units
from killsync.store import connection, limits, users
from killsync.store.connection import Store
from killsync.store.paths import lock_file
from killsync.times import unix

Make = Callable[..., Killsync]
NOW = unix("2026-11-24T03:00:00Z")

Values = dict[tuple[str, tuple[str, ...]], float]


def parsed(text: str) -> Values:
    """Return each value by its name and the values of its labels, as Prometheus' parser reads."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def measured(program: Killsync) -> Values:
    return parsed(Path(program.environment["KILLSYNC_PROMETHEUS_FILE"]).read_text())


@pytest.fixture
def make(killsync: Make, tmp_path: Path) -> Make:
    """Make a killsync that writes a file for Prometheus."""

    def with_file(**options: object) -> Killsync:
        program = killsync(**options)
        program.environment["KILLSYNC_PROMETHEUS_FILE"] = str(tmp_path / "killsync.prom")
        return program

    return with_file


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "empty.db"
    copy_new_database(path)
    with closing(connection.connect(path)) as opened:
        yield opened


def read(store: Store) -> Values:
    return parsed(metrics.text(metrics.samples(store, LastRun(1.5, 0), NOW)))


# after a run


def test_after_a_scan_the_file_says_how_everything_stands(make: Make) -> None:
    program = make(characters=2, killmails=3, shared=0)
    program.run("scan", "--quiet")
    values, status = measured(program), program.status()
    synced = [unix(user["last_killmail_sync_at"]) for user in status["users"]]
    assert values["killsync_last_success_timestamp_seconds", ()] == unix(
        status["last_run"]["finished_at"]
    )
    assert values["killsync_oldest_sync_timestamp_seconds", ()] == min(synced)
    assert values["killsync_users", ("character", "active")] == 2
    assert values["killsync_users", ("corporation", "needs_login")] == 0
    assert values["killsync_killmails_stored_total", ()] == 6
    assert values["killsync_killmails_pending", ()] == 0
    assert values["killsync_killmails_set_aside", ()] == 0
    left = {limit["group"]: limit["remaining"] for limit in status["rate_limits"]}
    assert values["killsync_rate_limit_remaining", ("killmail",)] == left["killmail"]
    assert 0 < values["killsync_run_duration_seconds", ()] < 600
    assert values["killsync_run_exit_code", ()] == 0
    mode = Path(program.environment["KILLSYNC_PROMETHEUS_FILE"]).stat().st_mode
    assert stat.S_IMODE(mode) == 0o644


def test_every_run_writes_the_file_but_not_one_that_gives_way(make: Make) -> None:
    program = make(characters=1, killmails=1)
    file = Path(program.environment["KILLSYNC_PROMETHEUS_FILE"])
    user = str(program.simulator.logins[0]["character_id"])
    for command in (["scan"], ["scan"], ["sync", user]):
        program.run(*command)
        assert measured(program)["killsync_run_exit_code", ()] == 0
        file.unlink()
    with run_in_progress(program):
        program.run("scan")
    assert not file.exists()


def test_a_run_that_fails_is_no_success(make: Make) -> None:
    program = make(characters=1, killmails=1)
    program.simulator.fault("list", status=503, times=100)
    program.run("scan", exit_code=75)
    values = measured(program)
    assert values["killsync_run_exit_code", ()] == 75
    assert ("killsync_last_success_timestamp_seconds", ()) not in values


def test_the_exit_code_is_that_of_the_process(make: Make) -> None:
    program = make(characters=1, killmails=1)
    user = str(program.simulator.logins[0]["character_id"])
    program.simulator.fault("list", status=429, headers={"Retry-After": "300"})
    program.run("sync", user, exit_code=75)
    assert measured(program)["killsync_run_exit_code", ()] == 75
    # a lock that cannot be used is an error of SQLite's, of which a person reads another
    lock_file(program.database).write_bytes(b"no database")
    program.run("scan", "--quiet", exit_code=2)
    assert measured(program)["killsync_run_exit_code", ()] == 2


def test_a_sync_that_waits_in_vain_describes_no_run(make: Make) -> None:
    program = make(characters=1, killmails=1)
    user = str(program.simulator.logins[0]["character_id"])
    with run_in_progress(program):
        program.run("sync", user, "--timeout", "1s", exit_code=75)
    assert not Path(program.environment["KILLSYNC_PROMETHEUS_FILE"]).exists()


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    link, pipe, other = (tmp_path / name for name in ("link", "pipe", "other"))
    other.write_text("another's")
    link.symlink_to(other)
    os.mkfifo(pipe)
    for place in (link, pipe, tmp_path):
        with pytest.raises(UsageError, match="is not a plain file"):
            metrics_file.write(place, "killsync_users 1\n")
    assert link.is_symlink()
    assert other.read_text() == "another's"
    assert pipe.is_fifo()
    assert sorted(tmp_path.iterdir()) == [link, other, pipe]


@pytest.mark.parametrize("suffix", ["", ".tokens", ".lock", "-wal", ".before-7"])
def test_a_file_of_killsyncs_own_is_a_wrong_setting(tmp_path: Path, suffix: str) -> None:
    database = tmp_path / "killsync.db"
    settings = Settings(db=str(database), prometheus_file=f"{database}{suffix}")
    with pytest.raises(UsageError, match="a file of killsync's own"):
        metrics_file.place(settings, tmp_path / "config.toml")


def test_nor_may_it_replace_the_configuration_or_what_that_names(tmp_path: Path) -> None:
    key, config = tmp_path / "key", tmp_path / "config.toml"
    key.touch()
    by_another_name = tmp_path / "hard-link"
    by_another_name.hardlink_to(key)
    for name in (key, by_another_name, config, tmp_path / "x" / ".." / "config.toml"):
        settings = Settings(
            db=str(tmp_path / "k.db"), prometheus_file=str(name), token_key_file=str(key)
        )
        with pytest.raises(UsageError, match="a file of killsync's own"):
            metrics_file.place(settings, config)


def test_a_run_refuses_to_replace_its_own_database(make: Make) -> None:
    program = make(characters=1, killmails=1)
    program.environment["KILLSYNC_PROMETHEUS_FILE"] = program.environment["KILLSYNC_DB"]
    user = str(program.simulator.logins[0]["character_id"])
    for command in (["scan", "--quiet"], ["sync", user]):
        done = program.run(*command, exit_code=2)
        assert done.stderr.count("\n") == 1
        assert "prometheus_file: " in done.stderr
    assert program.rows("SELECT count(*) FROM runs") == [(0,)]
    assert "problem prometheus_file: " in program.run("doctor", exit_code=1).stdout


def test_a_directory_that_is_missing_is_a_warning_that_cron_never_mails(make: Make) -> None:
    program = make(characters=0)
    program.environment["KILLSYNC_PROMETHEUS_FILE"] = "/nowhere/killsync.prom"
    done = program.run("scan")
    assert done.stderr.count("prometheus_file could not be written") == 1
    assert "/nowhere/killsync.prom: No such file or directory" in done.stderr
    done = program.run("scan", "--quiet")
    assert done.stdout + done.stderr == ""


def test_doctor_says_whether_the_file_can_be_written(make: Make, tmp_path: Path) -> None:
    program = make(users=False)
    file = program.environment["KILLSYNC_PROMETHEUS_FILE"]
    assert f"ok      prometheus_file: {file}" in program.run("doctor", exit_code=None).stdout
    program.environment["KILLSYNC_PROMETHEUS_FILE"] = "/nowhere/killsync.prom"
    done = program.run("doctor", exit_code=None)
    assert "problem prometheus_file: /nowhere: is not a directory" in done.stdout


def test_a_service_of_systemds_may_write_the_file(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    settings = Settings(db="/srv/k.db", prometheus_file=str(directory / "killsync.prom"))
    assert directory not in units.written_places(settings)
    directory.mkdir()
    assert directory in units.written_places(settings)


# what stands in it


def test_nothing_is_said_of_what_has_never_been(store: Store) -> None:
    assert {name for name, _ in read(store)} == {
        "killsync_users",
        "killsync_killmails_stored_total",
        "killsync_killmails_pending",
        "killsync_killmails_set_aside",
        "killsync_run_duration_seconds",
        "killsync_run_exit_code",
    }


def test_users_are_counted_by_kind_and_state(store: Store) -> None:
    for user_id in (1, 2, 3):
        users.add(store.conn, user_id, f"user {user_id}", NOW)
    users.add(store.conn, 9, "a corporation", NOW, UserKind.CORPORATION)
    users.set_state(store.conn, 2, UserState.NEEDS_LOGIN)
    users.set_state(store.conn, 3, UserState.DISABLED)
    found = {labels: n for (name, labels), n in read(store).items() if name == "killsync_users"}
    assert found == {
        ("character", "active"): 1,
        ("character", "disabled"): 1,
        ("character", "needs_login"): 1,
        ("corporation", "active"): 1,
        ("corporation", "disabled"): 0,
        ("corporation", "needs_login"): 0,
    }


def spent(bucket: Bucket, tokens: int) -> Bucket:
    bucket.spend(NOW, tokens)
    return bucket


def test_the_tokens_of_a_group_are_those_of_the_character_with_the_fewest(store: Store) -> None:
    buckets = [
        spent(list_bucket(Reader(1, UserKind.CHARACTER, 1)), 4),
        spent(list_bucket(Reader(2, UserKind.CHARACTER, 2)), 10),
        spent(body_bucket(), 600),
        # what ESI gives no tokens for
        spent(names_bucket(), 1),
        spent(sso_bucket(), 1),
    ]
    limits.save(store.conn, buckets)
    left = {k[1]: n for k, n in read(store).items() if k[0] == "killsync_rate_limit_remaining"}
    assert left == {("char-killmail",): 20, ("killmail",): 3000}


def test_no_tokens_are_left_while_esi_wants_a_rest(store: Store) -> None:
    bucket = body_bucket()
    bucket.rest(NOW, 60)
    limits.save(store.conn, [bucket])
    assert read(store)["killsync_rate_limit_remaining", ("killmail",)] == 0


def test_any_text_can_be_a_label() -> None:
    odd = 'a "quoted" \\ path\nof two lines, ünï'
    metric = Metric("killsync_odd", "gauge", "Two\nlines \\ and a backslash.")
    text = metrics.text([Sample(metric, 1.5, (("path", odd),))])
    assert parsed(text) == {("killsync_odd", (odd,)): 1.5}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
def test_promtool_finds_nothing_wrong(store: Store) -> None:
    limits.save(store.conn, [body_bucket()])
    text = metrics.text(metrics.samples(store, LastRun(1.5, 0), NOW))
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
