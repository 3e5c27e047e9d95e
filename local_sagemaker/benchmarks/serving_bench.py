"""What the cases of the serving benchmark work with."""

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from servers.server import Server
from serving_requests import Example

Kind = TypeVar("Kind", bound=Server)


@dataclass
class Bench:
    """What the cases work with."""

    servers: dict[str, Server]  # running servers that hold the models, by name
    models: dict[str, Path]  # model folders by name
    examples: dict[str, Example]  # an example for each case of a single call
    workplace: Path  # folder for files
    rounds: int  # how often each server is measured
    share: float = 1.0  # which share of the usual calls a round makes
    shuffler: random.Random = field(default_factory=lambda: random.Random(0))

    def in_turn(self, what: str, *, rounds: int | None = None) -> Iterator[Server]:
        """Yield every server once a round, in a new order each time, saying on standard error how far it is."""
        count = rounds or self.rounds
        for number in range(count):
            print(f"{what}: round {number + 1} of {count}", file=sys.stderr)
            yield from self.shuffler.sample(list(self.servers.values()), len(self.servers))

    def fresh(self, kind: type[Kind], what: str) -> Kind:
        """Return another server of a kind, without models, which a `with` starts and stops."""
        return kind(self.workplace / f"{what}-{kind.__name__}")
