"""`killsync doctor`: what is missing or wrong, and how to fix it."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from killsync.cli import invocation
from killsync.cli.help_parts import HelpText, exits
from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.settings import config
from killsync.terminal.text import count, safe

if TYPE_CHECKING:
    from killsync.doctor.diagnosis import Diagnosis
    from killsync.doctor.setup import Setup

_STYLES = {"ok": "green", "skipped": "dim", "warning": "yellow", "problem": "bold red"}
_LONGEST = 1000


HELP = {
    "doctor": HelpText(
        {
            "killsync doctor": "after setting up, and when something is odd",
            "killsync doctor --json": "for programs",
        },
        exits("no problem; there may be warnings", _1="there is a problem"),
    ),
}


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at settings, files, database, logins, network, cron, channels; say how to fix each."""
    call = invocation.from_context(context)
    with invocation.edge(call):
        from killsync.doctor import subjects
        from killsync.outbox.channels_examined import examine as examine_channels
        from killsync.outbox.examination import examine as examine_monitoring

        above = {"telling": examine_channels, "monitoring": examine_monitoring}
        found = subjects.examine_all(_setup(call), above)
        counts = _show_json(found) if as_json else _show(found, quiet=call.quiet)
        exit_with(1 if counts["problem"] else 0)


def _setup(call: Invocation) -> "Setup":
    from killsync.doctor.setup import Setup

    found = call.examined()
    return Setup(
        found=found,
        file=config.config_file(call.config, os.environ).absolute(),
        env=os.environ,
        program=call.program,
        caller=call.caller(found.settings),
        now=time.time(),
    )


def _show_json(found: "Iterable[Diagnosis]") -> Counter[str]:
    import msgspec

    shown = [msgspec.structs.asdict(diagnosis) for diagnosis in found]
    counts = Counter(str(diagnosis["level"]) for diagnosis in shown)
    report: dict[str, Any] = {
        "ok": not counts["problem"],
        "problems": counts["problem"],
        "warnings": counts["warning"],
        "findings": shown,
    }
    print_result(json.dumps(report, indent=2))
    return counts


def _show(found: "Iterable[Diagnosis]", *, quiet: bool) -> Counter[str]:
    from rich.text import Text

    from killsync.terminal.console import console as new_console

    console = new_console()
    counts: Counter[str] = Counter()
    area = ""
    for diagnosis in found:
        counts[diagnosis.level] += 1
        if quiet and diagnosis.level not in ("warning", "problem"):
            continue
        if diagnosis.area != area:
            area = diagnosis.area
            console.print(Text(area.capitalize(), "bold"))
        console.print(_lines(diagnosis), soft_wrap=True)
    if not quiet:
        console.print(_conclusion(counts))
    return counts


def _lines(diagnosis: "Diagnosis") -> Any:
    from rich.text import Text

    line = Text("  ").append(f"{diagnosis.level:<8}", _STYLES[diagnosis.level])
    line.append(f"{safe(diagnosis.subject)}: {safe(diagnosis.text, _LONGEST)}")
    if diagnosis.cure:
        line.append(f"\n          -> {safe(diagnosis.cure, _LONGEST)}")
    return line


def _conclusion(counts: Counter[str]) -> str:
    problems, warnings = counts["problem"], counts["warning"]
    line = f"{count(problems, 'problem')} to fix" if problems else "nothing to fix"
    return f"{line}, {count(warnings, 'warning')}" if warnings else line
