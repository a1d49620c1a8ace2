"""Killmail bodies: each fetched once, in which order, and what becomes of those that fail."""

import json
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from world import Killsync, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]


def with_character(make: Make, killmails: int, **options: Any) -> tuple[Killsync, int]:
    program = make(characters=1, killmails=killmails, list_tokens=0, **options)
    program.simulator.clear_log()
    return program, program.simulator.logins[0]["character_id"]


def fetched(program: Killsync) -> list[int]:
    """Return the killmails whose bodies were asked for, in order."""
    return [entry["killmail_id"] for entry in program.simulator.log("body")]


def stored(program: Killsync) -> set[int]:
    return {killmail_id for (killmail_id,) in program.rows("SELECT killmail_id FROM killmails")}


def pending(program: Killsync) -> list[tuple[Any, ...]]:
    """Return id, attempts, error, and whether it is put off, whether set aside, of each."""
    return program.rows(
        """SELECT killmail_id, attempts, error,
            not_before IS NOT NULL AND not_before > strftime('%Y-%m-%dT%H:%M:%SZ', 'now'),
            set_aside_at IS NOT NULL
        FROM pending_killmails ORDER BY 1"""
    )


def let_the_wait_pass(program: Killsync) -> None:
    """Let the time come for every body that was put off, and every bucket that rests."""
    program.execute(
        "UPDATE pending_killmails SET not_before = '2026-01-01T00:00:00Z'"
        " WHERE not_before IS NOT NULL"
    )
    program.execute("UPDATE rate_limits SET retry_at = NULL")


def list_without_bodies(program: Killsync, *arguments: str) -> None:
    """Scan while the bucket of bodies rests, so that all of them stay pending."""
    program.simulator.fault("body", status=429, headers={"Retry-After": "300"})
    program.run("scan", *arguments)
    program.simulator.clear_faults()
    program.simulator.clear_log()
    let_the_wait_pass(program)


def test_a_killmail_of_two_characters_is_fetched_once(killsync: Make) -> None:
    program = killsync(characters=2, killmails=6, shared=1)
    program.run("scan")
    assert set(Counter(fetched(program)).values()) == {1}
    recorded = program.rows("SELECT killmail_id FROM user_killmails")
    assert len(stored(program)) < len(recorded)
    program.assert_equals_truth()


def test_a_killmail_that_another_character_has_brought_is_not_fetched_again(
    killsync: Make,
) -> None:
    program = killsync(characters=2, killmails=0)
    first, second = (login["character_id"] for login in program.simulator.logins)
    program.simulator.add_killmails(first, 3, shared_with=second)
    program.run("sync", str(first))
    program.simulator.clear_log()
    program.run("sync", str(second))
    assert fetched(program) == []
    program.assert_equals_truth()


def test_a_second_sync_fetches_the_new_killmails_only(killsync: Make) -> None:
    program, user_id = with_character(killsync, 4)
    program.run("scan")
    new = [killmail_id for killmail_id, _ in program.simulator.add_killmails(user_id, 2)]
    program.make_due()
    program.simulator.thaw()
    program.simulator.clear_log()
    program.run("scan")
    assert sorted(fetched(program)) == new


@pytest.mark.sample
def test_the_newest_killmail_is_fetched_first(killsync: Make) -> None:
    program, user_id = with_character(killsync, 5)
    program.run("scan", KILLSYNC_CONNECTIONS="1")
    assert fetched(program) == program.simulator.listed(user_id)


def test_the_bodies_of_a_manual_sync_go_before_all_others(killsync: Make) -> None:
    program = killsync(characters=2, killmails=4, page_size=2, shared=0, list_tokens=0)
    manual, background = (login["character_id"] for login in program.simulator.logins)
    list_without_bodies(program)
    program.run("sync", str(manual), "--no-wait")
    program.run("scan", KILLSYNC_CONNECTIONS="1")
    asked, first = fetched(program), program.simulator.listed(manual)
    # the others go on beside the last one of the sync, which may arrive after any of them
    assert asked[: len(first) - 1] == first[:-1]
    assert [killmail_id for killmail_id in asked if killmail_id in first] == first
    assert sorted(asked) == sorted([*first, *program.simulator.listed(background)])


def test_new_bodies_of_all_users_go_before_the_bodies_of_any_gap(killsync: Make) -> None:
    program = killsync(characters=2, killmails=1, page_size=3, shared=0, list_tokens=0)
    program.run("scan")
    for login in program.simulator.logins:
        program.simulator.add_killmails(login["character_id"], 6)
    program.simulator.thaw()
    program.make_due()
    lists = [
        program.simulator.listed(login["character_id"])[:6] for login in program.simulator.logins
    ]
    list_without_bodies(program)
    program.run("scan", KILLSYNC_CONNECTIONS="1")
    new = sorted((i for listed in lists for i in listed[:3]), reverse=True)
    gap = sorted((i for listed in lists for i in listed[3:]), reverse=True)
    assert fetched(program) == [*new, *gap]


def test_what_is_new_goes_before_the_history_of_a_first_sync(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1, shared=0)
    known = program.simulator.logins[0]["character_id"]
    program.run("scan")
    (new,) = program.simulator.add_killmails(known, 1)
    newcomer = program.simulator.add_character(killmails=1)
    program.simulator.add_killmails(newcomer["character_id"], 5)
    program.simulator.thaw()
    program.run("users", "add", given=newcomer["refresh_token"] + "\n")
    program.make_due()
    list_without_bodies(program)
    program.run("scan", KILLSYNC_CONNECTIONS="1")
    assert fetched(program)[0] == new[0]


def test_a_listed_killmail_that_got_lost_is_asked_for_again(killsync: Make) -> None:
    program, user_id = with_character(killsync, 6)
    program.run("scan")
    lost = program.simulator.listed(user_id)[3]
    for table in ("attackers", "items", "killmails"):
        program.execute(f"DELETE FROM {table} WHERE killmail_id = ?", lost)
    program.simulator.clear_log()
    program.make_due()
    program.run("sync", "--full", str(user_id))
    assert fetched(program) == [lost]
    assert lost in stored(program)


def test_a_killmail_that_was_refused_is_asked_for_with_the_hash_that_the_list_shows_now(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 3)
    list_without_bodies(program)
    program.execute("UPDATE pending_killmails SET killmail_hash = ?", "0" * 40)
    program.run("scan", exit_code=1)
    assert stored(program) == set()
    program.make_due()
    program.run("sync", "--full", str(user_id))
    program.assert_equals_truth()


def test_a_sync_fetches_the_pending_bodies_of_its_own_user_only(killsync: Make) -> None:
    program = killsync(characters=2, killmails=4, shared=0, list_tokens=0)
    mine, other = (login["character_id"] for login in program.simulator.logins)
    list_without_bodies(program)
    program.run("sync", str(mine))
    assert sorted(fetched(program)) == sorted(program.simulator.listed(mine))
    assert [row[0] for row in pending(program)] == sorted(program.simulator.listed(other))


def test_bodies_are_fetched_while_the_next_page_has_to_wait(killsync: Make) -> None:
    program, user_id = with_character(killsync, 6, page_size=3)
    program.run("scan", KILLSYNC_PAGE_DELAY="1s")
    log = [e for e in program.simulator.log() if e["route"] in ("list", "body")]
    page_2 = next(n for n, entry in enumerate(log) if entry["page"] == 2)
    between = [entry["killmail_id"] for entry in log[1:page_2]]
    assert sorted(between, reverse=True) == program.simulator.listed(user_id)[:3]


@pytest.mark.sample
def test_so_many_bodies_are_fetched_at_a_time_as_there_are_connections(killsync: Make) -> None:
    program, user_id = with_character(killsync, 3, latency_body=0.15)
    for connections in (1, 4):
        program.simulator.clear_log()
        program.run("scan", KILLSYNC_CONNECTIONS=str(connections))
        assert max(entry["in_flight"] for entry in program.simulator.log("body")) == connections
        program.simulator.add_killmails(user_id, 8)
        program.simulator.thaw()
        program.make_due()


def test_a_killmail_that_esi_does_not_know_is_put_off_and_not_asked_for_at_once(
    killsync: Make,
) -> None:
    program, user_id = with_character(killsync, 3)
    listed = program.simulator.listed(user_id)
    program.simulator.fault(
        "body",
        killmail_id=listed[0],
        status=422,
        body='{"error":"Invalid killmail_id and/or killmail_hash"}',
    )
    program.run("scan", exit_code=1)
    assert stored(program) == set(listed[1:])
    ((killmail_id, _, error, put_off, aside),) = pending(program)
    assert (killmail_id, put_off, aside) == (listed[0], 1, 0)
    assert "Invalid killmail_id and/or killmail_hash" in error
    program.make_due()
    program.simulator.clear_log()
    program.run("scan")
    assert fetched(program) == []
    status = program.status()
    assert status["pending_killmails"] == status["users"][0]["pending"] == 1


TRANSIENT: tuple[dict[str, Any], ...] = (
    {"status": 500},
    {"status": 520},
    {"status": 502, "html": True},
    {"status": 200, "html": True},
    {"cut": True},
    {"wrong_json": '{"killmail_id":'},
    {"close": True},
)


def with_transient_faults(make: Make, **rule: Any) -> tuple[Killsync, list[int]]:
    """Let each fault befall one killmail; return these, and leave two without."""
    program, user_id = with_character(make, len(TRANSIENT) + 2)
    failing = program.simulator.listed(user_id)[: len(TRANSIENT)]
    for killmail_id, fault in zip(failing, TRANSIENT, strict=True):
        program.simulator.fault("body", killmail_id=killmail_id, **fault, **rule)
    return program, failing


def test_a_body_that_cannot_be_had_now_is_put_off_and_fetched_later(killsync: Make) -> None:
    program, failing = with_transient_faults(killsync)
    program.run("scan", exit_code=1)
    assert len(stored(program)) == 2
    assert [killmail_id for killmail_id, *_ in pending(program)] == sorted(failing)
    for _, attempts, error, put_off, aside in pending(program):
        assert error
        assert (attempts, put_off, aside) == (1, 1, 0)
    program.simulator.clear_log()
    program.run("scan")
    assert program.simulator.log() == [], "each is left alone until its time"
    program.simulator.clear_faults()
    let_the_wait_pass(program)
    program.run("scan")
    program.assert_equals_truth()


def test_a_body_that_fails_once_is_tried_again_at_once(killsync: Make) -> None:
    program, failing = with_transient_faults(killsync, times=1)
    program.run("scan")
    asked = Counter(fetched(program))
    assert {killmail_id for killmail_id, times in asked.items() if times == 2} == set(failing)
    assert asked.total() == 2 * len(failing) + 2
    program.assert_equals_truth()


def test_a_body_that_does_not_fit_its_hash_is_stored_and_reported(killsync: Make) -> None:
    program, user_id = with_character(killsync, 2)
    text = json.dumps(program.simulator.truth()["bodies"].popitem()[1])
    killmail_id = program.simulator.listed(user_id)[0] + 5
    body = json.loads(text) | {"killmail_id": killmail_id}
    program.simulator.add_killmails(
        user_id, 1, killmail_id=killmail_id, killmail_hash="a" * 40, body_text=json.dumps(body)
    )
    done = program.run("scan")
    assert f"killmail {killmail_id} is stored, but its hash does not fit" in done.stderr
    assert program.rows("SELECT killmail_id FROM killmails WHERE hash_ok = 0") == [(killmail_id,)]
    assert len(program.rows("SELECT 1 FROM killmails WHERE hash_ok = 1")) == 2
    program.assert_equals_truth()


def valid_body(killmail_id: int) -> dict[str, Any]:
    return {
        "killmail_id": killmail_id,
        "killmail_time": "2026-05-04T12:00:00Z",
        "solar_system_id": 30000142,
        "victim": {"damage_taken": 1, "ship_type_id": 587},
        "attackers": [{"damage_done": 1, "final_blow": True, "security_status": 0.5}],
    }


HOSTILE = {
    "a field is missing": ('"ship_type_id": 587', '"another": 587', "ship_type_id"),
    "text for a number": ("30000142", '"Jita"', "solar_system_id"),
    "beyond 64 bits": ('"damage_taken": 1', f'"damage_taken": {2**63}', "damage_taken"),
    "infinite": ("0.5", "1e400", "security_status"),
    "a lone surrogate": ('"damage_done"', '"note": "\\ud800", "damage_done"', "byte"),
    "no time": ("2026-05-04T12:00:00Z", "yesterday", "killmail_time"),
    "null for a list": (
        '[{"damage_done": 1, "final_blow": true, "security_status": 0.5}]',
        "null",
        "attackers",
    ),
}


def test_a_body_that_cannot_be_kept_is_put_off_with_the_place_named(killsync: Make) -> None:
    program, user_id = with_character(killsync, 2)
    listed = program.simulator.listed(user_id)
    for killmail_id, (old, new, _) in enumerate(HOSTILE.values(), listed[0] + 5):
        text = json.dumps(valid_body(killmail_id))
        assert old in text
        program.simulator.add_killmails(
            user_id, 1, killmail_id=killmail_id, body_text=text.replace(old, new)
        )
    program.run("scan", exit_code=1)
    assert stored(program) == set(listed)
    for (killmail_id, (kind, (_, _, named))), row in zip(
        enumerate(HOSTILE.items(), listed[0] + 5), pending(program), strict=True
    ):
        assert (row[0], row[3]) == (killmail_id, 1), kind
        assert named in row[2], kind


@pytest.mark.sample
def test_after_a_kill_no_stored_body_is_fetched_again(killsync: Make) -> None:
    program, user_id = with_character(killsync, 60, latency_body=0.1)
    with program.start("scan", KILLSYNC_CONNECTIONS="2") as process:
        wait_until(lambda: program.rows("SELECT 1 FROM killmails"))
        process.send_signal(signal.SIGKILL)
    kept = stored(program)
    assert 0 < len(kept) < 60
    program.simulator.options(latency_body=0)
    program.simulator.clear_log()
    program.run("scan")
    again = fetched(program)
    assert sorted(again) == sorted(set(program.simulator.listed(user_id)) - kept)
    program.assert_equals_truth()
