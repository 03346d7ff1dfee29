"""Run a team's Python scorer over JSON lines: the child process, started by path, which imports nothing of ours.

python -P entry_child.py FOLDER package.module:function < questions.jsonl > scores.jsonl
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def scorer_function(folder: str, entry_point: str) -> Callable[[dict[str, Any], str], Any]:
    """Import the function, from the folder first."""
    module, _, function = entry_point.rpartition(":")
    sys.path.insert(0, folder)
    if module.endswith(".py"):
        spec = importlib.util.spec_from_file_location("in_house_scorer", Path(folder) / module)
        if spec is None or spec.loader is None:
            raise ImportError(f"{module} cannot be imported")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = loaded
        spec.loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(module)
    return getattr(loaded, function)  # type: ignore[no-any-return]


def main() -> None:
    """Score every line; what the scorer prints goes to standard error, so that it cannot mix with scores."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        score = scorer_function(sys.argv[1], sys.argv[2])
        for line in sys.stdin.buffer:
            item = json.loads(line)
            given = score(item, item["prediction"])
            told = given if isinstance(given, dict) else {"score": given}
            out.write(json.dumps({**told, "id": item["id"]}, default=float) + "\n")


if __name__ == "__main__":
    main()
