"""Who may read a file: what holds a secret is for its owner alone."""

import os
import stat
from pathlib import Path

PRIVATE = 0o600


def open_to_others(path: Path) -> bool:
    """Tell whether others than its owner may read or write a regular file that is there."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o077)


def mend(path: Path) -> bool:
    """Make a file its owner's alone; return whether that was needed and could be done."""
    if not open_to_others(path) or path.stat().st_uid != os.geteuid():
        return False
    try:
        path.chmod(PRIVATE)
    except OSError:
        return False
    return True
