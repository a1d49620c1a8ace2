"""Where rich prints: standard output, as a person or a pipe takes it, or standard error."""

from typing import Any


def show(renderable: Any) -> None:
    """Print something of rich's to standard output; colour only at a terminal."""
    console().print(renderable)


def console() -> Any:
    """Return a console for standard output that reads no markup and invents no emoji.

    It raises BrokenPipeError, where rich's own would end the program with 1.
    """
    from rich.console import Console

    class PipedConsole(Console):
        def on_broken_pipe(self) -> None:
            raise

    return PipedConsole(markup=False, emoji=False, highlight=False)


def error_console() -> Any:
    """Return a console for standard error, where progress is shown, that reads no markup."""
    from rich.console import Console

    return Console(stderr=True, markup=False, emoji=False, highlight=False)
