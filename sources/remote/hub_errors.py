"""What goes wrong with the hub, each as one sentence with its cure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from sources.problems import SourceError
from sources.remote.listing import is_network_error
from sources.spec import SourceSpec


class UnreachableError(SourceError):
    """The hub cannot be asked: no network, or it is to be left alone."""


def hub_error(spec: SourceSpec, error: Exception) -> SourceError | None:
    """Return the sentence for what `datasets` or `huggingface_hub` raised; None for what is a fault of ours."""
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import errors

    # `datasets` raises an error of its own from None, so that only its words tell.
    if _anywhere(error, errors.GatedRepoError) or (isinstance(error, DatasetNotFoundError) and "gated" in str(error)):
        return SourceError(gated(spec.hub_id))
    if isinstance(error, errors.RepositoryNotFoundError):
        return SourceError(
            f"The hub has no data set {spec.hub_id}, or shows it only to some: check the name, or log in with `hf auth login` or HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return SourceError(f"{spec.hub_id} has no revision {spec.revision}: name a branch, tag or commit of it with --revision")
    if isinstance(error, errors.HFValidationError):
        return SourceError(f"{spec.hub_id!r} is no name of a data set on the hub: it is of the form ORG/NAME")
    if _anywhere(error, errors.OfflineModeIsEnabled):
        return UnreachableError(f"{spec.hub_id} is not in the hub's cache, and HF_HUB_OFFLINE keeps the hub from being asked: {_CURE}")
    return _other_error(spec, error)


def no_subset(spec: SourceSpec, names: Sequence[str]) -> SourceError:
    """Return the error for a subset that is not there, or was not named where there are several."""
    listed = ", ".join(sorted(names)[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    if not spec.subset:
        return SourceError(f"{_name(spec)} has {len(names)} subsets; name one with --subset: {listed}")
    close = difflib.get_close_matches(spec.subset, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {listed}"
    if not close and spec.stream and (folder := Path(spec.stream.url) / spec.subset).is_dir():
        hint = f"its README.md, which names subsets, is not there or does not name it: give its folder with --path {folder}"
    return SourceError(f"{_name(spec)} has no subset {spec.subset!r}; {hint}")


def no_split(spec: SourceSpec, split: str, splits: Sequence[str]) -> SourceError:
    """Return the error for a split that is not there."""
    held = ", ".join(splits) or "no data files"
    return SourceError(f"{_name(spec)}{f', subset {spec.subset},' if spec.subset else ''} has no split {split!r}; it has {held} (--split)")


_CURE = "fetch it where there is a network, or give its files with `probe sources add ... --path`"


def _other_error(spec: SourceSpec, error: Exception) -> SourceError | None:
    from datasets.exceptions import DataFilesNotFoundError
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, DataFilesNotFoundError) or (isinstance(error, FileNotFoundError) and not _is_connection(error)):
        return SourceError(f"{_name(spec)} holds no data files that are known ({_short(error)}); name some with --file")
    if isinstance(error, RuntimeError) and "scripts" in str(error):
        return SourceError(f"{_name(spec)} is made by a script, which is never run here: give its data files with --path")
    if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code < 500:
        return SourceError(f"The hub refuses {_name(spec)} ({_short(error)}); check HF_TOKEN and try again")
    if _is_connection(error):
        return UnreachableError(f"The hub at {constants.ENDPOINT} cannot be reached for {_name(spec)} ({_short(error)}): {_CURE}")
    if isinstance(error, ValueError):
        return SourceError(f"{_name(spec)} cannot be understood ({_short(error)}); name its files with --file")
    return None


def gated(hub_id: str) -> str:
    """Return the sentence for a data set whose terms the user has not accepted."""
    from huggingface_hub import constants

    page = f"{constants.ENDPOINT}/datasets/{hub_id}"
    return f"{hub_id} is gated: accept its terms at {page} and log in with `hf auth login` or HF_TOKEN"


def _is_connection(error: BaseException) -> bool:
    seen = _chain(error)
    return any(is_network_error(e) and not isinstance(e, FileNotFoundError) for e in seen)


def _anywhere(error: BaseException, kind: type[BaseException]) -> bool:
    return any(isinstance(e, kind) for e in _chain(error))


def _chain(error: BaseException | None) -> list[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def _name(spec: SourceSpec) -> str:
    return spec.hub_id or (spec.stream.url if spec.stream else spec.slug)


def _short(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
