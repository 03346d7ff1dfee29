"""The worker process: what it refuses, how it ends, and that nothing harmful or stale gets through it."""

from __future__ import annotations

import base64
import os
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit_tables import Table, needs_kit, picture

from probe.errors import ProbeError
from probe.study.items import read_eval_set
from probe.vlmeval.adding import own_table, published_table
from probe.vlmeval.scores import kit_scores_of
from probe.vlmeval.worker import Worker, worker
from probe.workspace import Workspace
from proxy_training.jobs import EvalSet


def yes_no(folder: Path, like: str, n: int = 6, **more: str) -> EvalSet:
    """Return items of a yes-no benchmark, two questions an image, the second answered no."""
    table = Table(folder / f"{like}.tsv", ["index", "image", "question", "answer", "category", "image_path"])
    for i in range(n):
        cells = {"category": "existence", "image_path": f"existence/{i // 2}.jpg", **more}
        table.add(index=i, image=picture(i // 2), question=f"is it {i}?", answer="No" if i % 2 else "Yes", **cells)
    return read_eval_set(own_table("mine", like, str(table.write()), ""))


def fake_python(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_without_the_environment_one_sentence_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_EVAL_PYTHON", str(tmp_path / "nowhere"))
    with pytest.raises(ProbeError, match="make eval"), worker(tmp_path / "log"):
        pass


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo it broke >&2; exit 3", r"ended with code 3 \(it broke\)"),
        ("kill -9 $$", "was killed by SIGKILL"),
        ("read line; sleep 60", "said nothing for 1 s"),
    ],
)
def test_a_dead_or_silent_worker_is_one_sentence(script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_EVAL_PYTHON", fake_python(tmp_path, script))
    monkeypatch.setenv("PROBE_EVAL_SILENCE", "1")
    with worker(tmp_path / "log") as process, pytest.raises(ProbeError, match=said) as caught:
        process.ask("supported", tmp_path, {})
    assert "\n" not in str(caught.value)


def test_progress_comes_before_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = '{"progress": ["answers", 1, 2]}\n{"result": 7}'
    monkeypatch.setenv("PROBE_EVAL_PYTHON", fake_python(tmp_path, f"read line; printf '%s\\n' '{lines}'; sleep 60"))
    seen: list[tuple[Any, ...]] = []
    with worker(tmp_path / "log") as process:
        assert process.ask("supported", tmp_path, {}, lambda *what: seen.append(what)) == 7
    assert seen == [("answers", 1, 2)]


@needs_kit
def test_a_worker_killed_at_work_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    eval_set = yes_no(tmp_path, "POPE")
    with worker(tmp_path / "log") as process:
        threading.Timer(2.0, os.kill, (process._process.pid, signal.SIGKILL)).start()
        with pytest.raises(ProbeError, match="killed by SIGKILL"):
            kit_scores_of(process, tmp_path / "runs", eval_set, dict.fromkeys(range(6), "yes"))
    assert not list((tmp_path / "runs").iterdir())


@needs_kit
def test_mme_is_scored_by_pairs_on_its_own_scale(kit: Worker, tmp_path: Path) -> None:
    eval_set = yes_no(tmp_path, "MME")
    said = {0: "Yes", 1: "No.", 2: "yes", 3: "yes", 4: "maybe", 5: "no"}
    found = kit_scores_of(kit, tmp_path / "runs", eval_set, said)
    assert found.scores.tolist() == [1, 1, 1, 0, 0, 1]
    assert found.parsed.tolist() == [1, 1, 1, 1, 0, 1]
    assert found.headline_score == pytest.approx((4 / 6 * 100 + 1 / 3 * 100) / 200)
    odd = replace(eval_set, items=eval_set.items[:5])
    with pytest.raises(ProbeError, match="two questions of each image, and 1 images"):
        kit_scores_of(kit, tmp_path / "runs", odd, dict.fromkeys(range(5), "yes"))


@needs_kit
def test_another_model_and_another_table_are_never_mixed_up(kit: Worker, tmp_path: Path) -> None:
    eval_set = yes_no(tmp_path, "POPE")
    right = kit_scores_of(kit, tmp_path / "runs", eval_set, {n: item.answer for n, item in enumerate(eval_set.items)})
    wrong = kit_scores_of(kit, tmp_path / "runs", eval_set, dict.fromkeys(range(6), "yes"))
    fewer = kit_scores_of(kit, tmp_path / "runs", replace(eval_set, items=eval_set.items[1::2]), dict.fromkeys(range(3), "yes"))
    assert (right.scores.mean(), wrong.scores.mean(), fewer.scores.mean()) == (1.0, 0.5, 0.0)


@needs_kit
def test_cells_are_never_run(kit: Worker, tmp_path: Path) -> None:
    """VLMEvalKit calls `eval` on answers: a file that an answer would write must not be there."""
    mark = tmp_path / "owned"
    table = Table(tmp_path / "t.tsv", ["index", "image", "question", "answer", "category"])
    for n in range(4):
        table.add(index=n, image=picture(n), question="?", answer=f"__import__('pathlib').Path({str(mark)!r}).touch()", category="c")
    for like in ("DocVQA_VAL", "TextVQA_VAL"):
        eval_set = read_eval_set(own_table("mine", like, str(table.write()), ""))
        assert kit_scores_of(kit, tmp_path / "runs", eval_set, dict.fromkeys(range(4), "a")).scores.tolist() == [0.0] * 4
    eval_set = read_eval_set(own_table("mine", "OCRBench", str(table.path), ""))
    with pytest.raises(ProbeError, match="cannot score these rows as OCRBench"):
        kit_scores_of(kit, tmp_path / "runs", eval_set, dict.fromkeys(range(4), "a"))
    assert not mark.exists()


@needs_kit
def test_images_are_written_as_they_are_and_nowhere_else(kit: Worker, tmp_path: Path) -> None:
    """A path out of the folder becomes a safe name; the model then sees the bytes of the table, whatever the name says."""
    eval_set = yes_no(tmp_path, "POPE", image_path="../../../escaped.jpg")
    request = {
        "name": "POPE", "proxy": "tiny", "adapter": None, "scope": "lora-language", "features": str(tmp_path / "features"),
        "device": "cpu", "gpus_per_probe": 1, "max_new_tokens": 2, "prompts": None,
    }  # fmt: skip
    from probe.vlmeval.tables import write_table

    run = tmp_path / "run"
    write_table(run / "POPE.tsv", eval_set.spec, eval_set.items)
    found = kit.ask("score", run, request)
    written = sorted(path for path in (run / "images").rglob("*") if path.is_file())
    assert {path.read_bytes() for path in written} == {base64.b64decode(picture(n)) for n in range(3)}
    assert set(found["predictions"]) == {str(n) for n in range(6)}
    assert not list(tmp_path.parent.rglob("escaped*"))


class Endpoint(BaseHTTPRequestHandler):
    """Plays a judge that grades every answer the same."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012
    keys: set[str] = set()  # noqa: RUF012

    def do_POST(self) -> None:
        import json

        type(self).asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        type(self).keys.add(self.headers["Authorization"])
        text = json.dumps({"choices": [{"message": {"content": "0.6"}}]}).encode()
        self.send_response(200 if self.path == "/v1/chat/completions" else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def judged(folder: Path) -> EvalSet:
    table = Table(folder / "mmvet.tsv", ["index", "image", "question", "answer", "category"])
    for n in range(3):
        table.add(index=f"v1_{n}", image=picture(n), question="what is it?", answer="a square", category="rec,ocr,know,gen,spat,math")
    return read_eval_set(own_table("mine", "MMVet", str(table.write()), ""))


def test_a_missing_judge_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_EVAL_PYTHON", fake_python(tmp_path, "sleep 60"))
    monkeypatch.delenv("PROBE_JUDGE_URL", raising=False)
    with worker(tmp_path / "log") as process, pytest.raises(ProbeError, match=r"PROBE_JUDGE_URL .*PROBE_JUDGE_MODEL"):
        kit_scores_of(process, tmp_path / "runs", judged(tmp_path), dict.fromkeys(range(3), "red"))


@needs_kit
def test_a_judge_is_asked_and_its_key_is_nowhere(endpoint: str, kit: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"URL": endpoint, "MODEL": "org/grader-7b", "KEY": "key-of-the-test"}.items():
        monkeypatch.setenv(f"PROBE_JUDGE_{name}", value)
    found = kit_scores_of(kit, tmp_path / "runs", judged(tmp_path), dict.fromkeys(range(3), "a red square"))
    assert found.headline_score == pytest.approx(0.6)
    assert np.isnan(found.scores).all()
    assert {one["model"] for one in Endpoint.asked} == {"org/grader-7b"}
    assert Endpoint.keys == {"Bearer key-of-the-test"}
    written = [kit.log, *(path for path in tmp_path.rglob("*") if path.is_file())]
    assert all("key-of-the-test" not in path.read_text(errors="replace") for path in written)


@needs_kit
def test_a_published_benchmark_is_taken_from_the_users_folder_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be downloaded here (all goes to a closed port): a file of another content is no published one."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    workspace, users = Workspace(tmp_path / ".probe"), tmp_path / "mine"
    users.mkdir()
    monkeypatch.setenv("LMUData", str(users))
    with worker(tmp_path / "log") as process:
        needed = r"MMStar cannot be downloaded .* put the published file there yourself, as .*MMStar.tsv \(MD5 e1ecd"
        with pytest.raises(ProbeError, match=needed):
            published_table(process, workspace, "MMStar", "MMStar", 0)
        (users / "MMStar.tsv").write_text("index\tquestion\tanswer\n1\t?\tA\n")
        with pytest.raises(ProbeError, match="is not the published file"):
            published_table(process, workspace, "MMStar", "MMStar", 0)
        table = Table(users / "A-OKVQA.tsv", ["index", "image", "question", "A", "B", "answer"])  # published without a hash
        for n in range(20):
            table.add(index=n, image=picture(n // 2), question="?", A="red", B="blue", answer="A")
        table.write()
        assert published_table(process, workspace, "A-OKVQA", "A-OKVQA", 0).path == str(users / "A-OKVQA.tsv")
        limited = read_eval_set(published_table(process, workspace, "A-OKVQA", "A-OKVQA", 5))
    assert len(limited.items) == 6  # whole images
    assert len({item.image_group() for item in limited.items}) == 3
