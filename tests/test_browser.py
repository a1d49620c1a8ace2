"""A login, and the killboard, in a real browser, where there is one."""

import html
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from killboard import FIRST_ID, IMAGE, SCRIPT, YLVA, browse, make_database
from test_login import free_port
from world import TIMEOUT, Killsync, wait_until

pytestmark = pytest.mark.long

CHROMIUM = shutil.which("chromium")
# without these it looks for hosts of its maker's; root may not have its sandbox
ALONE = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
)
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here: `apt-get install chromium`"
)


@NEEDS_CHROMIUM
def test_a_character_logs_in_with_chromium(
    killsync: Callable[..., Killsync], tmp_path: Path
) -> None:
    program = killsync(users=False, characters=1, killmails=0, consent_page=False)
    browser, shown = tmp_path / "browser", tmp_path / "shown"
    browser.write_text(
        f"#!/bin/sh\n{CHROMIUM} {ALONE} --user-data-dir={tmp_path}/profile --dump-dom "
        f'"$1" > {shown}.part 2> /dev/null\nmv {shown}.part {shown}\n'
    )
    browser.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-m", "killsync", "login"],
        env=program.environment
        | {
            "BROWSER": str(browser),
            "KILLSYNC_CALLBACK_URL": f"http://localhost:{free_port()}/callback",
        },
    ) as login:
        assert login.wait(TIMEOUT) == 0
    wait_until(shown.exists)
    assert f"{program.simulator.logins[0]['name']} is registered" in shown.read_text()
    assert len(program.rows("SELECT 1 FROM users")) == 1


@NEEDS_CHROMIUM
def test_hostile_names_do_nothing_on_the_killboard(tmp_path: Path) -> None:
    make_database(tmp_path / "killsync.db")
    with browse(tmp_path / "killsync.db") as killboard:
        for path in ("/", f"/killmail/{FIRST_ID + 3}", f"/character/{YLVA}", "/killsync/names"):
            shown = subprocess.run(
                [
                    *(str(CHROMIUM), *ALONE.split(), "--enable-logging=stderr"),
                    *(f"--user-data-dir={tmp_path}/profile", "--dump-dom"),
                    killboard.address.rstrip("/") + path,
                ],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=True,
            )
            assert "taken over</title>" not in shown.stdout
            assert "<title>" in shown.stdout
            # neither a script that ran nor one that was kept from running
            assert ":CONSOLE" not in shown.stderr
            assert "<script>document" not in shown.stdout
        assert html.escape(SCRIPT, quote=False) in killboard.get("/").text.replace("&#39;", "'")
        assert IMAGE in html.unescape(killboard.get("/").text)
