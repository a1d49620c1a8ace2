"""What the log says of a sync: as much as the reference shows, and nothing that can do harm."""

import re
from collections.abc import Callable

from world import Killsync

Make = Callable[..., Killsync]


def log(program: Killsync, *arguments: str) -> list[str]:
    """Return the log lines of a command, without their times."""
    lines = program.run(*arguments).stderr.splitlines()
    return [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in lines]


def only(lines: list[str], *parts: str) -> str:
    """Return the one line that holds all parts."""
    found = [line for line in lines if all(part in line for part in parts)]
    assert len(found) == 1, lines
    return found[0]


def one_user(killsync: Make, killmails: int, page_size: int) -> tuple[Killsync, int, str]:
    program = killsync(characters=1, killmails=killmails, page_size=page_size)
    login = program.simulator.logins[0]
    return program, login["character_id"], login["name"]


def later(program: Killsync, user_id: int, new: int) -> None:
    """Let new killmails happen, and time pass."""
    if new:
        program.simulator.add_killmails(user_id, new)
    program.simulator.thaw()
    program.make_due()


def test_a_first_sync_shows_user_each_page_and_the_total(killsync: Make) -> None:
    program, _, name = one_user(killsync, killmails=12, page_size=5)
    lines = log(program, "scan")
    only(lines, name, "full sync")
    pages = [line for line in lines if ": page " in line]
    assert [re.findall(r"page (\d) of 3, (\d) killmails, (\d) new", line) for line in pages] == [
        [("1", "5", "5")],
        [("2", "5", "5")],
        [("3", "2", "2")],
    ]
    assert all(name in line for line in pages)
    only(lines, name, "12 new killmails on 3 pages")
    assert any("12 killmails" in line and "stored" in line for line in lines)


def test_a_second_sync_shows_the_stored_id_where_it_was_met_and_what_is_new(
    killsync: Make,
) -> None:
    program, user_id, name = one_user(killsync, killmails=12, page_size=5)
    program.run("scan")
    stored = str(program.simulator.listed(user_id)[0])
    later(program, user_id, new=7)
    lines = log(program, "sync", name)
    only(lines, name, f"incremental sync, down to killmail {stored}")
    pages = [line for line in lines if ": page " in line]
    assert len(pages) == 2
    assert "page 1 of 4, 5 killmails, 5 new" in pages[0]
    assert stored not in pages[0]
    assert f"page 2 of 4, 5 killmails, 2 new; met killmail {stored}" in pages[1]
    only(lines, name, "7 new killmails on 2 pages")


def test_a_sync_with_nothing_new_says_so(killsync: Make) -> None:
    program, user_id, name = one_user(killsync, killmails=3, page_size=5)
    program.run("scan")
    later(program, user_id, new=0)
    lines = log(program, "scan")
    only(lines, name, "incremental sync")
    only(lines, name, "nothing new")


def test_full_says_that_it_reads_the_whole_list(killsync: Make) -> None:
    program, user_id, name = one_user(killsync, killmails=7, page_size=5)
    program.run("scan")
    later(program, user_id, new=1)
    lines = log(program, "sync", "--full", name)
    only(lines, name, "full sync")
    only(lines, name, "page 2 of 2, 3 killmails, 0 new")


def test_an_open_gap_says_where_later_runs_go_on(killsync: Make) -> None:
    program, _, name = one_user(killsync, killmails=6, page_size=2)
    program.environment["KILLSYNC_MAX_PAGES"] = "2"
    only(log(program, "scan"), name, "4 new killmails on 2 pages", "page 3")


def test_due_users_are_shown_with_their_last_sync(killsync: Make) -> None:
    program = killsync(characters=3, killmails=1, shared=0)
    never, minutes, hours = (login["character_id"] for login in program.simulator.logins)
    for user_id, ago in ((minutes, "-1230 seconds"), (hours, "-185 minutes")):
        program.execute(
            """UPDATE users SET last_killmail_sync_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?)
            WHERE user_id = ?""",
            ago,
            user_id,
        )
    lines = log(program, "scan")
    assert only(lines, str(never), "due").endswith("last: never")
    assert only(lines, str(minutes), "due").endswith("last: 20m ago")
    assert only(lines, str(hours), "due").endswith("last: 3h ago")
    for login in program.simulator.logins:
        only(lines, login["name"], str(login["character_id"]), "due")


HOSTILE = {
    "escape": "Red\x1b[31mBaron\x1b]0;title\x07",
    "newline": "First\nkillsync: all is well\r\nSecond",
    "right-to-left": "abc\u202edcba\u2066",
    "separators": "one\u2028two\u2029three\x85four",
    "c1": "csi\x9b31m",
    "zero-width": "in\u200bvisible\ufeff",
    "nul": "zero\x00byte",
}
ALLOWED = re.compile(r"[\x20-\x7e]*")


def test_a_hostile_name_is_escaped_wherever_it_is_written(killsync: Make) -> None:
    program = killsync(users=False, page_size=2)
    logins = [program.simulator.add_character(name=name, killmails=3) for name in HOSTILE.values()]
    added = program.run(
        "users", "add", given="".join(f"{token['refresh_token']}\n" for token in logins)
    )
    scanned = program.run("scan")
    synced = program.run("sync", *(str(login["character_id"]) for login in logins))
    listed = program.run("users")
    for login in logins:
        user = str(login["character_id"])
        assert user in added.stdout
        assert user in scanned.stderr
        assert user in listed.stdout
    assert len(synced.stdout.splitlines()) == len(logins)
    written = [added.stdout, added.stderr, scanned.stdout, scanned.stderr]
    written += [synced.stdout, synced.stderr, listed.stderr]
    for line in "".join(written).split("\n"):
        assert ALLOWED.fullmatch(line), line
    for line in scanned.stderr.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line)
    hostile = set("".join(HOSTILE.values()))
    assert hostile & set(listed.stdout) <= {*map(chr, range(0x20, 0x7F)), "\n"}
    names = program.rows("SELECT name FROM users ORDER BY user_id")
    assert [name for (name,) in names] == list(HOSTILE.values())


def test_markup_in_a_name_is_shown_as_it_is(killsync: Make) -> None:
    program = killsync(users=False)
    names = ("[bold]Bob[/bold]", "[/]", "[link=http://x]y", ":skull: %s {0}")
    tokens = [
        program.simulator.add_character(name=name, killmails=1)["refresh_token"] for name in names
    ]
    added = program.run("users", "add", given="".join(f"{token}\n" for token in tokens)).stdout
    lines = log(program, "scan")
    synced = program.run("sync", *names).stdout
    users = program.run("users").stdout
    status = program.run("status", COLUMNS="120").stdout
    for name in names:
        only(lines, f"{name} (", "due")
        only(lines, f"{name}: full sync")
        for shown in (added, synced, users, status):
            assert name in shown


def test_a_failure_names_user_reason_and_next_try_with_what_esi_says_escaped(
    killsync: Make,
) -> None:
    program, _, name = one_user(killsync, killmails=1, page_size=5)
    said = r'{"error":"bad\u001b[31m [bold]luck[/]\nkillsync: all is well"}'
    program.simulator.fault("list", status=400, body=said)
    errors = program.run("scan", exit_code=1).stderr
    assert "\x1b" not in errors
    line = only(errors.splitlines(), name, "failed")
    assert "[bold]luck[/]" in line
    assert re.search(r"next try after \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", line)


def test_no_secret_is_logged(killsync: Make) -> None:
    program = killsync(characters=1, killmails=2, rotate=True)
    done = program.run("-v", "scan")
    token = program.simulator.truth()["characters"]["90000001"]["refresh_token"]
    for secret in (token, program.simulator.logins[0]["refresh_token"], "Bearer", "eyJ"):
        assert secret not in done.stdout + done.stderr
