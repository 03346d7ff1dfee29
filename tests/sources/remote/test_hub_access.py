"""What the user is told when the hub does not give a data set, and what works without it."""

import re
import shutil
import subprocess
import sys

import pytest
from making_repos import finevision

CHARTQA = {"hub": "org/fine", "subset": "chartqa"}


@pytest.fixture
def fine(hub):
    return finevision(hub.root, shards=3, rows=60)


def test_each_refusal_is_one_sentence_with_its_cure(hub, fine, machine):
    finevision(hub.root, "iam(cauldron)", shards=1, rows=20)
    for name, closed in (("closed", "README.md"), ("data-closed", "chartqa/train-00000-of-00003.parquet")):
        shutil.copytree(fine, hub.root / "org" / name)
        hub.gated[f"org/{name}"] = {closed}
    asked = {
        "has no data set org/nope.*HF_TOKEN": {"hub": "org/nope"},
        "org/closed is gated: accept its terms at http.*org/closed and log in": {"hub": "org/closed"},
        "org/data-closed is gated: accept its terms": {"hub": "org/data-closed", "subset": "chartqa"},
        "no revision v7.*--revision": {**CHARTQA, "revision": "v7"},
        "has 2 subsets; name one with --subset: chartqa, iam\\(cauldron\\)": {"hub": "org/fine"},
        "no subset 'chartq'; did you mean 'chartqa'": {**CHARTQA, "subset": "chartq"},
        "no split 'test'; it has train \\(--split\\)": {**CHARTQA, "stream": {"split": "test"}},
        "is no name of a data set.*ORG/NAME": {"hub": "a b/c"},
    }
    for (told, _), found in zip(asked.items(), machine.fetch_all(*asked.values()), strict=True):
        assert found["kind"] == "SourceError", found
        assert "\n" not in found["error"]
        assert re.search(told, found["error"]), found["error"]
    assert {entry.path.split("/")[3] for entry in hub.data(".parquet")} <= {"data-closed"}


def test_offline_with_nothing_in_the_cache_says_what_to_do(hub, fine, machine):
    offline = machine.fetch({"HF_HUB_OFFLINE": "1"}, **CHARTQA)
    assert offline["kind"] == "UnreachableError"
    assert "HF_HUB_OFFLINE" in offline["error"]
    assert "--path" in offline["error"]
    away = machine.fetch({"HF_ENDPOINT": "http://127.0.0.1:9"}, **CHARTQA)
    assert away["kind"] == "UnreachableError"
    assert "http://127.0.0.1:9 cannot be reached" in away["error"]
    assert not hub.asked


def test_offline_after_a_draw_the_same_rows_are_taken(hub, fine, machine):
    online = machine.fetch(**CHARTQA)
    hub.asked.clear()
    same, other = machine.fetch_all(CHARTQA, {**CHARTQA, "stream": {"rows": 41}}, HF_HUB_OFFLINE="1")
    assert (same["content"], same["fingerprint"]) == (online["content"], online["fingerprint"])
    assert "drawn before" in same["said"][0]
    assert other["kind"] == "UnreachableError"
    assert not hub.asked


def test_offline_with_the_hubs_cache_the_same_rows_are_drawn_from_it(hub, fine, machine, other_machine):
    download = "from huggingface_hub import snapshot_download; snapshot_download('org/fine', repo_type='dataset')"
    subprocess.run([sys.executable, "-c", download], env=machine.settings(), check=True, capture_output=True, timeout=120)
    hub.asked.clear()
    offline = machine.fetch({"HF_HUB_OFFLINE": "1"}, **CHARTQA)
    assert not hub.asked
    online = other_machine.fetch(**CHARTQA)
    assert (offline["content"], offline["fingerprint"]) == (online["content"], online["fingerprint"])

    next((machine.home / "hf" / "hub").rglob("train-00001-of-00003.parquet")).unlink()  # a cache that knows that it is not complete
    partial = machine.fetch({"HF_HUB_OFFLINE": "1"}, pools=str(machine.home / "elsewhere"), **CHARTQA)
    assert partial["kind"] == "UnreachableError"


def test_what_lies_in_the_hubs_cache_is_not_fetched(hub, fine, machine):
    download = "from huggingface_hub import snapshot_download; snapshot_download('org/fine', repo_type='dataset')"
    subprocess.run([sys.executable, "-c", download], env=machine.settings(), check=True, capture_output=True, timeout=120)
    hub.asked.clear()
    assert machine.fetch(**CHARTQA)["usable"] == 40
    assert not hub.data(".parquet")
