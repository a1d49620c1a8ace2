"""Settings: where each comes from, what is refused, and what an error says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from killsync.errors import UsageError
from killsync.settings import application, config
from killsync.settings.config import Settings, load
from killsync.settings.program import without_secrets
from killsync.settings.values import Url

SETTINGS = Path(__file__).parent.parent / "docs" / "settings.md"
DAY, HOUR, MINUTE = 86400, 3600, 60

# key, variable, default
TABLE = [
    ("db", "KILLSYNC_DB", ""),
    ("client_id", "KILLSYNC_CLIENT_ID", ""),
    ("client_secret", "KILLSYNC_CLIENT_SECRET", ""),
    ("client_secret_file", "KILLSYNC_CLIENT_SECRET_FILE", ""),
    ("callback_url", "KILLSYNC_CALLBACK_URL", "http://localhost:8635/callback"),
    ("contact", "KILLSYNC_CONTACT", ""),
    ("esi_url", "KILLSYNC_ESI_URL", "https://esi.evetech.net"),
    ("sso_url", "KILLSYNC_SSO_URL", "https://login.eveonline.com"),
    ("everef_url", "KILLSYNC_EVEREF_URL", "https://data.everef.net/killmails"),
    ("zkb_url", "KILLSYNC_ZKB_URL", "https://zkillboard.com/api"),
    ("min_age", "KILLSYNC_MIN_AGE", 15 * MINUTE),
    ("max_pages", "KILLSYNC_MAX_PAGES", 50),
    ("page_delay", "KILLSYNC_PAGE_DELAY", 0.1),
    ("full_every", "KILLSYNC_FULL_EVERY", 7 * DAY),
    ("alert_after", "KILLSYNC_ALERT_AFTER", 3 * HOUR),
    ("workers", "KILLSYNC_WORKERS", 1),
    ("connections", "KILLSYNC_CONNECTIONS", 8),
    ("max_runtime", "KILLSYNC_MAX_RUNTIME", 9 * MINUTE),
    ("reserve", "KILLSYNC_RESERVE", 0.2),
    ("names", "KILLSYNC_NAMES", True),
    ("prices", "KILLSYNC_PRICES", True),
    ("time_zone", "KILLSYNC_TIME_ZONE", "eve"),
    ("images", "KILLSYNC_IMAGES", False),
    ("ping_url", "KILLSYNC_PING_URL", ""),
    ("prometheus_file", "KILLSYNC_PROMETHEUS_FILE", ""),
    ("token_key", "KILLSYNC_TOKEN_KEY", ""),
    ("token_key_file", "KILLSYNC_TOKEN_KEY_FILE", ""),
]
# key, as TOML, as text, as read
OTHERS = [
    ("db", '"/srv/k.db"', "/srv/k.db", "/srv/k.db"),
    ("client_id", '"abc"', "abc", "abc"),
    ("client_secret", '"xyz"', "xyz", "xyz"),
    ("client_secret_file", '"/run/secret"', "/run/secret", "/run/secret"),
    ("callback_url", '"http://localhost:1/"', "http://localhost:1/", "http://localhost:1/"),
    ("contact", '"ops@example.com"', "ops@example.com", "ops@example.com"),
    ("esi_url", '"http://127.0.0.1:8080/"', "http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ("sso_url", '"https://sso.example.com"', "https://sso.example.com", "https://sso.example.com"),
    (
        "everef_url",
        '"https://a.example.com/k/"',
        "https://a.example.com/k",
        "https://a.example.com/k",
    ),
    (
        "zkb_url",
        '"https://z.example.com/api"',
        "https://z.example.com/api",
        "https://z.example.com/api",
    ),
    ("min_age", '"9m"', "9m", 540),
    ("max_pages", "7", "7", 7),
    ("page_delay", '"250ms"', "250ms", 0.25),
    ("full_every", '"1d"', "1d", DAY),
    ("alert_after", '"90s"', "90s", 90),
    ("workers", "3", "3", 3),
    ("connections", "16", "16", 16),
    ("max_runtime", '"2h"', "2h", 2 * HOUR),
    ("reserve", "0.5", "0.5", 0.5),
    ("names", "false", "off", False),
    ("prices", "false", "No", False),
    ("time_zone", '"local"', "local", "local"),
    ("images", "true", "1", True),
    (
        "ping_url",
        '"https://hc.example.com/a-b/"',
        "https://hc.example.com/a-b",
        "https://hc.example.com/a-b",
    ),
    ("prometheus_file", '"~/k.prom"', "~/k.prom", "~/k.prom"),
    ("token_key", '"abc="', "abc=", "abc="),
    ("token_key_file", '"/run/key"', "/run/key", "/run/key"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "killsync.toml"


def written(file: Path, text: str) -> Settings:
    file.write_text(text)
    return load(file, {}, {})


def refusal(file: Path, text: str) -> str:
    with pytest.raises(UsageError) as error:
        written(file, text)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)
    return str(error.value)


def refusal_of_environment(name: str, value: str) -> str:
    with pytest.raises(UsageError) as error:
        load(None, {}, {name: value})
    return str(error.value)


# every key, from everywhere


def test_the_keys_are_those_of_the_interface() -> None:
    # tell has no variable: it is a list of tables
    assert Settings.__struct_fields__ == (*(key for key, _, _ in TABLE), "tell")


@pytest.mark.parametrize(("key", "variable", "default"), TABLE)
def test_a_key_that_is_set_nowhere_has_its_default(key: str, variable: str, default: Any) -> None:
    assert getattr(load(None, {}, {}), key) == default


@pytest.mark.parametrize(("key", "toml", "text", "value"), OTHERS)
def test_a_key_is_read_from_the_file(
    file: Path, key: str, toml: str, text: str, value: Any
) -> None:
    assert getattr(written(file, f"{key} = {toml}"), key) == value


@pytest.mark.parametrize(("key", "toml", "text", "value"), OTHERS)
def test_a_key_is_read_from_its_variable(key: str, toml: str, text: str, value: Any) -> None:
    assert getattr(load(None, {}, {f"KILLSYNC_{key.upper()}": text}), key) == value


def test_the_manual_names_every_key_with_its_variable() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(KILLSYNC_\w+)` \| (.*) \|$", SETTINGS.read_text(), re.M)
    assert {(key, variable) for key, variable, _ in rows} == {
        (key, variable) for key, variable, _ in TABLE
    }


def test_the_database_is_in_the_users_data_directory_unless_named(tmp_path: Path) -> None:
    assert load(None, {}, {}).database == tmp_path / ".local/share/killsync/killsync.db"


def test_a_home_directory_may_be_written_as_a_tilde(tmp_path: Path) -> None:
    assert load(None, {"db": "~/k.db"}, {}).database == tmp_path / "k.db"


def test_a_password_in_a_url_is_not_shown(file: Path) -> None:
    assert "hunter2" not in refusal(file, 'esi_url = "https://me:hunter2@esi.example"')
    assert "hunter2" not in refusal(file, 'sso_url = "http://:hunter2@127.0.0.1"')
    assert "hunter2" not in refusal(file, 'pwd = "hunter2"')


@pytest.mark.parametrize(
    "url", ["https://x:99999", "https://x:0", "https://x:y", "https://x/\u202e"]
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    assert "callback_url is" in refusal_of_environment("KILLSYNC_CALLBACK_URL", url)


def test_a_key_that_is_misspelt_is_told_with_the_one_that_may_be_meant(file: Path) -> None:
    assert "contact may be meant" in refusal(file, 'contct = "me@example.com"')


# secrets in files


@pytest.mark.parametrize(
    ("key", "read"), [("client_secret", config.client_secret), ("token_key", config.token_keys)]
)
def test_a_secret_may_stand_in_a_file_of_its_own(
    file: Path, tmp_path: Path, key: str, read: Callable[[Settings], str | list[str]]
) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    assert read(written(file, f'{key}_file = "{tmp_path}/secret"')) in ("hunter2", ["hunter2"])
    assert read(written(file, f'{key} = "hunter2"')) in ("hunter2", ["hunter2"])
    assert not read(written(file, ""))


def test_several_token_keys_stand_on_lines_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("new\nold\n")
    settings = load(None, {}, {"KILLSYNC_TOKEN_KEY_FILE": str(tmp_path / "keys")})
    assert config.token_keys(settings) == ["new", "old"]


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"\n", "is empty"), (b"\xff", "is not plain text")],
)
def test_a_secret_that_cannot_be_read_is_an_error_that_names_key_and_file(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    settings = load(None, {}, {"KILLSYNC_CLIENT_SECRET_FILE": str(secret)})
    with pytest.raises(UsageError, match=f"client_secret_file: .*{why}") as error:
        config.client_secret(settings)
    assert str(secret) in str(error.value)


def test_a_secret_and_its_file_in_one_place_are_too_many(file: Path) -> None:
    message = refusal(file, 'client_secret = "hunter2"\nclient_secret_file = "/run/secret"')
    assert "client_secret and client_secret_file are both set" in message
    assert "hunter2" not in message


def test_a_secret_of_the_environment_goes_before_a_file_that_the_configuration_names(
    file: Path,
) -> None:
    file.write_text('client_secret_file = "/nowhere"')
    assert config.client_secret(load(file, {}, {"KILLSYNC_CLIENT_SECRET": "s"})) == "s"


# precedence


def test_a_flag_goes_before_the_environment_that_before_the_file(file: Path) -> None:
    file.write_text("workers = 2\nconnections = 2\nmax_pages = 2")
    environment = {"KILLSYNC_WORKERS": "3", "KILLSYNC_CONNECTIONS": "3"}
    settings = load(file, {"workers": 4, "connections": None, "max_pages": None}, environment)
    assert (settings.workers, settings.connections, settings.max_pages) == (4, 3, 2)


def test_a_flag_that_says_the_default_still_goes_before_the_rest(file: Path) -> None:
    file.write_text("workers = 2")
    assert load(file, {"workers": 1}, {"KILLSYNC_WORKERS": "3"}).workers == 1


def test_an_empty_variable_is_not_set() -> None:
    assert load(None, {}, {"KILLSYNC_WORKERS": ""}).workers == 1


def test_other_variables_are_none_of_its_business() -> None:
    assert load(None, {}, {"WORKERS": "9", "PATH": "/bin"}) == Settings()


# which file


def test_the_file_is_in_the_users_configuration_directory(tmp_path: Path) -> None:
    directory = tmp_path / ".config/killsync"
    directory.mkdir(parents=True)
    (directory / "config.toml").write_text("workers = 5")
    assert load(None, {}, {}).workers == 5


def test_a_variable_names_another_file(file: Path) -> None:
    file.write_text("workers = 6")
    assert load(None, {}, {"KILLSYNC_CONFIG": str(file)}).workers == 6


def test_the_flag_for_the_file_goes_before_the_variable(file: Path, tmp_path: Path) -> None:
    file.write_text("workers = 6")
    assert load(file, {}, {"KILLSYNC_CONFIG": str(tmp_path / "none.toml")}).workers == 6


@pytest.mark.parametrize("by_flag", [True, False])
def test_a_file_that_is_named_must_exist(file: Path, by_flag: bool) -> None:
    with pytest.raises(UsageError, match=re.escape(str(file))):
        load(file if by_flag else None, {}, {} if by_flag else {"KILLSYNC_CONFIG": str(file)})


def test_a_file_that_is_no_toml_is_named(file: Path) -> None:
    assert str(file) in refusal(file, "workers 2")


def test_a_file_that_is_no_text_is_named(file: Path) -> None:
    file.write_bytes(b"contact = '\xff'")
    with pytest.raises(UsageError, match=re.escape(str(file))):
        load(file, {}, {})


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(str(tmp_path))):
        load(tmp_path, {}, {})


# what is refused


def test_an_unknown_key_is_named_with_its_value_and_the_file(file: Path) -> None:
    message = refusal(file, 'worker = "four"')
    assert "worker" in message
    assert "four" in message
    assert str(file) in message


WRONG = [
    ("workers", "0"),
    ("workers", "65"),
    ("workers", "true"),
    ("workers", "1.5"),
    ("workers", '"2"'),
    ("workers", "[2]"),
    ("connections", "0"),
    ("connections", "-3"),
    ("max_pages", "0"),
    ("max_pages", "99999"),
    ("reserve", "-0.1"),
    ("reserve", "1.0"),
    ("reserve", "nan"),
    ("reserve", "inf"),
    ("reserve", '"0.2"'),
    ("min_age", "900"),
    ("min_age", '"15"'),
    ("min_age", '"-15m"'),
    ("min_age", '"15 parsecs"'),
    ("min_age", '""'),
    ("page_delay", "0.1"),
    ("db", "7"),
    ("prometheus_file", "7"),
    ("contact", "false"),
    ("esi_url", '"esi.evetech.net"'),
    ("esi_url", '"ftp://esi.evetech.net"'),
    ("esi_url", '"https://"'),
    ("esi_url", '"https://[::1"'),
    ("esi_url", '"https://esi.evetech.net/?datasource=x"'),
    ("sso_url", "5"),
]


@pytest.mark.parametrize("key", ["db", "client_secret_file", "token_key_file", "prometheus_file"])
def test_no_path_has_a_nul_in_it(file: Path, key: str) -> None:
    assert f"{key} is " in refusal(file, f'{key} = "/srv/a\\u0000b"')


@pytest.mark.parametrize(("key", "toml"), WRONG)
def test_a_wrong_value_is_named_with_its_key_and_the_file(file: Path, key: str, toml: str) -> None:
    message = refusal(file, f"{key} = {toml}")
    assert key in message
    assert toml.strip('"').lower() in message.lower()
    assert str(file) in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("workers", "many"),
        ("workers", "0"),
        ("reserve", "2"),
        ("min_age", "soon"),
        ("esi_url", "x"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(key: str, value: str) -> None:
    message = refusal_of_environment(f"KILLSYNC_{key.upper()}", value)
    assert key in message.lower()
    assert repr(value) in message
    assert "environment" in message


def test_a_wrong_flag_is_named_with_its_value() -> None:
    with pytest.raises(UsageError, match=r"command line.*workers.*99"):
        load(None, {"workers": 99}, {})


@pytest.mark.parametrize(
    "text",
    [
        "client_secret = 4242",
        "client_secret = [4242]",
        "client_secrte = 4242",
        'ping_url = "http://hc.example.com/4242"',
        'ping_url = "https://hc.example.com:p4242"',
        'ping_ulr = "https://hc.example.com/4242"',
    ],
)
def test_a_secret_is_never_shown(file: Path, text: str) -> None:
    assert "4242" not in refusal(file, text)


def test_a_secret_in_a_file_that_is_no_toml_is_not_shown(file: Path) -> None:
    assert "4242" not in refusal(file, 'client_secret = "4242\nworkers = 1')


def test_a_program_that_is_started_gets_no_secret_of_the_environment() -> None:
    secrets = {f"KILLSYNC_{key}": "x" for key in ("CLIENT_SECRET", "TOKEN_KEY", "PING_URL")}
    assert without_secrets({"PATH": "/bin", **secrets}) == {"PATH": "/bin"}


def test_a_file_with_the_address_of_pings_holds_a_secret(file: Path) -> None:
    file.write_text('ping_url = "https://hc.example.com/a"')
    assert config.secrets_in(file) == ["ping_url"]


# URLs


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:80", "http://127.9.9.9"],
)
def test_http_is_accepted_for_loopback_addresses(url: str) -> None:
    assert load(None, {"esi_url": url}, {}).esi_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://esi.evetech.net",
        "http://192.168.1.2",
        "http://0.0.0.0",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "http://[fe80::1]",
    ],
)
@pytest.mark.parametrize("key", ["esi_url", "sso_url", "everef_url", "zkb_url", "ping_url"])
def test_http_is_refused_for_every_other_address(key: str, url: str) -> None:
    with pytest.raises(UsageError, match=key):
        load(None, {key: url}, {})


# what a sync needs


def test_the_real_esi_is_not_called_without_a_contact() -> None:
    with pytest.raises(UsageError, match="KILLSYNC_CONTACT"):
        application.require(Settings(client_id="abc"))


@pytest.mark.parametrize(
    "settings",
    [Settings(contact="ops@example.com"), Settings(esi_url=Url("http://127.0.0.1:8080"))],
    ids=["contact", "simulator"],
)
def test_a_contact_or_a_simulator_is_enough(settings: Settings) -> None:
    application.require_contact(settings)


def test_nothing_is_asked_of_sso_without_a_client_id() -> None:
    with pytest.raises(UsageError, match="KILLSYNC_CLIENT_ID"):
        application.require(Settings(contact="ops@example.com"))
    application.require(Settings(client_id="abc", contact="ops@example.com"))
