"""The user's judge: an OpenAI-compatible endpoint, from the environment alone. Nothing of it is stored or logged."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from probe.errors import ProbeError

URL, MODEL, KEY = "PROBE_JUDGE_URL", "PROBE_JUDGE_MODEL", "PROBE_JUDGE_KEY"


@dataclass(frozen=True, slots=True)
class Judge:
    """Where the endpoint is, which model it is asked for, and the key that it wants (may be empty)."""

    url: str
    model: str
    key: str = field(default="", repr=False)


def judge_for(benchmark: str) -> Judge:
    """Return the user's judge.

    Raises:
        ProbeError: none is set.
    """
    url, model = os.environ.get(URL, ""), os.environ.get(MODEL, "")
    if not url.startswith(("http://", "https://")) or not model:
        raise ProbeError(
            f"the answers of {benchmark} are scored by a language model: name an OpenAI-compatible endpoint in {URL} "
            f"(http://HOST/v1), its model in {MODEL}, and its key, where it wants one, in {KEY}."
        )
    return Judge(url, model, os.environ.get(KEY, ""))
