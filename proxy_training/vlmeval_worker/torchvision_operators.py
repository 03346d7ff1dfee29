"""Makes torchvision importable beside a CPU torch: the registry's build is linked against CUDA and its compiled operators are missing."""

from __future__ import annotations

from typing import Any

_LIBRARIES: list[Any] = []  # a schema lives as long as its library


def ensure_torchvision() -> bool:
    """Import torchvision; where its operators are missing, declare them first. Returns whether they are compiled.

    Without them everything but `nms` and `qnms` works, `transforms.v2` included.
    """
    import torch

    try:
        import torchvision
    except (RuntimeError, OSError):
        _forget()
        make: Any = torch.library.Library
        library = make("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)
        import torchvision  # noqa: F401

        return False
    return True


def _forget() -> None:
    """Take out what the failed import left behind, so that it is tried again."""
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
