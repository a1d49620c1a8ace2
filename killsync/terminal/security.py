"""A system's security in the colours of the game."""

# 1.0, 0.9, ... 0.1; the last is for 0.0 and below
_COLOURS = (
    "#2c75e1", "#399aeb", "#4ecef8", "#60dba3", "#71e754",
    "#f5ff83", "#dc6c06", "#ce440f", "#bb1116", "#a03030",
    "#8d3163",
)  # fmt: skip


def security_style(security: float) -> str:
    """Return rich's style for a security of one decimal, as the game shows it."""
    tenths = min(10, max(0, round(security * 10)))
    return _COLOURS[10 - tenths]
