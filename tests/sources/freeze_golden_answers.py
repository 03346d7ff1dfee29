"""Write golden_answers.json anew from a run of the real VLMEvalKit: PROBE_EVAL_PYTHON=... python tests/sources/freeze_golden_answers.py"""

import json
from pathlib import Path

from answer_cases import HARD, KINDS, questions, row
from vlmevalkit import MISSING, VlmEvalKit, interpreter

GOLDEN = Path(__file__).with_name("golden_answers.json")


def main() -> None:
    python = interpreter()
    if python is None:
        raise SystemExit(MISSING)
    kit = VlmEvalKit(python)
    scores = {
        kind: [[round(kit(kind, [row(kind, item, text) for item in items])["scores"][0], 6) for text in HARD] for items in questions(kind)]
        for kind in KINDS
    }
    kit.close()
    lines = ",\n".join(f'"{kind}": {json.dumps(found)}' for kind, found in scores.items())
    GOLDEN.write_text(f"{{\n{lines}\n}}\n", "utf-8")


if __name__ == "__main__":
    main()
