"""One small folder per format, as published or as its trainer reads it, with the known truth: real image bytes, a few bad rows."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from tests.writing_files import encoded, write, write_json, write_jsonl, write_parquet, write_tar

COLOURS = {"red": (220, 30, 30), "green": (30, 170, 60), "blue": (30, 60, 220), "yellow": (235, 215, 40)}
NAMES = tuple(COLOURS)
ASKED = "What colour is the block?"


@dataclass(frozen=True)
class Shaped:
    """What to give to `sources add`, and what must be found: `images` are distinct ones of usable rows."""

    format: str
    path: Path
    rows: int
    usable: int
    images: int
    image_root: Path | None = None
    excluded: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)  # usable rows by slug behind the source's own; empty where there is one


def answer(number: int) -> str:
    return NAMES[number % 4]


def picture(source: str, number: int, kind: str = "JPEG") -> bytes:
    """A grey image with a coloured block; another one for each source and number."""
    shade = zlib.crc32(f"{source}{number}".encode())
    image = Image.new("RGB", (44, 40), (150 + shade % 60, 150 + (shade >> 8) % 60, 150 + (shade >> 16) % 60))
    image.paste(COLOURS[answer(number)], (6 + shade % 9, 8, 26 + shade % 9, 30))
    return encoded(image, kind)


def data_url(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def llava(image: Any, number: int, text: str = f"<image>\n{ASKED}", **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": text}, {"from": "gpt", "value": answer(number)}]
    return {"id": f"{number:012}", **({} if image is None else {"image": image}), "conversations": turns, **more}


def messages(number: int, content: Any = f"<image>{ASKED}", said: Any = None, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": said or answer(number)}], **more}


def texts(number: int, **more: Any) -> list[dict[str, Any]]:
    return [{"user": ASKED, "assistant": answer(number), **more}]


def inline(source: str, number: int, kind: str = "JPEG") -> dict[str, Any]:
    return {"bytes": picture(source, number, kind), "path": None}


def llava_665k(folder: Path) -> Shaped:
    trees = ("coco/train2017", "gqa/images", "ocr_vqa/images", "textvqa/train_images", "vg/VG_100K", "vg/VG_100K_2")
    rows = []
    for number in range(12):
        name = f"{trees[number % 6]}/{number}.jpg"
        write(folder / "data" / name, picture("llava", number, "GIF" if "ocr_vqa" in name else "JPEG"))
        rows.append(llava(name, number))
    rows += [llava(None, number, "Name a colour.", model="") for number in range(3)]
    write(folder / "data" / "ocr_vqa/images/gone.gif", picture("llava", 98, "GIF"))  # as the official script downloads it
    write(folder / "data" / "vg/VG_100K_2/empty.jpg", b"")
    write(folder / "data" / "ocr_vqa/images/1437717772.jpg", picture("llava", 99)[:80])
    bad = ("ocr_vqa/images/gone.jpg", "vg/VG_100K_2/empty.jpg", "ocr_vqa/images/1437717772.jpg")
    rows += [llava(name, number) for number, name in enumerate(bad)]
    excluded = {"missing_image": 1, "empty_image": 1, "undecodable_image": 1}
    parts = {"coco": 2, "gqa": 2, "ocr_vqa": 2, "textvqa": 2, "vg": 4, "text": 3}
    return Shaped("llava", write_json(folder / "llava_v1_5_mix665k.json", rows, indent=1), 18, 15, 12, folder / "data", excluded, parts)


SHAREGPT4V_TREES = (
    "coco/train2017",
    "sam/images",
    "llava/llava_pretrain/images",
    "web-celebrity/images",
    "web-landmark/images",
    "wikiart/images",
    "share_textvqa/images",
    "gqa/images",
    "vg/VG_100K",
)


def sharegpt4v(folder: Path) -> Shaped:
    rows = []
    for number in range(18):
        name = f"{SHAREGPT4V_TREES[number % 9]}/{number}.jpg"
        if name != "sam/images/10.jpg":  # half of SAM is missing
            write(folder / "data" / name, picture("sharegpt4v", number))
        rows.append(llava(name, number, "<image>\nDescribe it in one word."))
    parts = {name.partition("/")[0]: 1 if "sam" in name else 2 for name in SHAREGPT4V_TREES}
    path = write_json(folder / "sharegpt4v_instruct_gpt4-vision_cap100k.json", rows, indent=1)
    return Shaped("llava", path, 18, 17, 17, folder / "data", {"missing_image": 1}, parts)


def allava(folder: Path) -> Shaped:
    rows = []
    for number in range(8):
        name = f"allava_laion/images/{number}.jpeg" if number % 2 else f"allava_vflan/images/images_191task_1k/{number}.png"
        write(folder / name, picture("allava", number, "JPEG" if number % 2 else "PNG"))
        rows += [llava(name, number, url="https://example.org/1.jpeg"), llava(name, number, "<image>\nWhich colour do you see?")]
    return Shaped("llava", write_json(folder / "ALLaVA.json", rows, indent=1), 16, 16, 8, None, {}, {"allava_laion": 8, "allava_vflan": 8})


def onevision_json(folder: Path) -> Shaped:
    rows = []
    for number in range(10):
        write(folder / f"{number}.png", picture("onevision-json", number, "PNG"))
        rows.append(llava(f"{number}.png", number, f"{ASKED}\n<image>", data_source="iam(cauldron)" if number % 2 else "magpie pro"))
    rows += [{**llava(None, 1, "Name a colour."), "image": empty, "data_source": "magpie pro"} for empty in (None, "", [])]
    return Shaped("llava", write_jsonl(folder / "onevision.jsonl", rows), 13, 13, 10, None, {}, {"iam-cauldron": 5, "magpie-pro": 8})


def onevision_parquet(folder: Path) -> Shaped:
    rows = [llava(inline("onevision", number), number, data_source="iam(cauldron)") for number in range(8)]
    write_parquet(folder / "iam(cauldron)" / "train-00000-of-00001.parquet", rows)
    alone = [{**llava(None, number, "Name a colour."), "image": None, "data_source": "magpie_pro"} for number in range(4)]
    write_parquet(
        folder / "magpie_pro(l3_80b_st)" / "train-00000-of-00001.parquet", [{**row, "data_source": "magpie_pro"} for row in alone]
    )
    return Shaped("parquet", folder, 12, 12, 8, None, {}, {"iam-cauldron": 8, "magpie_pro": 4})


def finevision(folder: Path) -> Shaped:
    ratings = {f"{name}_ratings": [4] for name in ("relevance", "image_correspondence", "visual_dependency", "formatting")}
    rows = [{"images": [inline("finevision", n)], "texts": texts(n), "source": "ai2d_merged", **ratings} for n in range(10)]
    broken = {"images": [{"bytes": b"\xff\xd8\xff not a jpeg", "path": None}], "texts": texts(0), "source": "ai2d_merged", **ratings}
    silent = {**rows[0], "texts": [{"user": "", "assistant": ""}]}
    write_parquet(folder / "train-00000-of-00002.parquet", [*rows[:6], broken])
    write_parquet(folder / "train-00001-of-00002.parquet", [*rows[6:], silent])
    return Shaped("parquet", folder, 12, 10, 10, None, {"undecodable_image": 1, "no_answer": 1})


def cauldron(folder: Path) -> Shaped:
    for part, start in (("ai2d", 0), ("clevr", 5)):
        rows = [{"images": [inline("cauldron", n)], "texts": texts(n, source=part)} for n in range(start, start + 5)]
        write_parquet(folder / part / "train-00000-of-00001.parquet", rows)
    return Shaped("parquet", folder, 10, 10, 10, None, {}, {"ai2d": 5, "clevr": 5})


def docmatix(folder: Path) -> Shaped:
    rows = [
        {"images": [inline("docmatix", n + page) for page in range(1 + n % 3)], "texts": texts(n, source=f"PDFA key: {244 + n}")}
        for n in range(9)
    ]
    write_parquet(folder / "data" / "train-00000-of-00200.parquet", rows)
    write_parquet(folder / "pdf" / "train-00000-of-00100.parquet", [{"pdf": b"%PDF-1.4", "texts": texts(n)} for n in range(3)])
    return Shaped("parquet", folder, 12, 9, 11, None, {"unsupported_modality": 3})


def m4_instruct(folder: Path) -> Shaped:
    rows: list[dict[str, Any]] = []
    for number in range(9):
        names = [f"dreamsim/{number}_{place}.jpg" for place in range(1 + number % 3)]
        for place, name in enumerate(names):
            write(folder / "m4" / name, picture("m4", 10 * number + place))
        rows.append(llava(names if number % 3 else names[0], number, "<image>\n" * len(names) + "What colour is the first block?"))
    rows.append(llava(["dreamsim/1_0.jpg", "dreamsim/1_1.jpg"], 1))
    return Shaped("llava", write_json(folder / "m4_instruct.json", rows, indent=1), 10, 9, 18, folder / "m4", {"placeholder_mismatch": 1})


def ms_swift(folder: Path) -> Shaped:
    for number in range(12):
        write(folder / "images" / f"{number}.png", picture("ms-swift", number, "PNG"))
    rows = [messages(n, images=[str(folder / "images" / f"{n}.png")], channel="chart") for n in range(4)]
    rows += [messages(n, ASKED, images=[data_url(picture("ms-swift", 20 + n))], channel="photo") for n in range(4)]
    rows += [messages(n, images=[{"bytes": None, "path": f"{n}.png"}], channel="chart") for n in range(4, 8)]
    thought = messages(8, images=["8.png"], channel="chart")["messages"]
    thought[1:1] = [{"role": "assistant", "content": "Let me see.", "loss": False}, {"role": "user", "content": "Well?"}]
    rows += [{"messages": thought, "images": ["8.png"], "channel": "chart"}]
    rows += [messages(9, said="<bbox>", images=["9.png"], objects={"ref": [], "bbox": [[1, 2, 3, 4]]}, channel="chart")]
    rows += [messages(10, images=["https://example.org/10.png"]), messages(11, images=["/etc/passwd"])]
    excluded = {"unsupported_modality": 1, "remote_image": 1, "unsafe_path": 1}
    return Shaped("chat", write_jsonl(folder / "swift.jsonl", rows), 16, 13, 13, folder / "images", excluded, {"chart": 9, "photo": 4})


def factory_images(folder: Path, source: str) -> list[str]:
    names = [f"mllm_demo_data/{number}.jpg" for number in range(10)]
    for number, name in enumerate(names):
        write(folder / name, picture(source, number))
    return names


def factory_sharegpt(folder: Path) -> Shaped:
    names = factory_images(folder, "factory-sharegpt")
    rows = [messages(n, images=[name]) for n, name in enumerate(names)]
    rows += [messages(0, said="Write <image> there.", images=[names[0]]), messages(1, f"<image><image>{ASKED}", images=[names[1]])]
    write_json(folder / "mllm_demo.json", rows, indent=1)
    columns = {"messages": "messages", "images": "images"}
    about = {"mllm_demo": {"file_name": "mllm_demo.json", "formatting": "sharegpt", "columns": columns}}
    write(folder / "dataset_info.json", json.dumps(about).encode())
    return Shaped("chat", folder, 12, 11, 10, None, {"placeholder_mismatch": 1})


def factory_alpaca(folder: Path) -> Shaped:
    names = factory_images(folder, "factory-alpaca")
    rows: list[dict[str, Any]] = [
        {"instruction": f"<image>{ASKED}", "input": "One word.", "output": answer(n), "images": [name]} for n, name in enumerate(names)
    ]
    rows.append({**rows[0], "output": ""})
    return Shaped("chat", write_json(folder / "alpaca.json", rows, indent=1), 11, 10, 10, None, {"no_answer": 1})


def factory_v1(folder: Path) -> Shaped:
    rows = []
    for number, name in enumerate(factory_images(folder, "factory-v1")):
        content = [{"type": "image_url", "value": name}, {"type": "text", "value": ASKED}]
        row = messages(number, content, [{"type": "text", "value": answer(number)}])
        for turn, weight in zip(row["messages"], (0.0, 1.0), strict=True):
            turn["loss_weight"] = weight
        rows.append(row)
    return Shaped("chat", write_jsonl(folder / "v1_multimodal_demo.jsonl", rows), 10, 10, 10)


def qwen_vl(folder: Path) -> Shaped:
    rows = []
    for number in range(10):
        write(folder / "images" / f"{number}.jpg", picture("qwen", number))
        rows.append(llava([f"{number}.jpg"] if number % 2 else f"{number}.jpg", number))
    rows.append(llava(["0.jpg", "1.jpg"], 0))
    for row in rows:
        del row["id"]
    return Shaped("llava", write_jsonl(folder / "qwen.jsonl", rows), 11, 10, 10, folder / "images", {"placeholder_mismatch": 1})


def qwen_vl_packed(folder: Path) -> Shaped:
    for number in range(10):
        write(folder / "images" / f"{number}.jpg", picture("qwen-packed", number))
    rows = [llava(f"{number}.jpg", number) for number in range(10)]
    packed = [rows[:3], rows[3:7], [*rows[7:], llava("gone.jpg", 0)]]
    return Shaped("llava", write_json(folder / "packed.json", packed, indent=1), 11, 10, 10, folder / "images", {"missing_image": 1})


def asked_in_parts(url: Any) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": url}, {"type": "text", "text": ASKED}]


def openai(folder: Path) -> Shaped:
    urls = [data_url(picture("openai", number)) for number in range(10)]
    rows = [messages(n, asked_in_parts({"url": url, "detail": "low"} if n % 2 else url)) for n, url in enumerate(urls)]
    rows += [
        messages(0, asked_in_parts({"url": "data:image/png;base64,&&&"})),
        messages(0, asked_in_parts({"url": "https://example.org/a"})),
    ]
    return Shaped("chat", write_jsonl(folder / "chat.jsonl", rows), 12, 10, 10, None, {"undecodable_image": 1, "remote_image": 1})


def openai_parquet(folder: Path) -> Shaped:
    rows = [
        messages(n, asked_in_parts({"url": data_url(picture("openai-parquet", n))}), [{"type": "text", "text": answer(n)}])
        for n in range(10)
    ]
    return Shaped("parquet", write_parquet(folder / "chat.parquet", rows), 10, 10, 10)


def trl(folder: Path) -> Shaped:
    rows = []
    for number in range(10):
        write(folder / f"{number}.jpg", picture("trl", number))
        rows.append(messages(number, [{"type": "image"}, {"type": "text", "text": ASKED}], images=[f"{number}.jpg"]))
    write_jsonl(folder / "shards" / "train-0.jsonl", rows[:5])
    write_jsonl(folder / "shards" / "train-1.jsonl", rows[5:])
    return Shaped("chat", folder / "shards", 10, 10, 10, folder)


def webdataset(folder: Path) -> Shaped:
    for shard in range(2):
        members: dict[str, Any] = {}
        for number in range(5 * shard, 5 * shard + 5):
            key = f"{number:09}"
            members |= {f"{key}.jpg": picture("webdataset", number), f"{key}.txt": f"A {answer(number)} block.".encode()}
            members[f"{key}.json"] = {"caption": "x", "status": "success", "url": "https://example.org/a.jpg"}
        members[f"{shard}99.json"] = {"caption": "A block.", "status": "failed_to_download"}
        write_tar(folder / f"{shard:05}.tar", members)
        write(folder / f"{shard:05}_stats.json", b"{}")
    return Shaped("webdataset", folder, 12, 10, 10, None, {"missing_image": 2})


def energon(folder: Path) -> Shaped:
    for shard in range(3):
        members: dict[str, Any] = {}
        for number in range(5 * shard, 5 * shard + 5):
            members |= {
                f"{number}.png": picture("energon", number, "PNG"),
                f"{number}.json": {"q": ASKED, "a": ["grey", answer(number)], "w": [0, 1]},
            }
        write_tar(folder / "shards" / f"shard_{shard:03}.tar", members)
    kind = "sample_type: {__module__: megatron.energon, __class__: VQASample}\n"
    fields = "field_map: {image: jpg;png, context: 'json[q]', answers: 'json[a]', answer_weights: 'json[w]'}\n"
    write(folder / ".nv-meta" / "dataset.yaml", (kind + fields).encode())
    split = "split_parts: {train: ['shards/shard_{000..001}.tar'], val: [shards/shard_002.tar], test: []}\nexclude: []\n"
    write(folder / ".nv-meta" / "split.yaml", split.encode())
    return Shaped("webdataset", folder, 10, 10, 10)


def tsv(folder: Path) -> Shaped:
    lines = [["index", "image", "question", "A", "B", "C", "D", "answer", "category"]]
    for number in range(10):
        held = base64.b64encode(picture("tsv", number)).decode() if number < 8 else str(number - 8)
        lines.append([str(number), held, ASKED, *NAMES, "ABCD"[number % 4], "colour"])
    lines.append(["10", "0", ASKED, *NAMES, "", "colour"])
    return Shaped(
        "tsv", write(folder / "MMBench.tsv", "".join("\t".join(line) + "\n" for line in lines).encode()), 11, 10, 8, None, {"no_answer": 1}
    )


FORMATS: dict[str, Callable[[Path], Shaped]] = {
    "llava-665k": llava_665k,
    "sharegpt4v": sharegpt4v,
    "my-allava": allava,
    "onevision-json": onevision_json,
    "onevision-parquet": onevision_parquet,
    "finevision/ai2d_merged": finevision,
    "my-cauldron": cauldron,
    "docmatix": docmatix,
    "m4-instruct": m4_instruct,
    "ms-swift": ms_swift,
    "factory-sharegpt": factory_sharegpt,
    "factory-alpaca": factory_alpaca,
    "factory-v1": factory_v1,
    "qwen-vl": qwen_vl,
    "qwen-vl-packed": qwen_vl_packed,
    "openai": openai,
    "openai-parquet": openai_parquet,
    "trl": trl,
    "laion-tars": webdataset,
    "energon": energon,
    "mmbench-tsv": tsv,
}


def benchmark_tsv(path: Path) -> Path:
    """A small benchmark of another twelve images."""
    lines = [["index", "image", "question", "A", "B", "C", "D", "answer"]]
    for number in range(12):
        held = base64.b64encode(picture("benchmark", number)).decode()
        lines.append([str(number), held, ASKED, *NAMES, "ABCD"[number % 4]])
    return write(path, "".join("\t".join(line) + "\n" for line in lines).encode())
