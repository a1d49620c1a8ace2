"""`[[tell]]` tables: what each key may be, and what a mistake is told, without its secrets."""

import tomllib
from pathlib import Path

import pytest
from here import run_here

from killsync.errors import UsageError
from killsync.settings.channels import Channel, Subject, channels, holds_url
from killsync.settings.values import Duration

SECRET = "discord://1/S3cret"
ONE = f'[[tell]]\nname = "corp"\nurl = "{SECRET}"\n'


def read(text: str) -> tuple[Channel, ...]:
    return channels(tomllib.loads(text)["tell"], "config.toml")


def test_a_channel_has_defaults() -> None:
    (channel,) = read(ONE)
    assert channel == Channel("corp", url=SECRET)
    assert channel.what == tuple(Subject)
    assert (float(channel.max_age), float(channel.delay), channel.min_value) == (3600, 0, 0)


def test_every_key_is_read() -> None:
    (channel,) = read(
        """[[tell]]
        name = "mine"
        command = "notify --to 'a b'"
        what = ["trouble", "kills"]
        users = ["Zo", 90000001]
        min_value = "1.2b"
        max_age = "2h"
        delay = "72h"
        """
    )
    assert channel == Channel(
        "mine",
        command=("notify", "--to", "a b"),
        what=(Subject.KILLS, Subject.TROUBLE),
        users=("Zo", 90_000_001),
        min_value=1.2e9,
        max_age=Duration(7200),
        delay=Duration(72 * 3600),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('tell = "x"', "config.toml: tell takes tables"),
        ('[tell]\nname = "x"', "config.toml: tell takes tables"),
        ("[[tell]]", "config.toml: tell no. 1: name is missing"),
        (ONE + ONE, "config.toml: tell 'corp': another channel has the same name"),
        ('[[tell]]\nname = "x"', "tell 'x': needs a url or a command"),
        (ONE.replace('"corp"', f'"{SECRET}"'), "tell no. 1: name is (hidden): expected a word"),
        (ONE.replace('"corp"', f'["{SECRET}"]'), "tell no. 1: name is (hidden): expected text"),
        (f"{ONE}min_value = {'9' * 400}", "expected ISK of 0 or more, and less than 1e308"),
        (f"{ONE}min_value = '{'9' * 400}'", "nothing is worth as much"),
        (ONE + 'command = "a"', "tell 'corp': url and command are both set"),
        (ONE.replace("url", "ulr"), "tell 'corp': unknown key 'ulr'; url may be meant"),
        (ONE.replace("discord://", ""), "tell 'corp': url is (hidden): expected"),
        (ONE + 'delay = "100h"', "tell 'corp': delay is '100h': expected 72h at most"),
        (ONE + "delay = 5", "tell 'corp': delay is 5: expected text"),
        (ONE + 'max_age = "0s"', "max_age is '0s'"),
        (ONE + 'what = ["kill"]', "what is ['kill']: expected a list of kills, losses, trouble"),
        (ONE + "what = []", "what is []"),
        (ONE + "users = [1.5]", "users is [1.5]"),
        (ONE + 'users = "Zo"', "users is 'Zo': expected a list"),
        (ONE + 'min_value = "lots"', "min_value is 'lots': give ISK such as 100m"),
        (ONE + "min_value = -1", "min_value is -1"),
        (ONE + "min_value = nan", "min_value is nan"),
        (ONE + "min_value = true", "min_value is True"),
        ("[[tell]]\nname = 'x'\ncommand = 'S3cret \"'", "command is (hidden): No closing"),
        ("[[tell]]\nname = 'x'\ncommand = [1]", "command is (hidden): expected text"),
        ('[[tell]]\nname = "a\\u001b"\ncommand = "b"', "can be printed"),
    ],
)
def test_a_mistake_names_channel_key_and_value_but_no_secret(text: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        read(text)
    assert says in str(error.value)
    assert "S3cret" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        ONE + 'delay = "100h"',
        ONE.replace("[[tell]]", "[[tel]]"),
        ONE.replace("[[tell]]", ""),
        ONE.replace("[[tell]]", "[tell]"),
        ONE.replace("url =", "ulr ="),
        ONE.replace("discord", "not an address discord"),
        ONE + "= ",
    ],
)
@pytest.mark.parametrize("command", [["status"], ["doctor"], ["init", "--force", "--no-input"]])
def test_no_command_shows_a_url_of_a_file_with_a_mistake(
    tmp_path: Path, text: str, command: list[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    done = run_here("--config", str(file), *command, environment={"HOME": str(tmp_path)})
    assert done.returncode
    assert done.stderr + done.stdout
    assert "S3cret" not in done.stderr + done.stdout


def test_a_url_counts_as_a_secret_of_the_file() -> None:
    assert holds_url(tomllib.loads(ONE)["tell"])
    assert not holds_url([{"name": "x", "command": "y"}])
    assert not holds_url("x")


def test_a_channel_is_never_printed_with_its_url() -> None:
    assert "S3cret" not in repr(read(ONE))


def test_a_number_of_thousands_of_digits_is_a_mistake_like_another(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"{ONE}min_value = {'9' * 5000}")
    done = run_here("--config", str(file), "status", environment={"HOME": str(tmp_path)})
    assert done.returncode == 2
    assert done.stderr == f"killsync: {file}: holds a number with too many digits\n"
