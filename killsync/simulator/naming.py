"""What `POST /universe/names` answers: one id without a name costs the whole batch its names."""

import msgspec

from killsync.simulator.names import Name
from killsync.simulator.options import Options
from killsync.simulator.wire import Answer, Request, error, json_answer
from killsync.simulator.world import World

MOST_IDS = 1000

# names that may do harm where they are shown, stored or exported; {} is the plain name
HOSTILE = (
    "\x1b[31m{}\x1b[0m", "\x1b]0;owned\x07{}", "\x9b2J{}", "{}\r\nfake line", "{}\x00\x08\x7f",
    "[red]{}[/red]", "[/]{}", "[link=https://example.com]{}[/link]", ":skull: {}",
    "<script>alert(1)</script>{}", '"><img src=x onerror=alert(1)>{}', "&lt;{}&amp;", "'{}", '"{}"',
    "'); drop table names; -- {}", "=HYPERLINK(\"https://example.com\";{})", "@{}", "{},;\t|",
    "{{{{ {} }}}}", "{{% {} %}}", "%s %(x)s {}", "../../{}", "C:\\{}\\", "--{}", " {} ", "", "   ",
    "\u202e{}", "\u2066{}", "\u200b{}\u200d", "\ufeff{}", "\u2028{}\u2029", "{}" + "\u0301" * 300,
    "\N{PILE OF POO}\N{VARIATION SELECTOR-16} {}", "\u8266\u968a {}", "{}" + "x" * 10_000, "null",
    "4",
)  # fmt: skip


class NewNames(msgspec.Struct, forbid_unknown_fields=True):
    """Which names change; what is left out stays as it is.

    `unknown` are ids for which a batch fails, for good or until others are given. `failing` maps an
    id to how many more batches fail for it; `breaking` an id to the status that every batch with it
    gets, and a page of HTML; `renamed` an id to another name, None for its own.
    `given` are names of ids that the world does not know.
    """

    unknown: list[int] | None = None
    failing: dict[int, int] = {}
    breaking: dict[int, int] = {}
    renamed: dict[int, str | None] = {}
    given: list[Name] = []


class Naming:
    """The names of one world, as far as ESI gives them."""

    def __init__(self, options: Options, world: World) -> None:
        self._options = options
        self._world = world
        self._unknown: set[int] = set()
        self._failing: dict[int, int] = {}
        self._breaking: dict[int, int] = {}
        self._renamed: dict[int, str] = {}
        self._given: dict[int, Name] = {}

    def change(self, new: NewNames) -> None:
        """Make ids unknown, failing for a while, or known by another name."""
        if new.unknown is not None:
            self._unknown = set(new.unknown)
        self._failing |= new.failing
        self._breaking |= new.breaking
        self._given |= {name.id: name for name in new.given}
        for thing_id, name in new.renamed.items():
            if name is None:
                self._renamed.pop(thing_id, None)
            else:
                self._renamed[thing_id] = name

    def answer(self, request: Request) -> Answer:
        """Answer a batch: 400 for what is no batch, 404 if a single one of its ids has no name.

        What breaks the service comes before both.
        """
        ids = ids_asked(request)
        for thing_id in self._breaking.keys() & set(ids or ()):
            return Answer(self._breaking[thing_id], b"<html>broken</html>", {}, "text/html")
        if ids is None or not 1 <= len(ids) <= MOST_IDS:
            return error(400, f"Invalid ids: 1 to {MOST_IDS} integers are required")
        if len(set(ids)) != len(ids):
            return error(400, "Invalid ids: they must be unique")
        failing = [thing_id for thing_id in ids if self._failing.get(thing_id, 0) > 0]
        for thing_id in failing:
            self._failing[thing_id] -= 1
        found = [name for name in map(self._name, ids) if name]
        if failing or len(found) != len(ids):
            return error(404, "Ensure all IDs are valid before resolving.")
        # in no order that follows from the request's
        return json_answer(sorted(found, key=lambda name: (name.category, name.name, name.id)))

    def _name(self, thing_id: int) -> Name | None:
        if thing_id in self._unknown:
            return None
        known = self._given.get(thing_id) or self._world.name(thing_id)
        if known is None:
            return None
        if thing_id in self._renamed:
            return Name(thing_id, self._renamed[thing_id], known.category)
        players = known.category in ("character", "corporation", "alliance")
        if players and self._options.hostile_names:
            hostile = HOSTILE[thing_id % len(HOSTILE)].format(known.name)
            return Name(thing_id, hostile, known.category)
        return known


def ids_asked(request: Request) -> list[int] | None:
    """Return the ids in a request for names or affiliations, or None if it holds anything else."""
    try:
        return msgspec.json.decode(request.body, type=list[int])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
