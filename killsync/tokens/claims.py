"""Who refreshes a character's token: a process of some host, for two minutes at most."""

import os
import socket

LONGEST = 120.0


def myself() -> str:
    """Return how this process signs its claims."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_held(claimed_by: str, until: float, now: float) -> bool:
    """Return whether a claim of another process still counts."""
    if not now <= until <= now + LONGEST or claimed_by == myself():
        return False
    host, _, pid = claimed_by.rpartition(":")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
