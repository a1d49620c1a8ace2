"""Where an item lay: the inventory flag of an item line."""

_RACKS = (range(11, 35), range(92, 100), range(125, 133), range(164, 172))


def is_fitted(flag: int) -> bool:
    """Return whether what lies there is part of the fit: a slot of a rack, its charge too."""
    return any(flag in rack for rack in _RACKS)
