"""What the commands of the documents read: small real files under the names that the documents use."""

import base64
import random
from pathlib import Path

from PIL import Image

from tests.probe.cli.format_folders import COLOURS, llava_665k, sharegpt4v
from tests.sources.remote.making_repos import finevision
from tests.writing_files import encoded, write, write_json, write_jsonl, write_tar, write_tsv

ROWS, ITEMS = 96, 16
WRONG = {"mine": 0, "other": 5, "charts": 0, "a": 0, "b": 3, "c": 10}  # of ten answers of each source
CAPABILITIES = """
[a]
title = "Charts"
capabilities = ["charts"]

[b]
title = "Text in pictures"
capabilities = ["ocr"]
"""
SCORER = """
import json, sys
for line in sys.stdin:
    item = json.loads(line)
    print(json.dumps({"id": item["id"], "score": float(item["answer"] in item["prediction"])}))
"""
OUTCOMES = """name,mixture,benchmark,score,stderr
even,"a=.5,b=.5",ocr,.52,.01
mostly a,"a=.8,b=.2",ocr,.57,.01
"""


def write_files(here: Path) -> None:
    """Write every file that a document of `document_scripts` names into its folder."""
    data = here / "data"
    for name, wrong in WRONG.items():
        write_json(data / f"{name}.json", conversations(data / "images", name, wrong))
    chats = [{"messages": said(f"Say the word number {n}.", word(n))} for n in range(ROWS)]
    write_jsonl(data / "chat/part-0.jsonl", chats[: ROWS // 2])
    write_jsonl(data / "chat/part-1.jsonl", chats[ROWS // 2 :])
    for name in ("bench", "other"):
        write_tsv(data / f"{name}.tsv", questions(data / "images", name))
    for name in ("forms", "F", "mine"):
        write_tsv(data / f"{name}.tsv", [with_bytes(line, data / "images") for line in questions(data / "images", name)])
    for subset in ("chartqa", "ai2d_merged"):
        made = finevision(data, subset, shards=1, rows=20)
    made.rename(data / "FineVision")
    llava_665k(data / "llava-665k")
    sharegpt4v(data / "ShareGPT4V")
    write(here / "capabilities.toml", CAPABILITIES.encode())
    write(here / "score.py", SCORER.encode())
    write(here / "results.csv", OUTCOMES.encode())


def word(number: int) -> str:
    return list(COLOURS)[random.Random(number).randrange(len(COLOURS))]


def scene(images: Path, name: str, number: int) -> str:
    """Write one block of a colour on a ground of its own, and return the file's name."""
    pick = random.Random(f"{name} {number}")
    image = Image.new("RGB", (48, 48), tuple(pick.randrange(120, 250) for _ in range(3)))
    left, top, side = pick.randrange(24), pick.randrange(24), pick.randrange(12, 24)
    image.paste(COLOURS[word(number)], (left, top, left + side, top + side))
    write(images / f"{name}-{number}.png", encoded(image, "PNG"))
    return f"{name}-{number}.png"


def said(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def conversations(images: Path, name: str, wrong: int) -> list[dict[str, object]]:
    """LLaVA records, every fourth of text alone; of ten answers `wrong` are those of another row."""
    rows: list[dict[str, object]] = []
    for number in range(ROWS):
        answer = word(number + 7 if number % 10 < wrong else number)
        question = "What colour is the block?" if number % 4 != 3 else f"Which colour has number {number}?"
        image = {} if number % 4 == 3 else {"image": scene(images, name, number)}
        turns = [{"from": "human", "value": "<image>\n" * len(image) + question}, {"from": "gpt", "value": answer}]
        rows.append({"id": f"{name}-{number}", **image, "conversations": turns})
    return rows


def questions(images: Path, name: str) -> list[dict[str, str]]:
    """Lines of a benchmark with four choices each."""
    choices = dict(zip("ABCD", COLOURS, strict=True))
    letters = {colour: letter for letter, colour in choices.items()}
    return [
        {
            "index": str(n),
            "image_path": scene(images, name, n),
            "question": "What colour is the block?",
            **choices,
            "answer": letters[word(n)],
        }
        for n in range(ITEMS)
    ]


def with_bytes(line: dict[str, str], images: Path) -> dict[str, str]:
    """Return a benchmark's line with its image in base64 instead of a path."""
    image = base64.b64encode((images / line["image_path"]).read_bytes()).decode()
    return {"index": line["index"], "image": image} | {name: cell for name, cell in line.items() if name not in ("index", "image_path")}


def captioned(number: int) -> list[tuple[str, bytes | dict[str, object]]]:
    shade = random.Random(number)
    image = encoded(Image.new("RGB", (32, 32), tuple(shade.randrange(256) for _ in range(3))), "JPEG")
    return [
        (f"{number:06}.jpg", image),
        (f"{number:06}.json", {"conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": word(number)}]}),
    ]


def write_repositories(root: Path) -> Path:
    """Write the data sets of the hub that documents name, and a bucket, below the folder that a hub serves."""
    for repository, subset in (("HuggingFaceM4/FineVision", "chartqa"), ("lmms-lab/LLaVA-OneVision-Data", "iam(cauldron)")):
        made = finevision(root / "made", subset, shards=2, rows=60)
        (root / repository).parent.mkdir(parents=True, exist_ok=True)
        made.rename(root / repository)
    members = [member for number in range(ROWS) for member in captioned(number)]
    del members[-2]  # the last row's image: `probe sources check --fix-list` has something to list
    write_tar(root / "bucket/shards/00000.tar", dict(members))
    write_json(root / "host/caps.json", conversations(root / "host/images", "caps", 0))
    return root
