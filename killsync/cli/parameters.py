"""What a command takes, as typer knows it: options, arguments, what may stand for a value."""

import inspect
from enum import Enum
from typing import Any, get_args

import msgspec
from typer.core import TyperCommand, TyperGroup

from killsync.times import duration_text

AnyCommand = TyperCommand | TyperGroup


class Parameter(msgspec.Struct, frozen=True):
    """An option, or an argument if it has no `names`; a flag has no `value`.

    `value` is what stands for a value in the help, such as USER, and says what completes it.
    """

    names: tuple[str, ...]
    value: str = ""
    choices: tuple[str, ...] = ()
    help: str = ""
    default: str = ""
    required: bool = False
    repeats: bool = False

    @property
    def shown(self) -> str:
        """What stands for the value in the help: USER, or the choices."""
        return "|".join(self.choices) or self.value

    @property
    def takes_next(self) -> bool:
        """Whether the word after the option is its value: a `[=VALUE]` may be left out."""
        return bool(self.shown) and not self.shown.startswith("[")


HELP = Parameter(("-h", "--help"), help="Show this and end.")


def parameters(command: AnyCommand) -> list[Parameter]:
    """Return what a command takes, in the order in which it declares it.

    The types are those of its function: what typer makes of them shows only their names.
    """
    assert command.callback is not None
    annotations = {
        name: parameter.annotation
        for name, parameter in inspect.signature(command.callback).parameters.items()
    }
    taken: list[Any] = list(command.params)
    found = [
        _parameter(one, _plain_types(annotations.get(one.name, str)))
        for one in taken
        if not one.hidden
    ]
    return [*found, HELP]


def summary(text: str | None) -> str:
    """Return the first sentence or line of a command's help, whole."""
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


def _parameter(one: Any, types: tuple[Any, ...]) -> Parameter:
    is_option = one.param_type_name == "option"
    choices = [kind for kind in types if isinstance(kind, type) and issubclass(kind, Enum)]
    return Parameter(
        # the short one first
        names=tuple(sorted([*one.opts, *one.secondary_opts], key=len)) if is_option else (),
        value="" if choices or (is_option and one.is_flag) else _value(one, types),
        choices=tuple(str(member.value) for kind in choices for member in kind),
        help=one.help or "",
        default=_default(one),
        required=one.required,
        repeats=one.nargs == -1 or bool(is_option and one.multiple),
    )


def _value(one: Any, types: tuple[Any, ...]) -> str:
    if one.metavar:
        return str(one.metavar).removesuffix("...")
    if int in types:
        return "N"
    if str in types:
        return str(one.name).rpartition("_")[2].upper()
    return "PATH"


def _default(one: Any) -> str:
    if isinstance(one.show_default, str):
        return one.show_default
    if one.default is None and one.param_type_name == "option":
        return _of_setting(one.name)
    if not one.show_default or one.default in (None, False, (), []):
        return ""
    return str(one.default.value if isinstance(one.default, Enum) else one.default)


def _of_setting(name: str) -> str:
    """Return what an option of a setting's name stands at if neither is given."""
    from killsync.settings.config import Settings
    from killsync.settings.values import Duration

    value = getattr(Settings(), name, "")
    if value in ("", False):
        return ""
    shown = duration_text(value) if isinstance(value, Duration) else str(value)
    return f"{shown}, or what the configuration says"


def _plain_types(annotation: Any) -> tuple[Any, ...]:
    """Return the types in an annotation: of `list[str] | None` it is `str`, and that of None."""
    inner = [one for one in get_args(annotation) if isinstance(one, type) or get_args(one)]
    if not inner:
        return (annotation,)
    return tuple(found for one in inner for found in _plain_types(one))
