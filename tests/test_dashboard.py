"""The dashboard and the alert rules: they ask for what is written, and Prometheus answers them."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from world import TIMEOUT, wait_until

from killsync.outbox import metrics
from killsync.outbox.metrics import Metric, Sample

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "grafana" / "killsync.json"
ALERTS = ROOT / "grafana" / "alerts.yml"
MONITORING = ROOT / "docs" / "monitoring.md"
NAMES = {metric.name for metric in metrics.METRICS}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bkillsync_\w+", text))


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def queries() -> list[str]:
    """Return what the dashboard asks of Prometheus, for all machines."""
    return [
        target["expr"].replace("$instance", ".*")
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    ]


def test_the_dashboard_asks_for_all_that_is_written_and_nothing_else() -> None:
    assert set().union(*map(names_in, queries())) == NAMES


def test_the_alert_rules_ask_for_nothing_that_is_not_written() -> None:
    assert names_in(ALERTS.read_text()) <= NAMES


def test_every_metric_has_its_row_in_the_manual() -> None:
    rows = re.findall(r"^\| `(killsync_\w+)[`{]", MONITORING.read_text(), re.M)
    assert sorted(rows) == sorted(NAMES)


def test_every_panel_says_what_it_is_and_what_it_means_that_there_is_nothing() -> None:
    shown = dashboard()
    assert shown["templating"]["list"][0]["name"] == "DS_PROMETHEUS"
    for panel in shown["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["noValue"]
        assert panel["datasource"]["uid"] == "${DS_PROMETHEUS}"


def test_no_figure_is_green_because_there_is_none() -> None:
    shown = [
        panel["fieldConfig"]["defaults"]
        for panel in dashboard()["panels"]
        if panel["type"] == "stat"
    ]
    assert shown
    for defaults in shown:
        nothing = defaults["mappings"][-1]["options"]
        assert nothing["match"] == "null"
        assert nothing["result"]["text"] == defaults["noValue"]
        assert nothing["result"]["color"] not in ("green", "blue")


# with Prometheus itself, where it is installed


def sample(metric: Metric) -> list[Sample]:
    if metric is metrics.USERS:
        return [Sample(metric, 1, (("kind", "character"), ("state", "needs_login")))]
    if metric is metrics.REMAINING:
        return [Sample(metric, 3590, (("group", "killmail"),))]
    return [Sample(metric, int(time.time()) - 60)]


@contextmanager
def served(text: str) -> Iterator[str]:
    """Serve a file of metrics; yield host and port."""

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[str]:
    """Run a Prometheus that scrapes a target every second; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = directory / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{ALERTS}]\n"
        f"scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    words = ["prometheus", *options]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=directory) as process:
        try:
            yield f"http://{address}/api/v1"
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def asked(url: str, **parameters: str) -> Any:
    """Return what Prometheus answers, None while it does not."""
    with suppress(requests.ConnectionError):
        answer = requests.get(url, parameters, timeout=10)
        return answer.json()["data"] if answer.ok else None
    return None


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
def test_prometheus_has_an_answer_for_every_panel_and_can_evaluate_every_rule(
    tmp_path: Path,
) -> None:
    text = metrics.text([one for metric in metrics.METRICS for one in sample(metric)])
    with served(text) as target, prometheus(tmp_path, target) as url:
        # of a rate there is nothing before the second scrape
        rate = "increase(killsync_killmails_stored_total[1h])"
        wait_until(lambda: (asked(f"{url}/query", query=rate) or {}).get("result"))
        empty = [q for q in queries() if not asked(f"{url}/query", query=q)["result"]]
        assert empty == []
        rules = asked(f"{url}/rules")["groups"][0]["rules"]
        wait_until(
            lambda: all(r["health"] == "ok" for r in asked(f"{url}/rules")["groups"][0]["rules"])
        )
        assert len(rules) == ALERTS.read_text().count("- alert:")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", ALERTS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
