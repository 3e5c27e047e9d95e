"""What the cases of the serving benchmark work with."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from servers.peer import Peer
from servers.server import Server
from serving_requests import Example


@dataclass
class Bench:
    """What the cases work with."""

    servers: dict[str, Server]  # running servers that hold the models, by name
    models: dict[str, Path]  # model folders by name
    examples: dict[str, Example]  # an example for each case of a single call
    workplace: Path  # folder for files
    environments: Path  # folder of the peers' environments
    rounds: int  # how often each server is measured
    share: float = 1.0  # which share of the usual calls a round makes
    shuffler: random.Random = field(default_factory=lambda: random.Random(0))

    def in_turn(self, what: str, *, rounds: int | None = None) -> Iterator[Server]:
        """Yield every server once a round, in a new order each time, saying on standard error how far it is."""
        count = rounds or self.rounds
        for number in range(count):
            print(f"{what}: round {number + 1} of {count}", file=sys.stderr)
            yield from self.shuffler.sample(list(self.servers.values()), len(self.servers))

    @contextmanager
    def fresh(self, server: Server, what: str) -> Iterator[Server]:
        """Start another server of the same kind, without models, and stop it."""
        another = type(server)(self.workplace / f"{what}-{server.name.replace(' ', '-')}")
        another.workplace.mkdir(parents=True)
        if isinstance(another, Peer):
            another.prepare(self.environments)
        another.start()
        try:
            yield another
        finally:
            another.stop()
