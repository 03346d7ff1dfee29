"""The workspace: where a team's studies live, `.probe/` by default."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.store import Store


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with the database, features, adapters and manifests; `db_url` overrides where the database is."""

    root: Path
    db_url: str = ""

    @property
    def database(self) -> str:
        """Return what `Store.open` takes: a URL, or the path of the SQLite file."""
        return self.db_url or str(self.root / "probe.db")

    @property
    def features(self) -> Path:
        """Return the folder of the feature store."""
        return self.root / "features"

    @property
    def adapters(self) -> Path:
        """Return the folder with one adapter folder a training."""
        return self.root / "adapters"

    @property
    def manifests(self) -> Path:
        """Return the folder of written manifests."""
        return self.root / "manifests"

    @property
    def indexes(self) -> Path:
        """Return the folder of source indexes."""
        return self.root / "indexes"

    @property
    def logs(self) -> Path:
        """Return the folder of the workers' logs."""
        return self.root / "logs"

    def exists(self) -> bool:
        """Say whether something was ever stored here."""
        return bool(self.db_url) or (self.root / "probe.db").exists()

    def open_store(self, read_only: bool = False) -> Store:
        """Open the database, creating the folder and the schema when it is new."""
        from db.store import Store

        if not read_only:
            self.root.mkdir(parents=True, exist_ok=True)
        return Store.open(self.database, read_only=read_only)

    @contextmanager
    def look(self) -> Iterator[Store]:
        """Open the database to read it; where nothing was stored yet, an empty one that leaves nothing behind."""
        from db.store import Store

        if self.exists():
            with self.open_store() as store:
                yield store
        else:
            with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "probe.db") as store:
                yield store
