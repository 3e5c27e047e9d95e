"""Durable records: JSON documents in SQLite, one row per resource."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 2


class HomeVersionError(RuntimeError):
    """The database was written by another version of the emulator."""


class Records:
    """A table of JSON documents, keyed by kind and name.

    Every change is on disk when the call returns (``synchronous=FULL``), so an acknowledged resource survives a kill.
    Dates and times are stored as ISO 8601 text and come back as aware ``datetime`` objects.
    """

    def __init__(self, path: Path) -> None:
        """Open the database, or create it; a ``HomeVersionError`` tells that it belongs to another schema version."""
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            self._connection.close()
            raise HomeVersionError(
                f"{path} has schema version {version}, and this program reads version {SCHEMA_VERSION}. "
                "Use the version that wrote it, name another home folder, or reset this one."
            )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS records "
            "(kind TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID"
        )
        self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def put(self, kind: str, name: str, document: dict[str, Any]) -> None:
        """Create or replace a record."""
        text = json.dumps(document, default=_encode)
        with self._lock:
            self._connection.execute("REPLACE INTO records VALUES (?, ?, ?)", (kind, name, text))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a record, or None."""
        with self._lock:
            row = self._connection.execute(
                "SELECT document FROM records WHERE kind = ? AND name = ?", (kind, name)
            ).fetchone()
        return json.loads(row[0], object_hook=_decode) if row else None

    def update(
        self, kind: str, name: str, *, when: dict[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any] | None:
        """Change some fields of a record that has the values of ``when``, and return it; None if there is none."""
        with self._lock:
            document = self.get(kind, name)
            if document is None or any(document.get(field) != value for field, value in (when or {}).items()):
                return None
            document |= changes
            self.put(kind, name, document)
        return document

    def delete(self, kind: str, name: str) -> bool:
        """Delete a record; return whether it existed."""
        with self._lock:
            cursor = self._connection.execute("DELETE FROM records WHERE kind = ? AND name = ?", (kind, name))
        return cursor.rowcount > 0

    def delete_all(self, kind: str) -> None:
        """Delete all records of a kind."""
        with self._lock:
            self._connection.execute("DELETE FROM records WHERE kind = ?", (kind,))

    def all(self, kind: str, *, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the name and document of every record of a kind whose name starts with a prefix, by name."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT name, document FROM records WHERE kind = ? AND name >= ? AND name < ? ORDER BY name",
                (kind, prefix, prefix + "\U0010ffff"),
            ).fetchall()
        for name, text in rows:
            yield name, json.loads(text, object_hook=_decode)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()


def now() -> datetime:
    """Return the current time in UTC, to the millisecond as the service reports it."""
    current = datetime.now(UTC)
    return current.replace(microsecond=current.microsecond // 1000 * 1000)


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    raise TypeError(f"A record cannot hold a {type(value).__name__}.")


def _decode(value: dict[str, Any]) -> Any:
    return datetime.fromisoformat(value["$time"]) if value.keys() == {"$time"} else value
