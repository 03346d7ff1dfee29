"""Column types that carry this project's values: documents, arrays, enums and floats that may be NaN."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.types import TypeDecorator

from db.documents import from_document, to_document


class Document(TypeDecorator[Any]):
    """A frozen dataclass (or tuple of plain values) as JSON."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Write the value's document."""
        return None if value is None else to_document(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """Read the value from its document."""
        return None if value is None else from_document(self.kind, value)


class Vector(TypeDecorator[NDArray[Any]]):
    """A one-dimensional array as little-endian bytes; it comes back read-only."""

    impl = sa.LargeBinary
    cache_ok = True

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.dtype = dtype

    def process_bind_param(self, value: NDArray[Any] | None, dialect: sa.Dialect) -> bytes | None:
        """Write the array's bytes."""
        return None if value is None else np.ascontiguousarray(value, self.dtype).tobytes()

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> NDArray[Any] | None:
        """Read the array."""
        return None if value is None else np.frombuffer(value, self.dtype)


class Real(TypeDecorator[float]):
    """A double whose NaN is NULL on every database: SQLite would make it so silently, PostgreSQL would sort it last."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> float | None:
        """Write NaN as NULL."""
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: sa.Dialect) -> float:
        """Read NULL as NaN."""
        return math.nan if value is None else value


def choice(kind: type[enum.StrEnum], name: str) -> sa.Enum:
    """Return the column type of an enum: its string values, held by a CHECK constraint."""
    return sa.Enum(kind, native_enum=False, create_constraint=True, length=32, name=name, values_callable=lambda k: [m.value for m in k])
