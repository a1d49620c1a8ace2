"""The file that `token_key_file` names: keys one below the other, the newest first."""

import base64
import os
import secrets
from pathlib import Path

from killsync import files
from killsync.errors import UsageError
from killsync.tokens.sealing import KEY_BYTES, Keyring


def keys(file: Path) -> list[str]:
    """Return the keys of a file, none if it is not there.

    Raises UsageError if it holds something else, or cannot be read.
    """
    try:
        texts = files.read_text(file, "ascii").split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read as a file of keys") from error
    Keyring(lambda: texts)
    return texts


def add_key(file: Path) -> None:
    """Put a new key first in a file, created if necessary; it is on disk when this returns.

    Anyone reading the file meanwhile finds its old or its new contents. Raises UsageError if it
    belongs to another user, holds something other than keys, or cannot be written.
    """
    file = file.resolve()
    kept = keys(file)
    if file.exists() and file.stat().st_uid != os.geteuid():
        raise UsageError(f"{file}: belongs to another user, who must put a key into it")
    fresh = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")
    try:
        files.write_private(file, "".join(f"{key}\n" for key in (fresh, *kept)).encode())
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}") from error
