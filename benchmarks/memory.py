"""The peak memory of a first sync: that of a long history, compared with a shorter one."""

import subprocess

from figures import Figure, Scale, format_size
from installation import UNLIMITED, installation
from spending import killsync, peak_memory

_MOST = 100e6


def measure(scale: Scale) -> list[Figure]:
    """Measure two first syncs of one character each."""
    many, few = scale.of(50_000, 600), scale.of(5_000, 300)
    peaks = {count: _peak(count) for count in (few, many)}
    ratio = peaks[many] / peaks[few]
    return [
        Figure(
            what=f"peak memory of a first sync, {many:,} killmails",
            measured=format_size(peaks[many]),
            peer=format_size(peaks[few]),
            ratio=ratio,
            goal="at most 1.1, and 100 MB",
            met=ratio <= 1.1 and peaks[many] <= _MOST,
            note=f"resident memory; peer: {few:,} killmails",
        )
    ]


def _peak(killmails: int) -> float:
    with installation(killmails=killmails, characters=1, **UNLIMITED) as program:
        command = killsync("scan", "--quiet", "--max-runtime", "1h")
        with subprocess.Popen(command, env=program.environment) as process:
            peak = peak_memory(process)
        stored = program.rows("SELECT count(*) FROM killmails")
    if stored != [(killmails,)]:
        raise RuntimeError(f"{stored} killmails were stored, {killmails} expected")
    return peak
