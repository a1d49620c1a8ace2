"""The settings: whether they are valid and enough, and where secrets stand."""

from collections.abc import Iterator

from killsync.doctor.diagnosis import Diagnosis, ok, problem, skipped, warning
from killsync.doctor.setup import Setup
from killsync.errors import UsageError
from killsync.settings import application, config
from killsync.settings.config import Source


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how the settings are."""
    yield from _file(setup)
    yield from _client_id(setup)
    yield from _contact(setup)
    yield from _secrets(setup)
    yield from _misspelt(setup)


def _file(setup: Setup) -> Iterator[Diagnosis]:
    subject = "configuration"
    for mistake in setup.found.mistakes:
        yield problem(subject, mistake, f"correct it, or write it again: {_init_again(setup)}")
    if setup.found.mistakes:
        return
    if setup.file.exists():
        yield ok(subject, f"{setup.file}")
    else:
        text = f"{setup.file}: does not exist, and cron does not see what a shell exports"
        yield warning(subject, text, setup.command("init"))


def _client_id(setup: Setup) -> Iterator[Diagnosis]:
    if setup.settings.client_id:
        yield ok("client_id", "is set")
    elif _is_unknown(setup):
        yield skipped("client_id", "the configuration file cannot be read")
    else:
        text = "is not set: killsync works through an EVE application of your own"
        yield problem("client_id", text, _init(setup))


def _contact(setup: Setup) -> Iterator[Diagnosis]:
    settings = setup.settings
    if not settings.contact and _is_unknown(setup):
        yield skipped("contact", "the configuration file cannot be read")
        return
    try:
        application.require_contact(settings)
    except UsageError:
        what = "is not plain ASCII" if settings.contact else "is not set"
        yield problem("contact", f"{what}: ESI asks for a way to reach you", _init(setup))
    else:
        yield ok("contact", "is set" if settings.contact else "is not needed for a simulator")


def _secrets(setup: Setup) -> Iterator[Diagnosis]:
    for key, read in (("client_secret", config.client_secret), ("token_key", config.token_keys)):
        try:
            read(setup.settings)
        except UsageError as error:
            yield problem(key, str(error), f"correct {key}_file, or the file that it names")
        if setup.found.origins.get(key) is Source.ENVIRONMENT:
            yield warning(
                key,
                "stands in the environment, which every program started from here inherits",
                f"put it into a file of mode 600, and set {key}_file",
            )


def _misspelt(setup: Setup) -> Iterator[Diagnosis]:
    for name, near in config.unknown_variables(setup.env).items():
        meant = f"; {near} may be meant" if near else ""
        yield warning(name, f"is not a setting, and does nothing{meant}", f"unset {name}")


def _is_unknown(setup: Setup) -> bool:
    """Return whether the file could not be read at all."""
    return bool(setup.found.mistakes) and Source.FILE not in setup.found.origins.values()


def _init(setup: Setup) -> str:
    if not setup.file.exists():
        return setup.command("init")
    return f"set it in {setup.file}, or {_init_again(setup)}"


def _init_again(setup: Setup) -> str:
    return setup.command("init --force")
