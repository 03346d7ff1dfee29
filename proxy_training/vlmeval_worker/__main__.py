"""`python -m proxy_training.vlmeval_worker`: answer requests until standard input ends; `--check` says whether everything imports."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from proxy_training.vlmeval_worker import PROTOCOL
from proxy_training.vlmeval_worker.channel import Channel
from proxy_training.vlmeval_worker.kit import KitError, prepare_kit, work_in

Progress = Callable[[str, int, int], None]


def main() -> None:
    """Answer requests, one after another."""
    if "--check" in sys.argv[1:]:
        _check()
        return
    channel = Channel()
    for request in channel.requests():
        try:
            channel.answer("result", answer(request, channel.progress))
        except Exception as error:
            traceback.print_exc()
            channel.answer("error", _sentence(error))


def answer(request: Mapping[str, Any], progress: Progress) -> object:
    """Do what one request asks.

    Raises:
        KitError: it cannot be done.
    """
    if request["protocol"] != PROTOCOL:
        raise KitError("the environment of VLMEvalKit holds another version of this project: build it again with make eval")
    work_in(Path(request["folder"]))
    prepare_kit(progress)
    return _ACTIONS[request["do"]](request, progress)


def _supported(request: Mapping[str, Any], progress: Progress) -> object:
    from proxy_training.vlmeval_worker.benchmarks import supported

    return supported()


def _fetch(request: Mapping[str, Any], progress: Progress) -> object:
    from proxy_training.vlmeval_worker.benchmarks import fetch

    return fetch(request["name"], Path(request["folder"]), [Path(place) for place in request["others"]])


def _score(request: Mapping[str, Any], progress: Progress) -> object:
    from proxy_training.vlmeval_worker.run import score

    return score(request, progress)


_ACTIONS: Mapping[str, Callable[[Mapping[str, Any], Progress], object]] = {"supported": _supported, "fetch": _fetch, "score": _score}


def _sentence(error: Exception) -> str:
    from proxy_training.families.registry import ProxyError
    from sources.problems import SourceError

    if isinstance(error, (KitError, ProxyError, SourceError)):
        return str(error)
    return f"VLMEvalKit's process met {type(error).__name__} ({' '.join(str(error).split())[:300]})"


def _check() -> None:
    with tempfile.TemporaryDirectory() as folder:
        work_in(Path(folder))
        prepare_kit(lambda *_: None)
        from importlib.metadata import version

        from proxy_training.vlmeval_worker.benchmarks import supported

        print(f"VLMEvalKit {version('ms-vlmeval')} with torch {version('torch')} and torchvision {version('torchvision')}")
        print(f"{len(supported())} benchmarks of images and texts")


if __name__ == "__main__":
    main()
