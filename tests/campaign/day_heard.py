"""What is to be heard on the day of the part `day`, each thing once and in time, and what was.

All times are minutes from the beginning of the day.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from tellers import Teller

from campaign.score import Score

TICK = 10
# a second begins or ends between two minutes
ROUNDING = 1
# from when to when the channel is dead, and a stopped run holds the lock
DEAD = (1110, 1230)
HELD = (1350, 1400)
# after two hours a channel rests for as long again at most
LONGEST_REST = 120
# of the channel that tells later
DELAY = 120


@dataclass(frozen=True)
class Expected:
    """What is to be heard once in a span of minutes: a trouble, or a line of cron's mail.

    It begins when there is enough evidence, at the earliest.
    """

    name: str
    after: int
    until: int
    # what, and whether it is its end
    trouble: tuple[str, bool] | None = None
    mail: str = ""
    code: int = 0


EXPECTED = [
    Expected("4 h without ESI", 280, 320, ("unsynced", False)),
    Expected("4 h without ESI, mail", 280, 320, mail="nothing has succeeded for .*503", code=75),
    Expected("ESI is back", 360, 380, ("unsynced", True)),
    Expected("login revoked", 530, 550, ("needs_login", False)),
    Expected("login revoked, mail", 530, 550, mail="no longer accepts .*`killsync login`", code=1),
    Expected("login renewed", 720, 740, ("needs_login", True)),
    Expected("no director", 770, 800, ("needs_login", False)),
    Expected("no director, mail", 770, 800, mail="none of its 2 directors", code=1),
    Expected("a director is back", 900, 920, ("needs_login", True)),
    Expected("a killmail is refused, mail", 1020, 1050, mail="killmail .*422", code=1),
    Expected("killed while sending, mail", 1320, 1350, mail="nothing is sent twice"),
    Expected("lock held, mail", 1360, 1390, mail="has held the lock for", code=75),
]


@dataclass(frozen=True)
class AtTick:
    """What was heard at a tick."""

    minute: int
    code: int
    troubles: list[tuple[str, bool]]
    mail: list[str]


@dataclass
class DayHeard:
    """What was heard on a day by a channel, by one that tells later, and by cron's mail."""

    teller: Teller
    later: Teller
    ticks: list[AtTick] = field(default_factory=list)
    # when killmails were stored, and told by each channel
    stored: dict[int, int] = field(default_factory=dict)
    told: dict[int, int] = field(default_factory=dict)
    told_later: dict[int, int] = field(default_factory=dict)
    # killmails of which nobody knows whether they were told
    perhaps: set[int] = field(default_factory=set)

    def listen(self, minute: int, code: int, mail: str, stored: set[int]) -> None:
        """Take what a tick has said and told, and the new killmails that are stored after it."""
        for killmail_id in stored:
            self.stored.setdefault(killmail_id, minute)
        for killmail_id in self.teller.killmails:
            self.told.setdefault(killmail_id, minute)
        for killmail_id in self.later.killmails:
            self.told_later.setdefault(killmail_id, minute)
        known = sum(len(tick.troubles) for tick in self.ticks)
        troubles = self.teller.troubles[known:]
        self.ticks.append(AtTick(minute, code, troubles, mail.splitlines()))

    def judge_troubles(self, score: Score) -> None:
        """Compare troubles and mails with what must be told, each once and in time."""
        troubles = [(tick.minute, trouble) for tick in self.ticks for trouble in tick.troubles]
        mails = [(tick.minute, tick.code, line) for tick in self.ticks for line in tick.mail]
        for expected in EXPECTED:
            span = range(expected.after, expected.until + 1)
            if expected.trouble:
                found = [t for t in troubles if t[0] in span and t[1] == expected.trouble]
                troubles = [one for one in troubles if one not in found]
                at = [minute for minute, _ in found]
            else:
                lines = [m for m in mails if m[0] in span and re.search(expected.mail, m[2])]
                mails = [one for one in mails if one not in lines]
                at = [minute for minute, code, _ in lines if code == expected.code]
            score.check(len(at) == 1, f"{expected.name}: said at {at}, wanted in {span}")
            if at:
                after = at[0] - span.start
                score.measure(f"minutes until told: {expected.name}", after, f"at {at[0]}")
        score.check(not troubles, f"told for no reason: {troubles}")
        score.check(not mails, f"mailed for no reason: {mails}")

    def judge_killmails(self, score: Score) -> None:
        """Check that each new killmail was told once, as soon as it was stored."""
        twice = {i for i, times in Counter(self.teller.killmails).items() if times > 1}
        score.duplicated += len(twice)
        score.check(not twice, f"told twice: {twice}")
        silent = self.stored.keys() - self.told.keys() - self.perhaps
        score.lost += len(silent)
        score.check(not silent, f"never told: {silent}")
        strange = self.told.keys() - self.stored.keys()
        score.check(not strange, f"told, but no news: {strange}")
        for killmail_id in self.stored.keys() & self.told.keys() - self.perhaps:
            stored, told = self.stored[killmail_id], self.told[killmail_id]
            fails = DEAD[0] <= stored < DEAD[1] + LONGEST_REST
            latest = max(stored, DEAD[1] + LONGEST_REST) if fails else stored
            score.check(told <= latest, f"{killmail_id}: stored at {stored}, told at {told}")
            if fails and told > stored:
                figure = "minutes from when the channel works to the last killmail"
                score.measure(figure, told - DEAD[1], f"stored at {stored}")

    def judge_later(self, score: Score, new: dict[int, float]) -> None:
        """Check that what was new when it was stored was told after the delay, and nothing else.

        `new` is when each of those was stored.
        """
        twice = {i for i, times in Counter(self.later.killmails).items() if times > 1}
        score.check(not twice, f"told twice after the delay: {twice}")
        strange = self.told_later.keys() - new.keys()
        score.check(not strange, f"told after the delay, but old: {strange}")
        last = self.ticks[-1].minute
        for killmail_id in self.stored.keys() & new.keys():
            due, told = new[killmail_id] + DELAY, self.told_later.get(killmail_id)
            # a stopped run may hold the database
            latest = (max(due, HELD[1]) if due > HELD[0] else due) + TICK + ROUNDING
            # for some the day ends too soon
            in_time = latest > last if told is None else due - ROUNDING <= told <= latest
            score.check(in_time, f"{killmail_id}: due at {due:.0f}, told after the delay at {told}")
        figure = "killmails told after a delay, of those told"
        score.measure(figure, len(self.told_later), f"{len(self.told)}")
