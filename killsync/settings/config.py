"""Settings from flags, environment and a TOML file, in that order, typed and checked.

The table of keys, variables and defaults is in docs/settings.md.
"""

import codecs
import difflib
import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from killsync import files
from killsync.errors import UsageError
from killsync.settings import channels, places
from killsync.settings.channels import Channel
from killsync.settings.mistakes import SWITCHES, explained
from killsync.settings.values import CallbackUrl, Duration, FileName, PingUrl, Url, check_url
from killsync.times import parse_duration

ENVIRONMENT_PREFIX = "KILLSYNC_"
FILE_VARIABLE = "KILLSYNC_CONFIG"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# a secret stands in one of two keys
_IN_A_FILE = {"client_secret": "client_secret_file", "token_key": "token_key_file"}
_SECRETS = (*_IN_A_FILE, "ping_url")
SECRET_VARIABLES = [ENVIRONMENT_PREFIX + key.upper() for key in _SECRETS]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every setting, with its default; durations are in seconds."""

    db: FileName = ""
    client_id: str = ""
    client_secret: str = ""
    client_secret_file: FileName = ""
    callback_url: CallbackUrl = CallbackUrl("http://localhost:8635/callback")
    contact: str = ""
    esi_url: Url = Url("https://esi.evetech.net")
    sso_url: Url = Url("https://login.eveonline.com")
    everef_url: Url = Url("https://data.everef.net/killmails")
    zkb_url: Url = Url("https://zkillboard.com/api")
    min_age: Duration = Duration(900)
    max_pages: Annotated[int, Meta(ge=1, le=10_000)] = 50
    page_delay: Duration = Duration(0.1)
    full_every: Duration = Duration(7 * 86400)
    alert_after: Duration = Duration(3 * 3600)
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    connections: Annotated[int, Meta(ge=1, le=64)] = 8
    max_runtime: Duration = Duration(540)
    reserve: Annotated[float, Meta(ge=0, le=0.9)] = 0.2
    names: bool = True
    prices: bool = True
    time_zone: Literal["eve", "local"] = "eve"
    images: bool = False
    ping_url: PingUrl = PingUrl("")
    prometheus_file: FileName = ""
    token_key: str = ""
    token_key_file: FileName = ""
    tell: tuple[Channel, ...] = ()

    @property
    def database(self) -> Path:
        """The database file: `db`, or `killsync.db` in the user's data directory.

        Of a link, what it leads to: the files beside it must be the same by every name. Raises
        UsageError if it lies in a home directory that is not known.
        """
        path = places.expanded(self.db) if self.db else places.default_database()
        return path.resolve() if path.is_symlink() else path


_TELL = "tell"  # tables, which only a file can hold
_VARIABLES = {
    f"{ENVIRONMENT_PREFIX}{k.upper()}": k for k in Settings.__struct_fields__ if k != _TELL
}
# how a person may write them in an environment; a file has TOML's own true and false
_ON_OR_OFF = {"on": True, "yes": True, "off": False, "no": False}


class Source(StrEnum):
    """Where a setting comes from."""

    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


class CheckedSettings(msgspec.Struct, frozen=True):
    """The settings as far as they are valid, the source of each key that is set, every mistake.

    `file` is the configuration file in force, which need not exist.
    """

    settings: Settings
    origins: dict[str, Source]
    mistakes: list[str]
    file: Path


def load(config: Path | None, flags: Mapping[str, object], env: Mapping[str, str]) -> Settings:
    """Return the settings in force.

    `flags` holds the keys given on the command line; None means not given. Raises UsageError
    that names the key, the value and its source.
    """
    found = examine(config, flags, env)
    if found.mistakes:
        raise UsageError(found.mistakes[0])
    return found.settings


def examine(
    config: Path | None, flags: Mapping[str, object], env: Mapping[str, str]
) -> CheckedSettings:
    """Return as much of the settings in force as is valid, and every mistake in the rest."""
    file = config_file(config, env)
    mistakes: list[str] = []
    in_file: dict[str, object] = {}
    try:
        in_file = _read_toml(file, must_exist=not places.is_default_file(file))
    except UsageError as error:
        mistakes.append(str(error))
    values: dict[str, Any] = {}
    origins: dict[str, Source] = {}
    for origin, name, layer in (
        (Source.FILE, str(file), in_file),
        (Source.ENVIRONMENT, "the environment", _from_environment(env)),
        (
            Source.COMMAND_LINE,
            "the command line",
            {k: v for k, v in flags.items() if v is not None},
        ),
    ):
        valid = _valid_part(layer, name, mistakes, strict=origin is Source.FILE)
        for key in _replaced_by(valid):
            values.pop(key, None)
            origins.pop(key, None)
        values |= valid
        origins |= dict.fromkeys(valid, origin)
    return CheckedSettings(Settings(**values), origins, mistakes, file)


def client_secret(settings: Settings) -> str:
    """Return the EVE application's secret, the empty text if it has none.

    Raises UsageError if its file cannot be read.
    """
    return settings.client_secret or _read_secret("client_secret_file", settings.client_secret_file)


def token_keys(settings: Settings) -> list[str]:
    """Return the keys that stored tokens are encrypted with, the one for new ones first.

    Raises UsageError if their file cannot be read.
    """
    return (settings.token_key or _read_secret("token_key_file", settings.token_key_file)).split()


def values_in(file: Path) -> dict[str, object]:
    """Return all that a configuration file sets, checked or not; nothing if it is not there.

    Raises UsageError if it cannot be read.
    """
    return _read_toml(file, must_exist=False)


def secrets_in(file: Path) -> list[str]:
    """Return the keys of the secrets that a configuration file itself holds.

    Raises UsageError if it cannot be read.
    """
    values = values_in(file)
    held = [key for key in _SECRETS if values.get(key)]
    return [*held, *(["a url of tell"] if channels.holds_url(values.get(_TELL)) else [])]


def other_of_pair(key: str) -> str:
    """Return the key that this one replaces: of a secret its file's, and the reverse.

    Of every other key, itself.
    """
    return (_IN_A_FILE | {file: secret for secret, file in _IN_A_FILE.items()}).get(key, key)


def checked(texts: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return the values of settings that are given as text, such as on the command line.

    Raises UsageError, with `name` for where they stand.
    """
    mistakes: list[str] = []
    values = _valid_part(texts, name, mistakes, strict=False)
    if mistakes:
        raise UsageError(mistakes[0])
    return values


def unknown_variables(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that look like killsync's and are not, with what may be meant, or ''."""
    known = [*_VARIABLES, FILE_VARIABLE]
    unknown = sorted(n for n in env if n.startswith(ENVIRONMENT_PREFIX) and n not in known)
    return {name: next(iter(difflib.get_close_matches(name, known, 1)), "") for name in unknown}


def _valid_part(
    layer: Mapping[str, object], name: str, mistakes: list[str], *, strict: bool
) -> dict[str, Any]:
    """Return the values of one place that are valid, and take note of the mistakes."""
    valid = {}
    for key, value in layer.items():
        try:
            valid[key] = getattr(_check({key: value}, name, strict=strict), key)
        except UsageError as error:
            mistakes.append(str(error))
    for key, file_key in _IN_A_FILE.items():
        if key in valid and file_key in valid:
            mistakes.append(f"{name}: {key} and {file_key} are both set: keep one of them")
            del valid[file_key]
    return valid


def _replaced_by(valid: Mapping[str, object]) -> list[str]:
    """Return the keys of lower places that these override: a secret or its file unsets both."""
    pairs = [pair for pair in _IN_A_FILE.items() if any(key in valid for key in pair)]
    return [key for pair in pairs for key in pair]


def _read_secret(key: str, name: str) -> str:
    if not name:
        return ""
    file = places.expanded(name)
    try:
        text = files.read_text(file, "ascii").strip()
    except OSError as error:
        raise UsageError(f"{key}: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{key}: {file} is not plain text") from error
    if not text:
        raise UsageError(f"{key}: {file} is empty")
    return text


def _check(values: Mapping[str, object], origin: str, *, strict: bool) -> Settings:
    if _TELL in values:
        return Settings(tell=channels.channels(values[_TELL], origin))
    try:
        given = values if strict else {key: _switched(key, v) for key, v in values.items()}
        return msgspec.convert(given, Settings, strict=strict, dec_hook=_decode_special)
    except msgspec.ValidationError as error:
        known = Settings.__struct_fields__
        raise UsageError(explained(str(error), values, origin, known)) from error


def _switched(key: str, value: object) -> object:
    """Return what `on` or `off` mean for a setting that is one of both."""
    if key in SWITCHES and isinstance(value, str):
        return _ON_OR_OFF.get(value.strip().lower(), value)
    return value


def _decode_special(kind: type, value: object) -> object:
    parse: Callable[[str], object] = parse_duration if kind is Duration else check_url
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise ValueError("expected text")
    if kind is PingUrl and not value:
        return PingUrl("")
    checked = parse(value)
    return kind(value if kind is CallbackUrl else checked)


def _read_toml(file: Path, *, must_exist: bool) -> dict[str, object]:
    try:
        return tomllib.loads(files.read_text(file))
    except FileNotFoundError as error:
        if must_exist:
            raise UsageError(f"{file}: no such configuration file") from error
        return {}
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError) and error.object.startswith(_UTF_16):
            raise UsageError(f"{file}: is UTF-16: save it as UTF-8") from error
        raise UsageError(f"{file}: not valid TOML: {error}") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise UsageError(f"{file}: holds a number with too many digits") from error


def _from_environment(env: Mapping[str, str]) -> dict[str, object]:
    return {_VARIABLES[name]: text for name, text in env.items() if name in _VARIABLES and text}


def config_file(config: Path | None, env: Mapping[str, str]) -> Path:
    """Return the configuration file in force, which need not exist.

    Raises UsageError if it lies in a home directory that is not known.
    """
    named = config or env.get(FILE_VARIABLE)
    return places.expanded(named) if named else places.default_file()
