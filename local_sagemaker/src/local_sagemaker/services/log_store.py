"""The lines of the stand-in's own log streams on disk, so that they outlive the server.

They lie in a database of their own: each line is there when it can be read, whatever happens to the server, but it is
not forced to the medium one by one; ``sync`` does that when a job ends.
"""

import json
import sqlite3
import threading
from pathlib import Path

from local_sagemaker.services import aws_services
from local_sagemaker.services.journal import Journal


class LogStore:
    """A table of log lines."""

    def __init__(self, path: Path, journal: Journal) -> None:
        """Open the database and give moto its lines.

        Args:
            path: SQLite file.
            journal: Where the log groups are kept.
        """
        self._journal = journal
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS lines (number INTEGER PRIMARY KEY, region TEXT NOT NULL, name TEXT NOT NULL, "
            "stream TEXT NOT NULL, timestamp INTEGER NOT NULL, message TEXT NOT NULL)"
        )
        self._connection.execute("CREATE INDEX IF NOT EXISTS streams ON lines (region, name, stream)")
        query = "SELECT region, name, stream, timestamp, message FROM lines ORDER BY number"
        for region, group, stream, timestamp, message in self._connection.execute(query):
            aws_services.open_log_stream(region, group, stream)
            aws_services.write_log_line(region, group, stream, timestamp, message)

    def open(self, region: str, group: str, stream: str) -> None:
        """Create a stream, and its group if needed."""
        for action, members in (
            ("CreateLogGroup", {"logGroupName": group}),
            ("CreateLogStream", {"logGroupName": group, "logStreamName": stream}),
        ):
            self._journal.submit(
                "logs",
                method="POST",
                path="/",
                query="",
                headers={
                    "content-type": "application/x-amz-json-1.1",
                    "x-amz-target": f"Logs_20140328.{action}",
                },
                body=json.dumps(members).encode(),
                region=region,
            )

    def write(self, region: str, group: str, stream: str, timestamp: int, message: str) -> None:
        """Append a line; the timestamp is in milliseconds since the epoch."""
        row = (region, group, stream, timestamp, message)
        with self._lock:
            self._connection.execute(
                "INSERT INTO lines (region, name, stream, timestamp, message) VALUES (?, ?, ?, ?, ?)", row
            )

    def forget_deleted(self) -> None:
        """Drop the lines of streams that moto no longer has."""
        with self._lock:
            streams = self._connection.execute("SELECT DISTINCT region, name, stream FROM lines").fetchall()
            for place in streams:
                if aws_services.log_stream(*place) is None:
                    self._connection.execute("DELETE FROM lines WHERE region = ? AND name = ? AND stream = ?", place)

    def sync(self) -> None:
        """Force all lines written so far to the medium."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()
