"""Killmails and names that mean harm: kept faithfully or set aside, and shown harmlessly."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from hostile_bodies import DEEP, NUMBERS, TEXTS, generated, plain, spoilt, value_of
from terminal import at_terminal
from world import Killsync

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

FIRST_ID = 125_000_000
NAMES_A_PLACE = re.compile(r"(byte \d+|the body|[ -~]+): [ -~]+")
# what Rich sends to a terminal by itself: styles, moving the cursor, hiding it
RICHS_OWN = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*[mABDGHJK])")


def serve(program: Killsync, texts: dict[int, str]) -> None:
    """Put killmails with these bodies on the list of the first character."""
    user = program.simulator.logins[0]["character_id"]
    for killmail_id, text in texts.items():
        program.simulator.add_killmails(user, 1, killmail_id=killmail_id, body_text=text)


def storable(texts: dict[int, str]) -> dict[int, Any]:
    """Return the values of the bodies that hold nothing but JSON that can be kept."""
    values = {}
    for killmail_id, text in texts.items():
        try:
            values[killmail_id] = value_of(text)
        except ValueError:
            continue
    return values


def refused(program: Killsync) -> dict[int, str]:
    """Return the error of each killmail that was refused.

    Nothing else may be pending but what ESI has answered with no killmail at all.
    """
    rows = program.rows("SELECT killmail_id, error, refusals FROM pending_killmails")
    assert all(bool(refusals) != ("not a killmail" in error) for _, error, refusals in rows), rows
    return {killmail_id: error for killmail_id, error, _ in rows}


def assert_kept_or_refused(program: Killsync, texts: dict[int, str]) -> set[int]:
    """Check that each body is stored as it is or set aside with the place named; return those."""
    exported = {body["killmail_id"]: body for body in program.export()}
    aside = refused(program)
    assert exported.keys() & aside.keys() == set()
    assert texts.keys() <= exported.keys() | aside.keys()
    values = storable(texts)
    for killmail_id in texts.keys() & exported.keys():
        assert exported[killmail_id] == values[killmail_id], texts[killmail_id][:300]
    for error in aside.values():
        assert len(error) < 300
        assert NAMES_A_PLACE.fullmatch(error), error
    return set(aside)


def test_of_300_spoilt_bodies_each_is_kept_or_refused_and_none_harms_another(
    killsync: Make,
) -> None:
    program = killsync(characters=1, killmails=20, list_tokens=0, body_tokens=0)
    rng = random.Random(20261124)
    texts = {i: spoilt(rng, i) for i in range(FIRST_ID + 1, FIRST_ID + 301)}
    healthy = set(program.simulator.listed(program.simulator.logins[0]["character_id"]))
    assert not healthy & texts.keys()
    serve(program, texts)
    program.run("scan", exit_code=1)
    aside = assert_kept_or_refused(program, texts)
    assert 50 < len(aside) < 250, "both must occur"
    assert healthy <= {row[0] for row in program.rows("SELECT killmail_id FROM killmails")}
    assert program.rows("PRAGMA integrity_check") == [("ok",)]
    status = program.status()
    assert (status["users"][0]["failures"], status["users"][0]["pending"]) == (0, len(aside))
    program.simulator.clear_log()
    program.run("scan")
    assert program.simulator.log() == [], "what was refused is not asked for at once"


def test_whatever_lies_within_esis_shapes_or_beyond_them_is_kept(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0, list_tokens=0, body_tokens=0)
    texts = {
        killmail_id: json.dumps(body | {"killmail_id": killmail_id})
        for killmail_id, body in enumerate(generated(120), FIRST_ID)
    }
    serve(program, texts)
    program.run("scan")
    assert assert_kept_or_refused(program, texts) == set()


def test_a_number_that_no_64_bits_hold_is_kept_where_no_column_is_meant_for_it(
    killsync: Make,
) -> None:
    program = killsync(characters=1, killmails=0)
    texts = {}
    for killmail_id, number in enumerate(("1" + "0" * 400, str(2**63), str(-(2**64))), FIRST_ID):
        content = plain(killmail_id) | {"new": {"a": ["N"]}}
        content["victim"]["items"][1]["items"][0]["new"] = "N"
        texts[killmail_id] = json.dumps(content).replace('"N"', number)
    serve(program, texts)
    program.run("scan")
    assert assert_kept_or_refused(program, texts) == set()
    program.assert_equals_truth()
    assert "no problems found" in program.run("check").stdout


def test_an_integer_with_a_fraction_of_zero_is_kept_as_the_integer(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0)
    text = json.dumps(plain(FIRST_ID)).replace("587", "587.0").replace(str(FIRST_ID), "1.25e8")
    serve(program, {FIRST_ID: text})
    program.run("scan")
    kept = program.rows("SELECT killmail_id, victim_ship_type_id FROM killmails")
    assert kept == [(FIRST_ID, 587)]
    assert all(type(number) is int for number in kept[0])
    program.assert_equals_truth()
    assert "no problems found" in program.run("check").stdout


@pytest.mark.sample
def test_a_number_that_no_column_holds_is_refused_at_once(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    texts = {
        killmail_id: json.dumps(plain(killmail_id)).replace("30000142", number)
        for killmail_id, number in enumerate(NUMBERS, FIRST_ID)
    }
    serve(program, texts)
    program.run("scan", exit_code=1)
    errors = refused(program)
    assert errors.keys() == texts.keys()
    for number, (killmail_id, text) in zip(NUMBERS, texts.items(), strict=True):
        at = f"byte {text.index(number)}: "
        assert errors[killmail_id].startswith(("solar_system_id: ", at)), number[:9]
    assert len(program.simulator.log("body")) == len(NUMBERS) + 1


def test_an_answer_that_is_no_killmail_at_all_is_put_off_and_costs_the_killmail_nothing(
    killsync: Make,
) -> None:
    others = ("[]", "null", '"text"', "1", "true", "{}", DEEP[1], '{"error":"none"}', "[[]]")
    program = killsync(characters=1, killmails=len(others))
    listed = program.simulator.listed(program.simulator.logins[0]["character_id"])
    for killmail_id, text in zip(listed, others, strict=True):
        program.simulator.fault("body", killmail_id=killmail_id, wrong_json=text)
    program.run("scan", exit_code=1)
    rows = program.rows("SELECT error, set_aside_at, not_before IS NULL FROM pending_killmails")
    assert len(rows) == len(others)
    for error, aside, ready in rows:
        assert error.startswith("ESI's answer is not a killmail: ")
        assert (aside, ready) == (None, 0)
    program.simulator.clear_faults()
    program.execute("UPDATE pending_killmails SET not_before = '2026-01-01T00:00:00Z'")
    program.run("scan")
    program.assert_equals_truth()


def test_ids_that_disagree_with_what_was_asked_for_are_refused(killsync: Make) -> None:
    program = killsync(characters=1, killmails=0)
    claims = (FIRST_ID + 1, FIRST_ID, 0, -1, 2**63 - 1, FIRST_ID + 5.5, str(FIRST_ID + 6), 1.0)
    texts = {
        killmail_id: json.dumps(plain(killmail_id) | {"killmail_id": claimed})
        for killmail_id, claimed in enumerate(claims, FIRST_ID)
    }
    serve(program, texts)
    program.run("scan", exit_code=1)
    aside = refused(program)
    assert aside.keys() == texts.keys()
    assert all(error.startswith("killmail_id: ") for error in aside.values()), aside
    assert program.export() == []


def assert_nothing_is_obeyed(lines: list[str], *shown_words: str) -> None:
    """Check that a terminal got no control character but what Rich sends by itself."""
    shown = "\n".join(lines)
    left = RICHS_OWN.sub("", shown)
    assert not re.search(r"[\x00-\x09\x0b-\x0c\x0e-\x1f\x7f-\x9f\u2028\u202e]", left), left
    assert "5;41m" not in "".join(RICHS_OWN.findall(shown))
    for words in shown_words:
        assert words in left.replace("\n", ""), left


@pytest.mark.sample
def test_at_a_terminal_nothing_from_outside_is_obeyed(killsync: Make) -> None:
    program = killsync(users=False, page_size=3, list_tokens=0)
    for name in TEXTS:
        login = program.simulator.add_character(name=name, killmails=2)
    program.add_users()
    spoilt_field = json.dumps(plain(FIRST_ID))[:-1] + f", {json.dumps(TEXTS[2])}: {DEEP[0]}}}"
    serve(program, {FIRST_ID: spoilt_field})
    user = login["character_id"]
    notes = {f"note {text}": text for text in (*TEXTS, "\x7f \U000e0001 \u200b")}
    serve(program, {FIRST_ID + 1: json.dumps(plain(FIRST_ID + 1) | notes, ensure_ascii=False)})
    error = json.dumps({"error": TEXTS[2] + "[bold]no luck[/]"})
    program.simulator.fault("list", character_id=user, status=400, body=error)
    scan = at_terminal(program, "scan", exit_code=1, columns=200)
    assert_nothing_is_obeyed(scan, "PWNED", "[bold]no luck[/]", "DROP TABLE", str(FIRST_ID))
    for words in (("status",), ("users",), ("status", "--user", str(user))):
        assert_nothing_is_obeyed(at_terminal(program, *words, columns=200))
    exported = at_terminal(program, "export")
    assert_nothing_is_obeyed(exported)
    assert [json.loads(line) for line in exported] == program.export()
    gone = at_terminal(program, "sync", TEXTS[2], "x" + TEXTS[3], exit_code=None, columns=200)
    assert_nothing_is_obeyed(gone)


def test_sql_in_names_and_bodies_is_only_text(killsync: Make) -> None:
    program = killsync(users=False)
    name = "Robert'); DELETE FROM users; --"
    program.simulator.add_character(name=name, killmails=0)
    program.simulator.add_character(name="Decent", killmails=3)
    program.add_users()
    text = json.dumps(plain(FIRST_ID) | {"'; DROP TABLE users; --": TEXTS[0]})
    serve(program, {FIRST_ID: text})
    program.run("scan")
    program.run("sync", name)
    program.run("export", "--user", name)
    assert len(program.status()["users"]) == 2
    program.assert_equals_truth()
