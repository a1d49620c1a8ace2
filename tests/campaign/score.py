"""What a part of the campaign has tried, and what went wrong."""

from dataclasses import dataclass, field


@dataclass
class Score:
    """One row of the campaign's table; `problems` says in words what must not be."""

    part: str
    cases: int = 0
    faults: int = 0
    kills: int = 0
    requests: int = 0
    # bodies asked for twice that a kill explains, and users whose rotated token a kill has lost
    asked_again: int = 0
    new_logins: int = 0
    lost: int = 0
    duplicated: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def must(self, holds: bool, otherwise: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.problems.append(f"{self.part}: {otherwise}")
