"""The events of a feed as sentences."""

from killsync.lake.postgres_events import PostgresFed
from killsync.terminal.lines import sentence as sentence
from killsync.terminal.moments import Zone
from killsync.terminal.text import count


@sentence.register
def _(event: PostgresFed, zone: Zone) -> str:
    text = ", ".join(_killmails(event) + _brought(event))
    if event.stopped is not None:
        return f"stopped by {event.stopped}: {text}; the next call goes on"
    return f"{text}: PostgreSQL has everything up to stored_seq {event.stored_seq}"


def _killmails(event: PostgresFed) -> list[str]:
    done = [count(event.killmails, "new killmail")]
    if event.also_stored:
        done.append(f"{event.also_stored:,} that another source had brought")
    if event.removed:
        done.append(f"{event.removed:,} deleted")
    if event.rewritten:
        done.append(f"{event.rewritten:,} with other values")
    return done


def _brought(event: PostgresFed) -> list[str]:
    done = []
    if event.users:
        done.append(count(event.users, "user"))
    if event.users_gone:
        done.append(f"{count(event.users_gone, 'user')} gone")
    if event.names:
        done.append(count(event.names, "name"))
    if event.price_days:
        done.append(f"the prices of {count(event.price_days, 'day')}")
    return done + ["game data"] * (event.game_data is not None)
