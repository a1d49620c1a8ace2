"""ESI and SSO: whether they answer, and whether this computer's clock agrees with ESI's."""

import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from killsync.doctor.diagnosis import Diagnosis, ok, problem, skipped, warning
from killsync.doctor.setup import Setup
from killsync.errors import KillsyncError, RateLimited, UsageError, WrongEnvironment, describe
from killsync.esi.client import Esi, StatusAnswer
from killsync.esi.ratelimit import Limits
from killsync.http import Http
from killsync.http.environment import find_certificates, proxy_at
from killsync.login.published import Published
from killsync.settings import application

# SSO's access tokens last 20 minutes, and are refused when the clock is behind by a minute
_TOKEN_LASTS = 1200.0
_SKEW_REFUSED = 60.0
_SKEW_NOTED = 30.0
_LONGEST = 15.0
_CRONTAB = "cron needs that too, in the crontab"
_PROXIES = ("https_proxy", "http_proxy", "all_proxy")
_CHECK_NETWORK = "check the network, the proxy and the firewall of this computer"


class _Asked:
    """A question asked in a thread of its own: an address that does not answer costs no minute."""

    def __init__(self, question: Callable[[], list[Diagnosis]], subject: str) -> None:
        self._question = question
        self._subject = subject
        self._answer: list[Diagnosis] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._answer = self._question()
        except WrongEnvironment as error:
            self._answer = [problem(self._subject, error.what, f"{error.cure} ({_CRONTAB})")]
        except KillsyncError as error:
            self._answer = [problem(self._subject, str(error), _CHECK_NETWORK)]
        except Exception as error:
            self._answer = [problem(self._subject, describe(error), _CHECK_NETWORK)]

    def answer(self, until: float) -> list[Diagnosis]:
        self._thread.join(max(0.0, until - time.monotonic()))
        if not self._thread.is_alive():
            return self._answer
        return [problem(self._subject, f"no answer within {_LONGEST:.0f} s", _CHECK_NETWORK)]


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how ESI and SSO answer."""
    yield from _environment(setup)
    until = time.monotonic() + _LONGEST
    asked = [_Asked(lambda: _esi(setup), "ESI"), _Asked(lambda: _sso(setup), "SSO")]
    for question in asked:
        yield from question.answer(until)


def examine_clock(skew: float) -> Diagnosis:
    """Return how wrong this computer's clock is; `skew` is how many seconds it is ahead."""
    off = f"{abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} ESI's"
    cure = "set it: sudo timedatectl set-ntp true"
    if -skew >= _SKEW_REFUSED or skew >= _TOKEN_LASTS:
        return problem("clock", f"is {off}: tokens that are valid are refused", cure)
    if abs(skew) >= _SKEW_NOTED:
        return warning("clock", f"is {off}: times and pauses are off by as much", cure)
    return ok("clock", "agrees with ESI's")


def _esi(setup: Setup) -> list[Diagnosis]:
    settings = setup.settings
    try:
        application.require_contact(settings)
        agent = application.user_agent(settings.contact)
    except UsageError:
        return [skipped("ESI", "contact is not set, without which ESI may not be called")]
    began = time.time()
    try:
        answer = Esi(Http(agent), settings.esi_url, Limits(0.0)).status()
    except RateLimited as error:
        return [warning("ESI", str(error), "wait: killsync does so by itself")]
    now = (began + time.time()) / 2
    answers = [_examine_status(settings.esi_url, answer)]
    if answer.date is not None:
        answers.append(examine_clock(now - answer.date))
    return answers


def _examine_status(url: str, answer: StatusAnswer) -> Diagnosis:
    host = urlsplit(url).netloc
    if answer.status == 200:
        return ok("ESI", f"{host} answers")
    if answer.status >= 500:
        text = f"{host} says {answer.status}: it is down (as daily for some minutes at 11:00 UTC)"
        return warning("ESI", text, "wait: nothing is lost, the next scan goes on")
    return problem("ESI", f"{host} says {answer.status}", "check esi_url and the proxy")


def _sso(setup: Setup) -> list[Diagnosis]:
    settings = setup.settings
    try:
        agent = application.user_agent(settings.contact)
    except UsageError:
        agent = application.user_agent("")
    published = Published(Http(agent), settings.sso_url, _Forgetful(), time.time)
    try:
        published.keys()
    except RateLimited as error:
        return [warning("SSO", str(error), "wait: killsync does so by itself")]
    return [ok("SSO", f"{urlsplit(settings.sso_url).netloc} answers, and gives its keys")]


def _environment(setup: Setup) -> Iterator[Diagnosis]:
    for name in sorted(setup.env):
        if name.lower() in _PROXIES and setup.env[name]:
            yield ok("proxy", f"{name} names {_host(setup.env[name])}: {_CRONTAB}")
    certificates = find_certificates(setup.env)
    if certificates is not None:
        text = f"{certificates.variable} names {certificates.path}: {_CRONTAB}"
        yield ok("certificates", text)


def _host(proxy: str) -> str:
    try:
        return proxy_at(proxy, "").host
    except ValueError:
        # never its user and password
        return "a proxy"


class _Forgetful:
    """Keeps nothing of what SSO publishes: it is to be asked, and nothing changed."""

    def document(self, url: str) -> tuple[bytes, float] | None:
        return None

    def keep_document(self, url: str, body: bytes, now: float) -> None:
        pass
