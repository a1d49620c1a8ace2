"""The page that a browser shows at the end of a login: no scripts, nothing from elsewhere."""

import re
from html import escape

import msgspec


class BrowserPage(msgspec.Struct, frozen=True):
    """What the person at the browser reads; `good` is False if something went wrong."""

    title: str
    text: str
    good: bool = True


def rendered(page: BrowserPage) -> bytes:
    """Return a page as HTML."""
    mark = _DONE if page.good else _FAILED
    return _TEMPLATE.format(
        title=escape(page.title),
        text=_COMMAND.sub(r"<code>\1</code>", escape(page.text)),
        mark=mark,
        tone="good" if page.good else "bad",
    ).encode("utf-8", "replace")


_COMMAND = re.compile(r"`([^`]+)`")
_DONE = '<path d="M14 25l7 7 14-16"/>'
_FAILED = '<path d="M24 13v14M24 33v1"/>'
_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} - killsync</title>
<link rel="icon" href="data:,">
<style>
:root {{ --paper: #f3f4f6; --card: #fff; --ink: #1b1f27; --soft: #5a6372; --line: #dfe2e8;
  --good: #1a7f4b; --bad: #b3402a; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #0e1116; --card: #171b22; --ink: #e8ebf0; --soft: #98a2b3; --line: #2a303a;
    --good: #4cc38a; --bad: #f0876f; }}
}}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: var(--paper); color: var(--ink);
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
main {{ box-sizing: border-box; width: min(30rem, calc(100vw - 2rem)); padding: 2.5rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  overflow-wrap: anywhere; }}
svg {{ width: 48px; height: 48px; fill: none; stroke-width: 3; stroke-linecap: round;
  stroke-linejoin: round; }}
.good svg {{ stroke: var(--good); }}
.bad svg {{ stroke: var(--bad); }}
h1 {{ margin: 1rem 0 .5rem; font-size: 1.45rem; line-height: 1.25; }}
p {{ margin: 0; color: var(--soft); }}
code {{ color: var(--ink); }}
footer {{ margin-top: 2rem; font-size: .85rem; letter-spacing: .08em; color: var(--soft); }}
</style>
</head>
<body>
<main class="{tone}">
<svg viewBox="0 0 48 48" role="img" aria-hidden="true"><circle cx="24" cy="24" r="21"/>{mark}</svg>
<h1>{title}</h1>
<p>{text}</p>
<footer>killsync</footer>
</main>
</body>
</html>
"""
