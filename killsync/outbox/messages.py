"""What a person reads of what is told: one message, with a subject for mails. Pure."""

from collections.abc import Callable, Sequence
from enum import Enum, auto

import msgspec

from killsync.board.kills import Tally
from killsync.killmail.sides import Side
from killsync.outbox.markup import PLAIN, Markup
from killsync.outbox.notes import KillNote, Note, TroubleKind, TroubleNote
from killsync.store.kills import Kill
from killsync.terminal.isk import isk
from killsync.terminal.kills_lines import describe_tally, final_blow, named, victim
from killsync.terminal.text import count, safe

_SITE = "zKillboard"
_DOT = " · "
_LONGEST_TROUBLE = 1000
_MOST_OF_OURS = 3
_SIGNS = {Side.KILL: "🟢", Side.LOSS: "🔴", None: "⚪"}
_FATES = {Side.KILL: "killed", Side.LOSS: "lost", None: "destroyed"}
_TROUBLES = {
    TroubleKind.NEEDS_LOGIN: ("Login needed", "No login needed any more"),
    TroubleKind.UNSYNCED: ("Not synced", "Synced again"),
    TroubleKind.UNFETCHED: ("No killmail can be fetched", "Killmails are fetched again"),
}
_TEST = "This is a test: what killsync tells will arrive here."


class Mood(Enum):
    """Whether a message is good news; the colour of it, where there are colours."""

    GOOD = auto()
    NEUTRAL = auto()
    BAD = auto()
    WARNING = auto()


class Message(msgspec.Struct, frozen=True):
    """What is sent: `title` is plain text for a subject, `body` says all in one markup."""

    title: str
    body: str
    mood: Mood


def compose(notes: Sequence[Note], markup: Markup, longest: int) -> Message:
    """Return one message with everything in it.

    If it has more than `longest` characters, less is said of each killmail. None is left out, and
    each keeps its link: the shortest form may still be too long.
    """
    kills = [note.kill for note in notes if isinstance(note, KillNote)]
    troubles = [note for note in notes if isinstance(note, TroubleNote)]
    rest = [_trouble(trouble, markup) for trouble in troubles]
    if not kills and not troubles:
        rest = [markup.text(_TEST)]
    body = ""
    for words in _ways_to_say(kills):
        told = [words(kills, markup)] if kills else []
        body = (markup.line_break * 2).join(told + rest)
        if len(body) <= longest:
            break
    return Message(PLAIN.text(_title(kills, troubles)), body, _mood(kills, troubles))


def _ways_to_say(kills: Sequence[Kill]) -> list[Callable[[Sequence[Kill], Markup], str]]:
    """Return the ways to tell of killmails, the one that says most first."""
    return [_single, _list, _short_list] if len(kills) == 1 else [_list, _short_list]


def _single(kills: Sequence[Kill], markup: Markup) -> str:
    kill = kills[0]
    text = markup.text
    worth = "" if kill.value is None else f", worth {markup.bold(text(isk(kill.value) + ' ISK'))}"
    lines = [
        f"{_SIGNS[kill.side]} {markup.bold(text(_ship(kill)))} {_FATES[kill.side]}{worth}",
        f"{_owner(kill, text)} in {text(_place(kill))}, {text(_time(kill))}",
        _DOT.join([f"Final blow: {_blow(kill, text)}", *_shape(kill)]),
    ]
    if kill.side is Side.KILL and kill.users:
        lines.append(f"Ours: {text(_ours(kill))}")
    return markup.line_break.join([*lines, markup.link(_SITE, kill.url)])


def _list(kills: Sequence[Kill], markup: Markup) -> str:
    def line(kill: Kill) -> str:
        text = markup.text
        who = victim(kill) if kill.side is not Side.LOSS else _ours(kill)
        others = f" +{kill.attackers - 1}" if kill.attackers > 1 else ""
        return _DOT.join(
            [
                _beginning(kill, markup),
                text(who),
                text(named(kill.system, kill.system_id) + _security(kill)),
                f"by {text(final_blow(kill))}{others}",
                markup.quiet_link(_SITE, kill.url),
            ]
        )

    return _summed(kills, markup, line)


def _short_list(kills: Sequence[Kill], markup: Markup) -> str:
    def line(kill: Kill) -> str:
        return _DOT.join([_beginning(kill, markup), markup.quiet_link(_SITE, kill.url)])

    return _summed(kills, markup, line)


def _summed(kills: Sequence[Kill], markup: Markup, line: Callable[[Kill], str]) -> str:
    summary = [markup.bold(markup.text(_tally(kills)))] if len(kills) > 1 else []
    return markup.line_break.join([*summary, *map(line, kills)])


def _beginning(kill: Kill, markup: Markup) -> str:
    worth = "" if kill.value is None else f" {isk(kill.value)}"
    return f"{_SIGNS[kill.side]} {markup.bold(markup.text(_ship(kill)))}{worth}"


def _title(kills: Sequence[Kill], troubles: Sequence[TroubleNote]) -> str:
    if len(kills) == 1:
        kill = kills[0]
        worth = "" if kill.value is None else f", {isk(kill.value)} ISK"
        who = _ours(kill) if kill.users else victim(kill)
        return f"{_ship(kill)} {_FATES[kill.side]}{worth}: {who} in {_system(kill)}"
    if kills:
        return _tally(kills)
    if len(troubles) == 1:
        return f"killsync: {_headline(troubles[0])}"
    return f"killsync: {count(len(troubles), 'notice')}" if troubles else "killsync: a test"


def _mood(kills: Sequence[Kill], troubles: Sequence[TroubleNote]) -> Mood:
    if any(not trouble.over for trouble in troubles):
        return Mood.WARNING
    sides = {kill.side for kill in kills}
    if sides == {Side.LOSS}:
        return Mood.BAD
    return Mood.GOOD if sides == {Side.KILL} or (troubles and not sides) else Mood.NEUTRAL


def _trouble(trouble: TroubleNote, markup: Markup) -> str:
    sign = "✅" if trouble.over else "⚠️"
    lines = [f"{sign} {markup.bold(markup.text(_headline(trouble)))}"]
    if trouble.text:
        lines.append(markup.text(safe(trouble.text, _LONGEST_TROUBLE)))
    since = "It began" if trouble.over else "Since"
    lines.append(markup.text(f"{since} {_moment(trouble.since)}"))
    return markup.line_break.join(lines)


def _headline(trouble: TroubleNote) -> str:
    words = _TROUBLES[trouble.what][trouble.over]
    return words if trouble.user is None else f"{words}: {named(trouble.user, None)}"


def _tally(kills: Sequence[Kill]) -> str:
    tally = Tally()
    list(tally.counting([kills]))
    return describe_tally(tally)


def _owner(kill: Kill, text: Callable[[str], str]) -> str:
    who = victim(kill)
    corporation = named(kill.victim_corporation, kill.victim_corporation_id)
    return text(who if corporation in ("-", who) else f"{who} ({corporation})")


def _blow(kill: Kill, text: Callable[[str], str]) -> str:
    who = final_blow(kill)
    corporation = named(kill.final_blow_corporation, kill.final_blow_corporation_id)
    ship = named(kill.final_blow_ship, kill.final_blow_ship_id)
    of = "" if corporation in ("-", who) else f" ({corporation})"
    flown = "" if ship in ("-", who) else f", {ship}"
    return text(f"{who}{of}{flown}")


def _shape(kill: Kill) -> list[str]:
    """Return how many shot, and what kind of a killmail it is."""
    flags = [(kill.solo, "solo"), (kill.npc, "NPCs only"), (kill.awox, "awox")]
    return [count(kill.attackers, "attacker"), *(words for is_so, words in flags if is_so)]


def _ours(kill: Kill) -> str:
    shown = ", ".join(named(name, None) for name in kill.users[:_MOST_OF_OURS])
    others = len(kill.users) - _MOST_OF_OURS
    return f"{shown} and {others} more" if others > 0 else shown or victim(kill)


def _ship(kill: Kill) -> str:
    return named(kill.ship, kill.ship_id)


def _system(kill: Kill) -> str:
    return named(kill.system, kill.system_id)


def _security(kill: Kill) -> str:
    return "" if kill.security is None else f" ({kill.security})"


def _place(kill: Kill) -> str:
    parts = [None if kill.security is None else str(kill.security), kill.region]
    known = ", ".join(named(part, None) for part in parts if part is not None)
    return f"{_system(kill)} ({known})" if known else _system(kill)


def _time(kill: Kill) -> str:
    return _moment(kill.time)


def _moment(iso: str) -> str:
    """Return ISO text as EVE time to the minute."""
    return f"{iso[:16].replace('T', ' ')} EVE time"
