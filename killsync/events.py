"""What is reported while a command is at work; `terminal` turns it into lines of text or JSON.

The events themselves stand beside what reports them: `sync.events`, `archive.events`.
"""

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="event", tag=lambda name: name):
    """Base of all events."""


class Trouble(Event, frozen=True, kw_only=True):
    """Base of what a person should know, even of a quiet run if it is the `first` time."""

    first: bool = True


class Detail(Event, frozen=True):
    """Base of what is shown only to who asks for more."""


Report = Callable[[Event], None]
