"""What is served beside ESI: EVE Ref's archives and zKillboard's lists."""

from killsync.simulator.archives import Archives
from killsync.simulator.options import Options
from killsync.simulator.routes import Target
from killsync.simulator.wire import Answer, Request, error
from killsync.simulator.world import World
from killsync.simulator.zkillboard import Zkillboard


class Elsewhere:
    """Other people's servers, of one world; `now` is when it started, in unix time."""

    def __init__(self, options: Options, world: World, now: float) -> None:
        self.archives = Archives(options, world, now)
        self.zkillboard = Zkillboard(options, world)

    def answer(self, request: Request, target: Target, *, too_soon: bool) -> Answer:
        """Answer one request; none of ESI's limits holds."""
        if target.route == "totals":
            return self.archives.totals(request)
        if target.day is not None:
            return self.archives.archive(request, target.day)
        if target.route == "zkb":
            return self.zkillboard.answer(request, target, too_soon=too_soon)
        return error(404, "Not Found")
