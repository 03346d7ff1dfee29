"""`Rows` over numbered records: any list of records, and one function from a record to a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from sources.problems import Problem, RowError
from sources.reader import Row
from sources.sample import Sample


class Records(Protocol):
    """Records by number; one that is broken is given as the error that says how."""

    def __len__(self) -> int:
        """Return the number of records."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Walk the records in order."""
        ...

    def get(self, number: int) -> Any:
        """Return one record."""
        ...


class RecordRows:
    """Rows made from records on demand; whatever is wrong with one becomes its problem."""

    def __init__(self, records: Records, read: Callable[[Mapping[str, Any], int], Sample]) -> None:
        self._records = records
        self._read = read

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Row]:
        for number, record in enumerate(self._records):
            yield self._row(number, record)

    def walk(self, start: int, stop: int) -> Iterator[Row]:
        """Walk some rows in order."""
        own = getattr(self._records, "walk", None)
        records = own(start, stop) if own is not None else map(self._records.get, range(start, stop))
        for number, record in enumerate(records, start):
            yield self._row(number, record)

    def get(self, number: int) -> Row:
        """Return one row."""
        return self._row(number, self._records.get(number))

    def _row(self, number: int, record: Mapping[str, Any] | RowError) -> Row:
        try:
            if isinstance(record, RowError):
                raise record
            return Row(number, self._read(record, number))
        except RowError as error:
            return Row(number, None, error.problem, error.detail)
        except RecursionError:
            return Row(number, None, Problem.MALFORMED, "nested too deeply")
