"""Takes each event once: its id and what is done with it are one transaction."""

import json
import sqlite3


class Inbox:
    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path)
        columns = "arrived INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, event TEXT NOT NULL"
        self._db.execute(f"CREATE TABLE IF NOT EXISTS inbox ({columns})")

    def take(self, text: str | bytes) -> bool:
        """Whether the event is new; it is dealt with when this returns, or not at all."""
        event = json.loads(text)
        with self._db:
            row = (event["id"], json.dumps(event))
            new = self._db.execute("INSERT OR IGNORE INTO inbox (id, event) VALUES (?, ?)", row)
            if new.rowcount:
                pass  # Your own work goes here, through the same connection.
        return bool(new.rowcount)
