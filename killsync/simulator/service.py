"""From a request to its answer: limits first, then faults, then the route, then the cost."""

import math

import msgspec

from killsync.simulator.control import Control
from killsync.simulator.elsewhere import Elsewhere
from killsync.simulator.esi import Esi
from killsync.simulator.faults import Fault, FaultRules, apply
from killsync.simulator.limits import Allowance, Bucket, Limits, bucket_headers, cost_of
from killsync.simulator.log import Entry, Log
from killsync.simulator.naming import Naming, ids_asked
from killsync.simulator.options import Options
from killsync.simulator.prices import Market
from killsync.simulator.routes import CONTROL_PREFIX, Target, target_of
from killsync.simulator.sso import Sso
from killsync.simulator.tokens import Tokens
from killsync.simulator.wire import Answer, Request, error
from killsync.simulator.world import World

ERROR_LIMITED = (
    "This software has exceeded the error limit for ESI. "
    "If you are a user, please contact the maintainer of this software."
)


class Outcome(msgspec.Struct):
    """An answer, its latency in seconds, and the fault, if any, to apply to its delivery."""

    answer: Answer
    fault: Fault | None = None
    latency: float = 0
    entry: Entry | None = None


class Service:
    """All parts of one simulated ESI and SSO, without the sockets."""

    def __init__(self, options: Options, now: float) -> None:
        self.options = options
        self.base_url = ""
        self.world = World(options, now)
        self.tokens = Tokens(options, self.world)
        self.sso = Sso(options, self.world, self.tokens)
        self.naming = Naming(options, self.world)
        self.market = Market(options)
        self.esi = Esi(options, self.world, self.tokens, self.naming, self.market, now)
        self.elsewhere = Elsewhere(options, self.world, now)
        self.limits = Limits()
        self.faults = FaultRules()
        self.log = Log()
        self.control = Control(
            options,
            self.world,
            self.sso,
            self.naming,
            self.market,
            self.elsewhere,
            self.faults,
            self.limits.errors,
            self.log,
        )

    def respond(self, request: Request, connection: int, now: float) -> Outcome:
        """Decide the answer to a request; the caller must call `finish` afterwards."""
        self.world.play_on(now)
        if request.path.startswith(CONTROL_PREFIX):
            return Outcome(self.control.answer(request, now))
        target = target_of(request)
        self.sso.identify(request, target)
        self.esi.identify(request, target)
        entry = self._enter(request, target, connection, now)
        if target.is_sso:
            outcome = self._respond_sso(request, target, entry.in_flight, now)
        elif target.is_elsewhere:
            outcome = self._respond_elsewhere(request, target, entry, now)
        else:
            outcome = self._respond_esi(request, target, entry, now)
        outcome.entry = entry
        outcome.latency = self._latency(target) + (outcome.fault.delay if outcome.fault else 0)
        entry.fault = outcome.fault is not None
        silent = outcome.fault is not None and outcome.fault.withholds_answer
        entry.status = None if silent else outcome.answer.status
        return outcome

    def finish(self, outcome: Outcome, now: float) -> None:
        """Record that an outcome has been delivered, or never will be."""
        if outcome.entry:
            self.log.leave(outcome.entry, now)
            outcome.entry = None

    def _enter(self, request: Request, target: Target, connection: int, now: float) -> Entry:
        number, in_flight = self.log.enter(target.route)
        entry = Entry(
            n=number,
            start=now,
            method=request.method,
            path=request.path,
            route=target.route,
            character_id=target.character_id,
            corporation_id=target.corporation_id,
            page=target.page,
            killmail_id=target.killmail_id,
            user_agent=request.headers.get("user-agent"),
            compatibility_date=request.headers.get("x-compatibility-date"),
            if_none_match=request.headers.get("if-none-match"),
            authorized="authorization" in request.headers,
            connection=connection,
            in_flight=in_flight,
            generation=target.generation,
            day=target.day,
            ids=ids_asked(request) if target.route in ("names", "affiliation") else None,
        )
        self.log.add(entry)
        return entry

    def _latency(self, target: Target) -> float:
        if target.route in ("list", "corp_list"):
            return self.options.latency_list
        return self.options.latency_sso if target.is_sso else self.options.latency_body

    def _respond_sso(self, request: Request, target: Target, in_flight: int, now: float) -> Outcome:
        fault = self.faults.match(target)
        answer = apply(
            fault, lambda: self.sso.answer(request, target, self.base_url, in_flight, now)
        )
        return Outcome(answer, fault)

    def _respond_elsewhere(
        self, request: Request, target: Target, entry: Entry, now: float
    ) -> Outcome:
        too_soon = target.route == "zkb" and self.elsewhere.zkillboard.comes_too_soon(now)
        entry.too_soon = too_soon
        fault = self.faults.match(target)
        answer = apply(fault, lambda: self.elsewhere.answer(request, target, too_soon=too_soon))
        return Outcome(answer, fault)

    def _respond_esi(self, request: Request, target: Target, entry: Entry, now: float) -> Outcome:
        options, errors = self.options, self.limits.errors
        window = (options.error_limit, options.error_window, now)
        if errors.exceeded(*window):
            return Outcome(error(420, ERROR_LIMITED, errors.headers(*window)))
        allowance = self.esi.allowance(target.route)
        if allowance:
            return self._respond_within_bucket(request, target, entry, allowance, now)
        fault = self.faults.match(target)
        answer = apply(fault, lambda: self.esi.answer(request, target, now))
        if answer.status >= 400 and answer.status != 429:
            errors.count(options.error_window, now)
        return _with_headers(answer, fault, errors.headers(*window))

    def _respond_within_bucket(
        self, request: Request, target: Target, entry: Entry, allowance: Allowance, now: float
    ) -> Outcome:
        owner = self.esi.bucket_owner(request, target)
        bucket = self.limits.bucket(allowance.group, owner)
        wait = bucket.wait(allowance, now)
        if wait > 0:
            outcome = Outcome(_too_many_requests(wait))
        else:
            fault = self.faults.match(target)
            outcome = Outcome(apply(fault, lambda: self.esi.answer(request, target, now)), fault)
        return _bill(outcome, entry, allowance, bucket, now)


def _too_many_requests(wait: float) -> Answer:
    return error(429, "Too many requests", {"Retry-After": str(math.ceil(wait))})


def _bill(
    outcome: Outcome, entry: Entry, allowance: Allowance, bucket: Bucket, now: float
) -> Outcome:
    entry.cost = cost_of(outcome.answer.status)
    entry.group = allowance.group
    bucket.spend(entry.cost, now)
    entry.remaining = bucket.remaining(allowance, now)
    return _with_headers(outcome.answer, outcome.fault, bucket_headers(allowance, bucket, now))


def _with_headers(answer: Answer, fault: Fault | None, limits: dict[str, str]) -> Outcome:
    if fault is None or fault.keep_limit_headers:
        answer.headers = limits | answer.headers
    return Outcome(answer, fault)
