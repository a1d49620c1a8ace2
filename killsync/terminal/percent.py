"""Shares as people read them."""


def percent(share: float | None, unknown: str = "-") -> str:
    """Return a share of 0 to 1 as `84%`.

    Only all of it is 100%, and only nothing 0%: what is nearly so is 99% or 1%.
    """
    if share is None:
        return unknown
    if 0 < share < 1:
        share = min(max(share, 0.01), 0.99)
    return f"{share:.0%}"
