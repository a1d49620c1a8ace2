"""ISK as players write it."""

_UNITS = ("", "k", "m", "b", "t")


def isk(value: float | None) -> str:
    """Return `1.2b`, `340m`, `12.5k`, `980`; `-` for a value that is not known."""
    if value is None:
        return "-"
    for power, unit in enumerate(_UNITS):
        shown = value / 1000**power
        # a tenth matters only below a hundred of a unit, and there is none of a single ISK
        rounded = round(shown, 1 if power and abs(shown) < 99.95 else 0)
        if abs(rounded) < 1000 or unit == _UNITS[-1]:
            return f"{rounded:,.1f}".removesuffix(".0") + unit
    raise AssertionError("the last unit takes any value")
