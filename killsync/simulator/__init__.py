"""ESI and SSO over loopback HTTP, with their limits, their caches and their faults.

It serves `killsync demo`, `killsync simulator` and the tests, and imports nothing of the rest
of killsync. Start reading at `service`, which turns one request into one answer.
"""

from killsync.simulator.options import Options
from killsync.simulator.server import Login, Ready, serve

__all__ = ["Login", "Options", "Ready", "serve"]
