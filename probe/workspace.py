"""The workspace: where a team's studies live, `.probe/` by default."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probe.errors import ProbeError

if TYPE_CHECKING:
    from db.store import Store

DEFAULT_ROOT = ".probe"


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
    def pools(self) -> Path:
        """Return the folder of the rows that were drawn of streamed sources."""
        return self.root.absolute() / "pools"

    @property
    def quality(self) -> Path:
        """Return the folder of what proxies showed of benchmarks' quality."""
        return self.root / "quality"

    @property
    def overlaps(self) -> Path:
        """Return the folder of what sources were found to share."""
        return self.root / "overlaps"

    @property
    def merged(self) -> Path:
        """Return the folder of what merged adapters scored."""
        return self.root / "merged"

    @property
    def difficulty(self) -> Path:
        """Return the folder of what proxies lost on sources' rows."""
        return self.root / "difficulty"

    @property
    def logs(self) -> Path:
        """Return the folder of the workers' logs."""
        return self.root / "logs"

    def options(self, environment: bool = True) -> list[str]:
        """Return the options that lead a command here: none for the default, nor for a database that the environment names.

        A password in the database's URL is not repeated.
        """
        words = [] if self.root.absolute() == Path(DEFAULT_ROOT).absolute() else ["--workspace", str(self.root)]
        if self.db_url and not (environment and self.db_url == os.environ.get("PROBE_DB_URL")):
            words += ["--db", re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", self.db_url)]
        return words

    def check_writable(self) -> None:
        """Try whether this place can be written, before long work for it begins; nothing is left behind.

        Raises:
            ProbeError: it cannot.
        """
        root = self.root.absolute()
        try:
            place = next(folder for folder in (root, *root.parents) if folder.exists())
            tempfile.TemporaryDirectory(dir=place).cleanup()
        except OSError as error:
            raise ProbeError(f"{self.root} cannot be written ({error.strerror}); choose another place with --workspace") from None

    def file(self) -> Path | None:
        """Return the file of the database; None where a server has it."""
        if not self.db_url:
            return self.root / "probe.db"
        scheme, _, path = self.db_url.partition(":///")
        return Path(path) if path and scheme.startswith("sqlite") else None

    def exists(self) -> bool:
        """Say whether something was ever stored here; a server is not asked."""
        file = self.file()
        return file is None or file.exists()

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
