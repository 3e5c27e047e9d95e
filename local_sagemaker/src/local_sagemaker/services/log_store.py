"""The lines of log streams on disk, where moto finds them when somebody asks for them.

They lie in a database of their own: each line is there when it can be read, whatever happens to the server, but it is
not forced to the medium one by one; ``sync`` does that when a job ends. The oldest lines go when there are too many.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.backends import get_backend
from moto.logs import models as logs_models
from moto.logs.exceptions import InvalidParameterException

from local_sagemaker.asgi import Request
from local_sagemaker.errors import losing
from local_sagemaker.services import aws_services
from local_sagemaker.services.journal import Journal
from local_sagemaker.settings import ACCOUNT_ID

_LOOK_EVERY = 1000  # lines, after which it is seen whether some must go
_SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (number INTEGER PRIMARY KEY, region TEXT NOT NULL, name TEXT NOT NULL,
    stream TEXT NOT NULL, timestamp INTEGER NOT NULL, message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS streams ON lines (region, name, stream, timestamp);
CREATE TABLE IF NOT EXISTS own_streams (region TEXT NOT NULL, name TEXT NOT NULL, stream TEXT NOT NULL,
    created INTEGER NOT NULL, PRIMARY KEY (region, name, stream)) WITHOUT ROWID;
"""
_OF_STREAM = "region = ? AND name = ? AND stream = ?"
_Place = tuple[str, str, str]  # region, group and stream


class LogStore:
    """Tables of log lines, and of the streams that the emulator itself has made."""

    def __init__(self, path: Path, journal: Journal, *, max_bytes: int, max_seconds: float) -> None:
        """Open the database, give moto its streams, and let moto keep all lines here; the journal has their groups.

        Beyond so many bytes the oldest lines go, and beyond that age lines and empty streams.
        """
        self._journal = journal
        self._max_bytes, self._max_seconds = max_bytes, max_seconds
        self._lock = threading.Lock()
        self._written = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        self._drop_oldest()
        KeptStream.store = self
        for region, group, stream, created in self._rows("SELECT region, name, stream, created FROM own_streams"):
            _open(region, group, stream).creation_time = _moment(created)

    def open(self, region: str, group: str, stream: str) -> None:
        """Create a stream, and its group if needed."""
        if group not in _backend(region).groups:
            target = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Logs_20140328.CreateLogGroup"}
            request = Request("POST", "/", "", target, json.dumps({"logGroupName": group}).encode())
            self._journal.submit("logs", request, region=region)
        self._rows("INSERT OR IGNORE INTO own_streams VALUES (?, ?, ?, ?)", region, group, stream, _now())
        _open(region, group, stream)

    def write(self, region: str, group: str, stream: str, timestamp: int, message: str) -> None:
        """Append a line; the timestamp is in milliseconds since the epoch."""
        row = (region, group, stream, timestamp, message)
        self._rows("INSERT INTO lines (region, name, stream, timestamp, message) VALUES (?, ?, ?, ?, ?)", *row)
        self._written += 1
        if self._written % _LOOK_EVERY == 0:
            self._drop_oldest()

    def span(self, place: _Place, start: int | None = None, end: int | None = None) -> tuple[int, int, int]:
        """Return how many lines a stream has between two times, and the times of the first and the last of them."""
        query = f"SELECT count(*), min(timestamp), max(timestamp) FROM lines WHERE {_OF_STREAM}"
        [found] = self._rows(f"{query} AND timestamp BETWEEN ? AND ?", *place, *_between(start, end))
        return found[0], found[1] or 0, found[2] or 0

    def read(
        self, place: _Place, start: int | None = None, end: int | None = None, *, skip: int = 0, most: int = -1
    ) -> Iterator[Any]:
        """Yield lines of a stream in the order of their times, as moto's events."""
        query = f"SELECT number, timestamp, message FROM lines WHERE {_OF_STREAM} AND timestamp BETWEEN ? AND ? "
        order = "ORDER BY timestamp, number LIMIT ? OFFSET ?"
        for number, timestamp, message in self._rows(query + order, *place, *_between(start, end), most, skip):
            event = logs_models.LogEvent(timestamp, {"timestamp": timestamp, "message": message})
            event.event_id = number
            yield event

    def forget_deleted(self) -> None:
        """Drop the lines of streams that moto no longer has."""
        places = self._rows(
            "SELECT DISTINCT region, name, stream FROM lines UNION SELECT region, name, stream FROM own_streams"
        )
        for region, group, stream in places:
            groups, place = _backend(region).groups, (region, group, stream)
            if group not in groups or stream not in groups[group].streams:
                self._rows(f"DELETE FROM lines WHERE {_OF_STREAM}", *place)
                self._rows(f"DELETE FROM own_streams WHERE {_OF_STREAM}", *place)

    def sync(self) -> None:
        """Force all lines written so far to the medium."""
        self._rows("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the database."""
        KeptStream.store = None
        with self._lock:
            self._connection.close()

    def _drop_oldest(self) -> None:
        since = _now() - int(self._max_seconds * 1000)
        self._rows(
            "DELETE FROM lines WHERE number < (SELECT coalesce((SELECT number FROM lines WHERE timestamp >= ? "
            "ORDER BY number LIMIT 1), (SELECT max(number) + 1 FROM lines)))",
            since,
        )
        while self._used_bytes() > self._max_bytes:
            [(first, last)] = self._rows("SELECT min(number), max(number) FROM lines")
            if first is None:
                break
            self._rows("DELETE FROM lines WHERE number <= ?", first + (last - first) // 10)
        self._rows(
            "DELETE FROM own_streams WHERE created < ? AND NOT EXISTS (SELECT 1 FROM lines WHERE "
            "lines.region = own_streams.region AND lines.name = own_streams.name AND "
            "lines.stream = own_streams.stream)",
            since,
        )

    def _used_bytes(self) -> int:
        sizes = [self._rows(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")]
        used: int = (sizes[0] - sizes[1]) * sizes[2]
        return used

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()


class KeptStream(logs_models.LogStream):
    """moto's log stream, whose events are on disk."""

    store: LogStore | None = None

    @property
    def place(self) -> _Place:
        """Where the store has its lines."""
        return self.region, self.log_group.name, self.log_stream_name

    @property  # type: ignore[override]  # moto has a list
    def events(self) -> "_Events":
        """The events, for moto to read and to add to."""
        return _Events(self)

    @events.setter
    def events(self, events: Any) -> None:
        """Take what moto sets: an empty list at first, and then what it has added to."""

    def get_log_events(
        self, start_time: Any, end_time: Any, limit: Any, next_token: str | None, start_from_head: Any
    ) -> tuple[list[dict[str, Any]], str | None, str | None]:
        """Return a page, and tokens that name the positions of its last and first line, as moto's do."""
        assert self.store is not None
        count, _, _ = self.store.span(self.place, start_time, end_time)
        most = limit or 10_000
        if next_token is None:
            start, end = (0, most) if start_from_head else (count - most, count)
        elif next_token[:1] in ("f", "b") and next_token[2:].isdecimal():
            position = int(next_token[2:])
            start, end = (position + 1, position + 1 + most) if next_token[0] == "f" else (position - most, position)
        else:
            raise InvalidParameterException("The specified nextToken is invalid.")
        start, end = max(start, 0), min(end, count)
        if start >= end:
            last = max(count - 1, 0) if start >= count else 0
            return [], f"b/{last:056d}", f"f/{last:056d}"
        events = self.store.read(self.place, start_time, end_time, skip=start, most=end - start)
        return [event.to_response_dict() for event in events], f"b/{start:056d}", f"f/{end - 1:056d}"

    def _update(self) -> None:
        assert self.store is not None
        count, first, last = self.store.span(self.place)
        self.first_event_timestamp: Any = first if count else None
        self.last_event_timestamp: Any = last if count else None
        if count and self.last_ingestion_time is None:  # of lines of an earlier server
            self.last_ingestion_time = _moment(last)


class _Events:
    """What moto does with the list of a stream's events."""

    def __init__(self, stream: KeptStream) -> None:
        assert stream.store is not None, "the store is open"
        self._store, self._place = stream.store, stream.place

    def __bool__(self) -> bool:
        return self._store.span(self._place)[0] > 0

    def __iter__(self) -> Iterator[Any]:
        return self._store.read(self._place)

    def __iadd__(self, events: list[Any]) -> "_Events":
        for event in events:
            self._store.write(*self._place, event.timestamp, event.message)
        return self


logs_models.LogStream = KeptStream  # type: ignore[misc]  # moto makes its streams by this name


class LogStream:
    """One CloudWatch Logs stream that the emulator writes to; while there is no store, nothing is kept."""

    def __init__(self, group: str, stream: str, *, region: str) -> None:
        """Create the stream, and its group if needed."""
        self._place = (region, group, stream)
        with losing(f"the log stream {stream}"):
            if store := KeptStream.store:
                store.open(*self._place)

    def write(self, message: str) -> None:
        """Append a text without a line break."""
        with losing(f"a line of the log stream {self._place[2]}"):
            if store := KeptStream.store:
                store.write(*self._place, _now(), message or " ")


def sync_logs() -> None:
    """Force all lines written so far to the medium."""
    if store := KeptStream.store:
        store.sync()


def _backend(region: str) -> Any:
    return get_backend("logs")[ACCOUNT_ID][region]


def _open(region: str, group: str, stream: str) -> Any:
    """Return moto's stream; it and its group are made if they are not there."""
    backend = _backend(region)
    with aws_services.lock:
        if group not in backend.groups:
            backend.create_log_group(group, {})
        backend.ensure_log_stream(group, stream)
        return backend.groups[group].streams[stream]


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)


def _now() -> int:
    return int(time.time() * 1000)


def _between(start: int | None, end: int | None) -> tuple[int, int]:
    return start or 0, end or 2**62
