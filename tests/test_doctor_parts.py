"""What doctor decides from text and numbers: crontabs, ticks, mounts, clocks."""

from pathlib import Path

import pytest

from killsync.doctor import mounts, network, scans, storage
from killsync.doctor.diagnosis import Level
from killsync.starting.crontab import Crontab
from killsync.times import DAY, HOUR, MINUTE

# the crontab


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("KILLSYNC_CLIENT_SECRET=x\n* * * * * KILLSYNC_TOKEN_KEY=y killsync scan", 2),
        ("'KILLSYNC_TOKEN_KEY' = y", 1),
        ("KILLSYNC_CLIENT_SECRET_FILE=/x", 0),
        ("MY_KILLSYNC_TOKEN_KEY=y", 0),
    ],
)
def test_secrets_in_a_crontab_are_named(text: str, names: int) -> None:
    assert Crontab(text).secrets == ["KILLSYNC_CLIENT_SECRET", "KILLSYNC_TOKEN_KEY"][2 - names :]


# how long no scan is no wonder


@pytest.mark.parametrize(
    ("starts", "seconds"),
    [
        ([], 30 * MINUTE),
        ([0], 30 * MINUTE),
        ([1800, 1200, 600, 0], 30 * MINUTE),
        ([240, 120, 0], 30 * MINUTE),
        ([3 * HOUR, 2 * HOUR, HOUR], 3 * HOUR),
        # one that was missed, while the computer slept
        ([DAY + 1200, DAY + 600, DAY, 600, 0], 30 * MINUTE),
        # a clock that was set back
        ([600, 0, 600], 30 * MINUTE),
    ],
)
def test_three_ticks_without_a_scan_are_too_long(starts: list[float], seconds: float) -> None:
    assert scans.longest_silence(starts) == seconds


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
        (1200, Level.PROBLEM, "1,200 s ahead of"),
        (-60, Level.PROBLEM, "60 s behind"),
        (-4000, Level.PROBLEM, "4,000 s behind"),
    ],
)
def test_a_wrong_clock(skew: float, level: Level, words: str) -> None:
    found = network.examine_clock(skew)
    assert found.level is level
    assert words in found.text
    assert level is Level.OK or "timedatectl" in found.cure
