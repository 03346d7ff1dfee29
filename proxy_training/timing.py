"""CPU seconds of this process and wall seconds, between laps."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """Times since the last lap."""

    cpu: float
    wall: float

    @classmethod
    def start(cls) -> Clock:
        """Return a running clock."""
        return cls(time.process_time(), time.perf_counter())

    def lap(self) -> tuple[float, float]:
        """Return CPU and wall seconds since the last lap."""
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        self.cpu, self.wall = self.cpu + cpu, self.wall + wall
        return cpu, wall
