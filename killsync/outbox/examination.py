"""What doctor says of monitoring: whether it gets what scans send and write.

A quiet scan does not say.
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from killsync.doctor.diagnosis import Diagnosis, ok, problem, warning
from killsync.doctor.setup import Setup
from killsync.outbox import metrics_file, ping
from killsync.settings.places import expanded


def examine(setup: Setup) -> Iterator[Diagnosis]:
    """Yield how monitoring is, as far as it is set."""
    if setup.settings.ping_url:
        yield _ping(setup.settings.ping_url)
    if setup.settings.prometheus_file:
        yield _prometheus_file(setup)


def _ping(url: str) -> Diagnosis:
    pings = ping.Pings(url)
    # it makes the check neither green nor red
    pings.send(ping.LOG, "killsync doctor looks whether pings arrive\n")
    failure = pings.finish()
    if failure is not None:
        return problem("ping_url", failure, "compare ping_url with the address of your check")
    return ok("ping_url", f"{urlsplit(url).netloc} takes pings")


def _prometheus_file(setup: Setup) -> Diagnosis:
    subject, another = "prometheus_file", "set prometheus_file to another name"
    file = expanded(setup.settings.prometheus_file)
    directory = file.parent
    if not directory.is_dir():
        return problem(
            subject, f"{directory}: is not a directory", "create it, or set prometheus_file"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        text = f"{directory}: user {os.geteuid()} may not write it"
        return problem(subject, text, "give this user the directory, or set prometheus_file")
    if metrics_file.is_own(file, setup.settings, setup.file):
        return problem(subject, f"{file} {metrics_file.OWN}", another)
    if not metrics_file.is_plain(file):
        return problem(subject, f"{file} {metrics_file.NOT_PLAIN}", another)
    if file.suffix != ".prom":
        text = f"{file}: node_exporter reads no file whose name does not end in .prom"
        return warning(subject, text, another)
    return ok(subject, f"{file}")
