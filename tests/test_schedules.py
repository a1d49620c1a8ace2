"""Reading crontabs, systemd's services and the table of mounts: text in, values out."""

from pathlib import Path

import pytest

from killsync.doctor import crontab, mounts, network, storage
from killsync.doctor.diagnosis import Level
from killsync.times import DAY, HOUR

HOME = "/home/me"


def only(text: str) -> crontab.Entry:
    (entry,) = crontab.entries(text, HOME)
    return entry


# crontabs


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("*/10 * * * * /k/bin/killsync scan --splay 45s >> /l 2>&1", ("/k/bin/killsync",)),
        ("*/10 * * * * '/k k/killsync' -q scan", ("/k k/killsync",)),
        ("@hourly /100\\%/killsync scan", ("/100%/killsync",)),
        ("0 * * * * ~/killsync/bin/killsync scan", ("/home/me/killsync/bin/killsync",)),
        ("0 * * * * $HOME/bin/killsync scan", ("/home/me/bin/killsync",)),
        ("* * * * * killsync scan|logger", ("killsync",)),
        ("* * * * * cd /k && nice -n 10 ./killsync scan", ("./killsync",)),
        ("* * * * * /v/bin/python -m killsync --db /x scan", ("/v/bin/python", "-m", "killsync")),
        ("* * * * * flock -n /l sh -c 'exec /k/killsync scan'", ("/k/killsync",)),
        ("  *  *  *  *  *   killsync   scan", ("killsync",)),
    ],
)
def test_an_entry_that_scans_is_found(line: str, program: tuple[str, ...]) -> None:
    assert only(line).program == program


@pytest.mark.parametrize(
    "line",
    [
        "#*/10 * * * * killsync scan",
        "*/10 * * * * killsync check",
        "*/10 * * * * echo killsync",
        "*/10 * * * * mykillsync scan",
        "*/10 * * * * echo killsync; echo scan",
        "*/10 * * * * true % killsync scan",
        "*/10 * * * * echo 'killsync scan",
        "* * * * *",
        "NAME=killsync scan",
        "",
    ],
)
def test_what_does_not_scan_is_no_entry(line: str) -> None:
    assert crontab.entries(line, HOME) == []


def test_an_entry_sees_the_variables_above_it_and_its_own() -> None:
    entry = only("A = 1\nB='x y'\n* * * * * C=3 killsync scan\nD=4")
    assert entry.variables == {"HOME": HOME, "A": "1", "B": "x y", "C": "3"}


@pytest.mark.parametrize("equals", [" ", "="])
def test_an_entry_names_its_database_and_its_configuration(equals: str) -> None:
    entry = only(f"* * * * * killsync --db{equals}~/k.db scan --config{equals}/c.toml")
    assert (entry.db, entry.config) == ("/home/me/k.db", "/c.toml")


def test_in_the_systems_crontabs_a_user_stands_before_the_command() -> None:
    (entry,) = crontab.entries("* * * * * bob killsync scan", HOME, with_user=True)
    assert (entry.user, entry.program) == ("bob", ("killsync",))


def test_a_systemd_service_that_scans_is_found() -> None:
    unit = "[Service]\nEnvironment=A=1 'B=x y'\nExecStart=-%h/bin/killsync scan --quiet\n"
    (entry,) = crontab.unit_entries(unit, HOME)
    assert entry.program == ("/home/me/bin/killsync",)
    assert entry.variables == {"HOME": HOME, "A": "1", "B": "x y"}


def test_secrets_in_a_crontab_are_named() -> None:
    text = "KILLSYNC_CLIENT_SECRET=x\n* * * * * KILLSYNC_TOKEN_KEY=y killsync scan\n"
    assert crontab.secrets_in(text) == ["KILLSYNC_CLIENT_SECRET", "KILLSYNC_TOKEN_KEY"]
    assert crontab.secrets_in("KILLSYNC_CLIENT_SECRET_FILE=/x\n#KILLSYNC_TOKEN_KEY=y\n") == []


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("*/10 * * * *", HOUR),
        ("0,30 * * * *", HOUR),
        ("5 * * * *", 3 * HOUR),
        ("@hourly", 3 * HOUR),
        ("0 5 * * *", 2 * DAY),
        ("0 5 * * 1", None),
        ("@reboot", None),
        ("systemd", None),
    ],
)
def test_how_long_no_scan_is_no_wonder(schedule: str, seconds: float | None) -> None:
    assert crontab.longest_pause(schedule) == seconds


# mounts

TABLE = mounts.parse(
    "/dev/sda1 / ext4 rw 0 0\n"
    "server:/x /srv/data nfs4 rw 0 0\n"
    "/dev/sdb1 /srv/data/local xfs rw 0 0\n"
    "systemd-1 /mnt/share autofs rw 0 0\n"
    "//nas/share /mnt/share cifs rw 0 0\n"
    "me@host: /mnt/my\\040disk fuse.sshfs rw 0 0\n"
    "not a\n"
)


@pytest.mark.parametrize(
    ("path", "kind", "level"),
    [
        ("/home/me/k.db", "ext4", Level.OK),
        ("/srv/data/k.db", "nfs4", Level.WARNING),
        ("/srv/database/k.db", "ext4", Level.OK),
        ("/srv/data/local/k.db", "xfs", Level.OK),
        ("/mnt/share/k.db", "cifs", Level.WARNING),
        ("/mnt/my disk/k.db", "fuse.sshfs", Level.WARNING),
    ],
)
def test_a_database_on_another_computer_is_warned_of(path: str, kind: str, level: Level) -> None:
    found = storage.on_file_system(Path(path), TABLE)
    assert found.level is level
    assert kind in found.text
    assert level is Level.OK or "locks are not safe" in found.text


@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "overlay", "zfs", "fuseblk", "fuse.mergerfs"])
def test_file_systems_of_this_computer_are_well(kind: str) -> None:
    assert not mounts.is_remote(kind)


# the clock


@pytest.mark.parametrize(
    ("skew", "level", "words"),
    [
        (0, Level.OK, "agrees"),
        (-29, Level.OK, "agrees"),
        (30, Level.WARNING, "30 s ahead of"),
        (-59, Level.WARNING, "59 s behind"),
        (1199, Level.WARNING, "1,199 s ahead of"),
        (1200, Level.MEND, "1,200 s ahead of"),
        (-60, Level.MEND, "60 s behind"),
        (-4000, Level.MEND, "4,000 s behind"),
    ],
)
def test_a_wrong_clock(skew: float, level: Level, words: str) -> None:
    found = network.of_clock(skew)
    assert found.level is level
    assert words in found.text
    assert level is Level.OK or "timedatectl" in found.cure
