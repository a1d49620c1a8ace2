"""What a person reads of what is told."""

from typing import Any

import msgspec
import pytest
from noted import HOSTILE, LOST, NEEDS_LOGIN, WON, kill, won

from killsync.outbox.markup import HTML, MARKDOWN, PLAIN, Markup
from killsync.outbox.messages import Mood, compose
from killsync.outbox.notes import KillNote, Note, TestNote

ROOM = 1900


def body(*notes: Note, markup: Markup = PLAIN, longest: int = ROOM) -> str:
    return compose(notes, markup, longest).body


def test_a_loss_is_told_with_all_that_matters() -> None:
    assert body(LOST).splitlines() == [
        "🔴 Vagabond lost, worth 342m ISK",
        "Ada Vale (Vale Salvage) in Tama (0.3, The Citadel), 2026-11-26 21:03 EVE time",
        "Final blow: Bo Kade (Kade Freight), Sabre · 5 attackers",
        "https://zkillboard.com/kill/126440215/",
    ]


def test_a_kill_names_those_of_ours_who_are_on_it() -> None:
    many = KillNote(won(users=["Ada Vale", "Cy", "Dee", "Eli", "Fay"], solo=True, attackers=1))
    told = body(many).splitlines()
    assert told[0] == "🟢 Sabre killed, worth 91m ISK"
    assert told[2:4] == [
        "Final blow: Ada Vale (Vale Salvage), Vagabond · 1 attacker · solo",
        "Ours: Ada Vale, Cy, Dee and 2 more",
    ]


def test_several_killmails_are_one_list_under_their_sum() -> None:
    assert body(LOST, WON).splitlines() == [
        "1 kill, 91m ISK destroyed; 1 loss, 342m ISK lost",
        "🔴 Vagabond 342m · Ada Vale · Tama (0.3) · by Bo Kade +4 · "
        "https://zkillboard.com/kill/126440215/",
        "🟢 Sabre 91m · Bo Kade · Tama (0.3) · by Ada Vale +4 · "
        "https://zkillboard.com/kill/126440216/",
    ]


def test_what_is_not_known_leaves_no_gap() -> None:
    nothing = (
        *("value", "security", "region", "ship", "victim_corporation", "victim_corporation_id"),
        *("final_blow", "final_blow_id", "final_blow_ship", "final_blow_ship_id"),
    )
    values: dict[str, Any] = dict.fromkeys(nothing)
    unknown = kill(**values | {"final_blow_corporation": "Serpentis"})
    assert body(KillNote(unknown)).splitlines()[:3] == [
        "🔴 #11999 lost",
        "Ada Vale in Tama, 2026-11-26 21:03 EVE time",
        "Final blow: Serpentis · 5 attackers",
    ]


@pytest.mark.parametrize("markup", [PLAIN, MARKDOWN, HTML], ids=lambda markup: markup.name)
def test_a_long_list_says_less_of_each_and_leaves_none_out(markup: Markup) -> None:
    notes = [
        KillNote(won(n, victim="W" * 50, system="S" * 50, final_blow="F" * 50)) for n in range(10)
    ]
    short = body(*notes, markup=markup, longest=1200)
    assert len(short) <= 1200 < len(body(*notes, markup=markup, longest=99_999))
    assert [f"zkillboard.com/kill/{n}/" in short for n in range(10)] == [True] * 10


def test_trouble_is_told_with_what_to_do_and_its_end() -> None:
    over = msgspec.structs.replace(NEEDS_LOGIN, text="its login works", over=True)
    assert body(NEEDS_LOGIN).splitlines() == [
        "⚠️ Login needed: Ada Vale",
        "its login no longer works: log in again with `killsync login`",
        "Since 2026-11-26 21:00 EVE time",
    ]
    assert body(over).splitlines()[0] == "✅ No login needed any more: Ada Vale"
    assert body(over).splitlines()[-1] == "It began 2026-11-26 21:00 EVE time"


def test_a_name_is_shown_as_the_text_that_it_is() -> None:
    hostile = KillNote(won(victim=HOSTILE[:40], ship="[a](https://b.c)\n# x\u202e"))
    marked = body(hostile, markup=MARKDOWN)
    assert "**\\[a\\](https\\://b.c)\\\\n\\# x\\\\u202e** killed" in marked
    assert "@\u200beveryone \\<b\\>\\*\\*x\\*\\*\\</b\\> https\\://evil" in marked
    html = body(hostile, markup=HTML)
    assert "@\u200beveryone &lt;b&gt;**x**&lt;/b&gt;" in html
    assert "<b>**x**" not in html
    for markup in (PLAIN, MARKDOWN, HTML):
        assert "@everyone" not in body(hostile, LOST, markup=markup)


def test_links_of_a_list_show_no_pictures_in_a_chat() -> None:
    assert "[zKillboard](<https://zkillboard.com/kill/1/>)" in body(
        KillNote(won(1)), LOST, markup=MARKDOWN
    )
    assert body(WON, markup=MARKDOWN).endswith("\nhttps://zkillboard.com/kill/126440216/")


@pytest.mark.parametrize(
    ("notes", "title", "mood"),
    [
        ([LOST], "Vagabond lost, 342m ISK: Ada Vale in Tama", Mood.BAD),
        ([WON], "Sabre killed, 91m ISK: Ada Vale in Tama", Mood.GOOD),
        ([WON, LOST], "1 kill, 91m ISK destroyed; 1 loss, 342m ISK lost", Mood.NEUTRAL),
        ([NEEDS_LOGIN], "killsync: Login needed: Ada Vale", Mood.WARNING),
        ([NEEDS_LOGIN, NEEDS_LOGIN], "killsync: 2 notices", Mood.WARNING),
        ([TestNote()], "killsync: a test", Mood.NEUTRAL),
    ],
)
def test_a_mail_has_a_subject_that_says_it(notes: list[Note], title: str, mood: Mood) -> None:
    message = compose(notes, PLAIN, ROOM)
    assert (message.title, message.mood) == (title, mood)
