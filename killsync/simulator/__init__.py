"""A simulated ESI and SSO over loopback HTTP, with their limits, caches and faults.

Beside them it serves what EVE Ref and zKillboard do: archives of killmails, lists of old ones.

It serves `killsync demo`, `killsync simulator` and the tests, and imports nothing else from
killsync. Start reading at `service`, which turns a request into an answer.
"""

from killsync.simulator.options import Options
from killsync.simulator.server import Login, Ready, serve

__all__ = ["Login", "Options", "Ready", "serve"]
