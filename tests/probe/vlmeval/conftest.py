"""VLMEvalKit's worker process, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from probe.vlmeval.worker import Worker, worker


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with worker(tmp_path_factory.mktemp("log") / "vlmeval.log") as process:
        yield process
