"""The files of a lake, from what a person names: a path, or an URL as pyarrow takes it."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from killsync.errors import UsageError
from killsync.lake.target_files import Files
from killsync.lake.target_local import LocalFiles

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ALMOST_URL = re.compile(r"(s3a?|gs|file):", re.IGNORECASE)
_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or use ~/.aws"
# the first overrides the second, as for all who use S3
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
# seconds
_CONNECTING = 10
_ATTEMPTS = 3
_S3_OPTIONS: dict[str, Callable[[str], object]] = {
    "endpoint_override": str,
    "region": str,
    "scheme": str,
    "force_virtual_addressing": lambda text: text.lower() in ("true", "1"),
}


def is_url(address: str) -> bool:
    """Return whether an address is not a path of this machine."""
    return _URL.match(address) is not None and not address.lower().startswith("file://")


def files_of(address: str) -> Files:
    """Return the files of a lake; nothing is changed yet.

    Raises UsageError of an address that cannot be one, and TryLater of a store that must be asked
    where a bucket is and cannot be reached.
    """
    if not address:
        raise UsageError("the place for the Parquet files is empty: name a directory")
    if not _URL.match(address):
        if _ALMOST_URL.match(address):
            raise UsageError("an URL has two slashes after its colon, as s3://bucket/prefix has")
        return LocalFiles(_local(address))
    url = _split(address)
    if url.scheme == "file":
        return LocalFiles(_local(_path_of(url)))
    return _s3(url, address)


def _local(path: str) -> Path:
    if "\0" in path:
        raise UsageError("the place for the Parquet files: a path has no NUL in it")
    return Path(path)


def _path_of(url: SplitResult) -> str:
    if url.netloc not in ("", "localhost") or url.query:
        raise UsageError("a file:// URL names a path of this machine: file:///path")
    return unquote(url.path, errors="surrogateescape")


def _split(address: str) -> SplitResult:
    """Return the parts of an URL; no error repeats it, since it may have a password."""
    try:
        url = urlsplit(address)
        if not address.isprintable() or url.fragment:
            raise ValueError
        if url.scheme not in ("s3", "file"):
            # pyarrow has more, of which some wait for minutes without a word
            raise UsageError(
                f"{url.scheme}:// is not supported; use a directory or s3://bucket/prefix"
            )
        has_secret = url.username is not None or url.password is not None
    except ValueError:
        raise UsageError(
            "the place for the Parquet files is not a valid URL (# is written %23)"
        ) from None
    if has_secret:
        raise UsageError(
            f"the {url.scheme}:// URL has a user or a key in it, which others could see: {_KEYS}"
        )
    return url


def _shown(url: SplitResult) -> str:
    return f"{url.scheme}://{url.netloc}{url.path}".rstrip("/")


def _s3(url: SplitResult, address: str) -> Files:
    from pyarrow import fs

    from killsync.lake.target_remote import RemoteFiles, explained

    shown = _shown(url)
    if not url.netloc or ":" in url.netloc:
        raise UsageError(
            f"{shown}: names no bucket: it is s3://bucket/prefix, and "
            "s3://bucket/prefix?endpoint_override=HOST:PORT for a store that is not Amazon's"
        )
    options = _options(url)
    found = {} if "endpoint_override" in options else _elsewhere(shown)
    try:
        if not {"region", "endpoint_override"} & {*options, *found}:
            # as pyarrow does of an URL: Amazon answers only where the bucket is
            found = {"region": fs.resolve_s3_region(url.netloc)}
        options |= found
        if found:
            address += f"{'&' if url.query else '?'}{urlencode(found)}"
        filesystem = fs.S3FileSystem(
            **options,
            connect_timeout=_CONNECTING,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        )
    except OSError as error:
        raise explained(error, shown) from None
    except ValueError:
        raise UsageError(f"{shown}: one of its options has a value that it cannot have") from None
    base = "/".join([url.netloc, *filter(None, unquote(url.path).split("/"))])
    return RemoteFiles(filesystem, base, address, shown)


def _elsewhere(shown: str) -> dict[str, str]:
    """Return the option for a store that is not Amazon's, if the environment names one."""
    endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS)), "")
    return {"endpoint_override": _open(endpoint, shown)} if endpoint else {}


def _open(endpoint: str, shown: str) -> str:
    """Return the address of a store unless there is a secret in it."""
    if "@" in endpoint:
        raise UsageError(f"{shown}: the store's address has a user or a key in it: {_KEYS}")
    return endpoint


def _options(url: SplitResult) -> dict[str, object]:
    options: dict[str, object] = {}
    for name, text in parse_qsl(url.query, keep_blank_values=True):
        if name not in _S3_OPTIONS:
            raise UsageError(
                f"{_shown(url)}: its only options are {', '.join(_S3_OPTIONS)}; {_KEYS}"
            )
        options[name] = _S3_OPTIONS[name](_open(text, _shown(url)))
    return options
