"""The markups that messages are written in; what comes from outside stays text in each.

A name can neither call people together (`@everyone`) nor be a link, an emoji or bold.
"""

import html
import re
from collections.abc import Callable

import msgspec

# shown as nothing, and nobody is called by what it stands in
_APART = "\u200b"
# of colons those of addresses and of `:emoji:`
_SPECIAL = re.compile(r"[\\`*_~|\[\]<>#]|:(?=/|\w+:)")


class Markup(msgspec.Struct, frozen=True):
    """One way to write a message, under Apprise's name for it.

    `text` takes text from outside, the others what `text` gave; of `link` that is the words for an
    address that is ours. `quiet` links are shown without a picture of what they lead to.
    """

    name: str
    text: Callable[[str], str]
    bold: Callable[[str], str]
    link: Callable[[str, str], str]
    quiet_link: Callable[[str, str], str]
    line_break: str


def _apart(text: str) -> str:
    return text.replace("@", "@" + _APART)


def _escaped(text: str) -> str:
    return _apart(_SPECIAL.sub(r"\\\g<0>", text))


def _html_link(words: str, url: str) -> str:
    # a mail has a plain part too, made of the words alone
    return f'<a href="{url}">{url.partition("://")[2] or words}</a>'


PLAIN = Markup(
    name="text",
    text=_apart,
    bold=str,
    link=lambda words, url: url,
    quiet_link=lambda words, url: url,
    line_break="\n",
)
MARKDOWN = Markup(
    name="markdown",
    text=_escaped,
    bold=lambda text: f"**{text}**",
    link=lambda words, url: url,
    quiet_link=lambda words, url: f"[{words}](<{url}>)",
    line_break="\n",
)
HTML = Markup(
    name="html",
    text=lambda text: html.escape(_apart(text)),
    bold=lambda text: f"<b>{text}</b>",
    link=_html_link,
    quiet_link=_html_link,
    line_break="<br/>",
)
