from collections.abc import Callable

from world import Killsync


def test_two_scans(killsync: Callable[..., Killsync]) -> None:
    program = killsync(characters=2, killmails=120, page_size=50, list_tokens=0)
    program.run("scan")
    program.assert_equals_truth()
    for login in program.simulator.logins:
        program.simulator.add_killmails(login["character_id"], 3)
    program.simulator.thaw()
    program.make_due()
    program.simulator.clear_log()
    program.run("scan")
    assert len(program.simulator.log("list")) == 2
    program.assert_equals_truth()
