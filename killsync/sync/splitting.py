"""Which ids to ask for next when one that ESI does not know costs the names of a whole batch.

Everything is pure: answers and refusals go in, the next ids to ask for come out. A refused batch is
halved; where the first half is good the unknown id is in the second, which is then halved without
asking for it whole. An id is unknown only if it was refused on its own. So one unknown id among
1,000 costs at most 11 refusals.

A batch that fails for no stated reason may fail because of one of its ids too. That is so if an id
that surely exists is named right after; otherwise the service is to blame.
"""

from collections.abc import Collection, Sequence
from enum import Enum, auto

import msgspec

# refusals in a run: ESI allows 100 errors a minute, and killmails need to be asked for too
MOST_REFUSALS = 20
# Jita, which ESI has always known
KNOWN_ID = 30000142


class _State(Enum):
    UNASKED = auto()
    SECOND = auto()  # beside a first half, next to be asked for, of what was refused
    SUSPECT = auto()  # it holds an unknown id, by what was answered for its first half


class _Part(msgspec.Struct, frozen=True):
    ids: tuple[int, ...]
    state: _State = _State.UNASKED


class Splitting:
    """The batches of one run, one request at a time: `next_ids`, then `answered` or `refused`.

    While nothing has been answered in a run, a refusal says nothing about the ids, and one without
    a reason never does: an id that surely exists is asked for then, and if that is refused too, the
    run asks for no more.
    """

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._asked: _Part | None = None
        self._doubted: _Part | None = None
        self.any_answered = False
        self.refusals = 0
        self.is_over = False

    def add(self, ids: Sequence[int]) -> None:
        """Take in a batch of distinct ids, at most as many as one request may ask for."""
        if ids:
            self._parts.insert(0, _Part(tuple(ids)))

    def stop(self) -> None:
        """Ask for no more in this run."""
        self.is_over = True

    @property
    def is_done(self) -> bool:
        """Whether nothing is left of the batches to be asked for."""
        return self._doubted is None and not self._parts

    def next_ids(self) -> tuple[int, ...]:
        """Return what to ask for now; nothing if the batches are done, or the run asks no more."""
        if self.is_over:
            return ()
        if self._doubted is not None:
            return (KNOWN_ID,)
        while self._parts and self._parts[-1].state is _State.SUSPECT:
            if len(self._parts[-1].ids) == 1:
                break  # it may have been refused for another reason before
            self._halve(self._parts.pop().ids)
        if not self._parts:
            return ()
        self._asked = self._parts.pop()
        return self._asked.ids

    def answered(self, named: Collection[int]) -> list[int]:
        """Take in that ESI has named these ids; return those that are unknown."""
        self.any_answered = True
        if self._doubted is not None:
            doubted, self._doubted = self._doubted, None
            return self._settle_refused(doubted)
        assert self._asked is not None
        self._mark_second(_State.SUSPECT)
        return [i for i in self._asked.ids if i not in named]

    def refused(self, *, is_reasoned: bool = True) -> list[int]:
        """Take in that ESI has refused what it was asked for; return the ids that are unknown.

        `is_reasoned` says that the ids themselves were refused, and not just the request.
        """
        self.refusals += 1
        if self._doubted is not None or self.refusals >= MOST_REFUSALS:
            self.stop()
        if self._doubted is not None:
            return []
        assert self._asked is not None
        if not (self.any_answered and is_reasoned):
            self._doubted = self._asked
            return []
        return self._settle_refused(self._asked)

    def _settle_refused(self, part: _Part) -> list[int]:
        # whether the other half is good is as open as before
        self._mark_second(_State.UNASKED)
        if len(part.ids) == 1:
            return list(part.ids)
        self._halve(part.ids)
        return []

    def _mark_second(self, state: _State) -> None:
        if self._parts and self._parts[-1].state is _State.SECOND:
            self._parts[-1] = _Part(self._parts[-1].ids, state)

    def _halve(self, ids: tuple[int, ...]) -> None:
        middle = len(ids) // 2
        self._parts += [_Part(ids[middle:], _State.SECOND), _Part(ids[:middle])]
