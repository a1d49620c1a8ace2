"""The control API under `/_control/`: the true state, and every knob a test can turn."""

from collections.abc import Callable
from typing import Any

import msgspec

from killsync.simulator.archives import NewArchive, date_of
from killsync.simulator.bodies import Killmail
from killsync.simulator.control_inputs import (
    ForcedErrorLimit,
    Move,
    NewCharacter,
    NewCorporation,
    NewKillmails,
    NewToken,
    Removal,
    Revocation,
    Role,
    Thaw,
)
from killsync.simulator.elsewhere import Elsewhere
from killsync.simulator.faults import Fault, FaultRules
from killsync.simulator.limits import ErrorLimit
from killsync.simulator.lists import ListOwner
from killsync.simulator.log import Log
from killsync.simulator.naming import Naming, NewNames
from killsync.simulator.options import Options, change
from killsync.simulator.players import Character, Corporation
from killsync.simulator.prices import Market, NewPrices
from killsync.simulator.routes import CONTROL_PREFIX, to_number
from killsync.simulator.sso import Sso
from killsync.simulator.wire import Answer, Request, error, json_answer
from killsync.simulator.world import World, WorldError
from killsync.simulator.zkillboard import NewListing


class Control:
    """Answers the control API."""

    def __init__(
        self,
        options: Options,
        world: World,
        sso: Sso,
        naming: Naming,
        market: Market,
        elsewhere: Elsewhere,
        faults: FaultRules,
        errors: ErrorLimit,
        log: Log,
    ) -> None:
        self.options = options
        self.world = world
        self.sso = sso
        self.tokens = sso.tokens
        self.naming = naming
        self.market = market
        self.faults = faults
        self.errors = errors
        self.log = log
        self._secrets: set[str] = set()
        self._remember_secret()
        self._calls: dict[tuple[str, str], Callable[[Request, float], Any]] = {
            ("GET", "truth"): self._read_truth,
            ("GET", "secrets"): lambda request, now: sorted(
                self.tokens.ever_issued | self._secrets
            ),
            ("GET", "log"): self._read_log,
            ("DELETE", "log"): lambda request, now: self.log.entries.clear(),
            ("GET", "options"): lambda request, now: self.options,
            ("POST", "options"): self._change_options,
            ("POST", "characters"): self._add_character,
            ("POST", "corporations"): self._add_corporation,
            ("POST", "roles"): self._set_role,
            ("POST", "affiliation"): self._move,
            ("POST", "killmails"): self._add_killmails,
            ("POST", "remove"): self._remove_killmails,
            ("POST", "thaw"): self._thaw_lists,
            ("POST", "names"): lambda request, now: self.naming.change(
                msgspec.json.decode(request.body, type=NewNames)
            ),
            ("POST", "prices"): lambda request, now: self.market.change(
                msgspec.json.decode(request.body, type=NewPrices)
            ),
            ("POST", "archives"): lambda request, now: elsewhere.archives.change(
                msgspec.json.decode(request.body, type=NewArchive), now
            ),
            ("POST", "zkb"): lambda request, now: elsewhere.zkillboard.change(
                msgspec.json.decode(request.body, type=NewListing)
            ),
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): lambda request, now: self.faults.clear(),
            ("POST", "error_limit"): self._force_error_limit,
            ("POST", "rotate_key"): lambda request, now: self.tokens.rotate_key(),
            ("POST", "revoke"): self._revoke_tokens,
            ("POST", "tokens"): self._issue_token,
            ("POST", "expire_access"): lambda request, now: self.tokens.expire_access(),
        }

    def answer(self, request: Request, now: float) -> Answer:
        """Answer one control request: 404 for an unknown call, 400 for bad input."""
        call = self._calls.get((request.method, request.path.removeprefix(CONTROL_PREFIX)))
        if call is None:
            return error(404, "no such control call")
        try:
            result = call(request, now)
        except (msgspec.DecodeError, UnicodeDecodeError, WorldError) as problem:
            return error(400, str(problem))
        return json_answer({} if result is None else result)

    def _read_truth(self, request: Request, now: float) -> dict[str, Any]:
        days = [date_of(day) for day in self.world.past.days]
        truth: dict[str, Any] = {"old_days": days, "characters": {}, "corporations": {}}
        for character in self.world.characters.values():
            truth["characters"][str(character.character_id)] = {
                "refresh_token": self.tokens.refresh_token(character.character_id),
                **self._true_lists(character),
            }
        for corporation in self.world.corporations.values():
            truth["corporations"][str(corporation.corporation_id)] = {
                "directors": sorted(corporation.directors),
                "members": self.world.members(corporation.corporation_id),
                **self._true_lists(corporation),
            }
        if request.query.get("bodies") != "0":
            killmails = self.world.everything()
            truth["bodies"] = {str(k.killmail_id): self._true_body(k) for k in killmails}
        return truth

    def _true_lists(self, owner: ListOwner) -> dict[str, Any]:
        """Return what a list shows, and what took place before it begins."""
        return {
            "name": owner.name,
            "list": [_reference(killmail) for killmail in owner.newest_first()],
            "old": [_reference(killmail) for killmail in self.world.past.of(owner.owner_id)],
        }

    def _true_body(self, killmail: Killmail) -> Any:
        body, _ = self.world.encode_body(killmail)
        if killmail.text is None:
            return msgspec.Raw(body)
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return killmail.text

    def _read_log(self, request: Request, now: float) -> Any:
        if "count" in request.query:
            return self.log.counts()
        after = to_number(request.query.get("after", "0")) or 0
        return [entry for entry in self.log.entries if entry.n > after]

    def _change_options(self, request: Request, now: float) -> Options:
        changes = msgspec.json.decode(request.body, type=dict[str, Any])
        change(self.options, changes)
        self.sso.clients.add(self.options.client_id)
        self._remember_secret()
        if changes.keys() & {"page_size", "list_max_age"}:
            for owner in self.world.list_owners():
                owner.thaw()
        return self.options

    def _remember_secret(self) -> None:
        if self.options.client_secret is not None:
            self._secrets.add(self.options.client_secret)

    def _add_character(self, request: Request, now: float) -> dict[str, Any]:
        new = msgspec.json.decode(request.body or b"{}", type=NewCharacter)
        character = self.world.add_character(new.character_id, new.name, new.scopes, new.order)
        self.world.add_history(character, new.killmails, now)
        return {
            "character_id": character.character_id,
            "name": character.name,
            "refresh_token": self.tokens.issue(character, self.options.client_id),
        }

    def _add_corporation(self, request: Request, now: float) -> dict[str, Any]:
        new = msgspec.json.decode(request.body or b"{}", type=NewCorporation)
        members = [self.world.character(character_id) for character_id in new.members]
        for character_id in new.directors:
            self.world.character(character_id)
        corporation = self.world.add_corporation(
            members, new.directors, new.corporation_id, new.name, new.order
        )
        self.world.add_history(corporation, new.killmails, now)
        return {"corporation_id": corporation.corporation_id, "name": corporation.name}

    def _set_role(self, request: Request, now: float) -> None:
        role = msgspec.json.decode(request.body, type=Role)
        directors = self.world.corporation(role.corporation_id).directors
        character_id = self.world.character(role.character_id).character_id
        if role.director:
            directors.add(character_id)
        else:
            directors.discard(character_id)

    def _move(self, request: Request, now: float) -> None:
        move = msgspec.json.decode(request.body, type=Move)
        self.world.move(self.world.character(move.character_id), move.corporation_id)

    def _add_killmails(self, request: Request, now: float) -> list[tuple[int, str]]:
        new = msgspec.json.decode(request.body, type=NewKillmails)
        if new.count > 1 and new.killmail_id is not None:
            raise WorldError("killmail_id suits a single killmail only")
        partner = None if new.shared_with is None else self.world.character(new.shared_with)
        corporation = None
        if new.corporation_id is not None:
            corporation = self.world.corporation(new.corporation_id)
        owner: ListOwner | None = corporation
        if new.character_id is not None:
            owner = self.world.character(new.character_id)
        if owner is None:
            raise WorldError("character_id or corporation_id is needed")
        return [self._add_killmail(new, owner, partner, corporation, now) for _ in range(new.count)]

    def _add_killmail(
        self,
        new: NewKillmails,
        owner: ListOwner,
        partner: Character | None,
        corporation: Corporation | None,
        now: float,
    ) -> tuple[int, str]:
        killmail_id = new.killmail_id
        if killmail_id is None:
            killmail_id = self.world.late_id(owner) if new.late else self.world.next_id()
        killmail = self.world.add_killmail(owner, killmail_id, now, partner, corporation)
        killmail.text = new.body_text
        killmail.killmail_hash = new.killmail_hash or killmail.killmail_hash
        return _reference(killmail)

    def _remove_killmails(self, request: Request, now: float) -> None:
        removal = msgspec.json.decode(request.body, type=Removal)
        for owner in self._chosen(removal.character_id, removal.corporation_id):
            owner.remove(set(removal.killmail_ids))

    def _thaw_lists(self, request: Request, now: float) -> None:
        thaw = msgspec.json.decode(request.body or b"{}", type=Thaw)
        chosen = self._chosen(thaw.character_id, thaw.corporation_id)
        for owner in chosen or self.world.list_owners():
            owner.thaw()

    def _chosen(self, character_id: int | None, corporation_id: int | None) -> list[ListOwner]:
        chosen: list[ListOwner] = []
        if character_id is not None:
            chosen.append(self.world.character(character_id))
        if corporation_id is not None:
            chosen.append(self.world.corporation(corporation_id))
        return chosen

    def _add_fault(self, request: Request, now: float) -> None:
        self.faults.add(msgspec.json.decode(request.body, type=Fault))

    def _force_error_limit(self, request: Request, now: float) -> None:
        self.errors.force(msgspec.json.decode(request.body, type=ForcedErrorLimit).seconds, now)

    def _revoke_tokens(self, request: Request, now: float) -> None:
        self.tokens.revoke_character(
            msgspec.json.decode(request.body, type=Revocation).character_id
        )

    def _issue_token(self, request: Request, now: float) -> dict[str, str]:
        new = msgspec.json.decode(request.body, type=NewToken)
        client_id = new.client_id or self.options.client_id
        self.sso.clients.add(client_id)
        character = self.world.character(new.character_id)
        return {"refresh_token": self.tokens.issue(character, client_id, new.scopes)}


def _reference(killmail: Killmail) -> tuple[int, str]:
    return killmail.killmail_id, killmail.killmail_hash
