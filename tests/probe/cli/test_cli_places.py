"""Places and devices: what cannot be used is one sentence, and every command that is printed leads to the same workspace."""

import pytest

from probe.commands import in_workspace
from probe.study import devices
from probe.study.devices import check_device
from probe.workspace import Workspace


@pytest.mark.parametrize(
    ("device", "code", "says"), [("xyz", 2, "give cpu, cuda"), ("cuda:x", 2, "give cpu, cuda"), ("cuda:99", 1, "no such GPU")]
)
@pytest.mark.parametrize("command", [("run", "--source", "mine"), ("optimize",), ("eval", "--proxy", "tiny")])
def test_a_device_that_is_not_there_is_said_before_anything_is_planned(probe, tmp_path, command, device, code, says):
    ended = probe(*command, "--device", device)
    assert (ended.code, says in ended.err, ended.err.count("\n")) == (code, True, 1), ended.err
    assert not (tmp_path / ".probe").exists()


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.setattr(devices, "_gpu_names", lambda: ["0", "1", "4", "5"])


def test_workers_take_gpus_one_by_one_or_in_groups(four_gpus):
    assert [place.device for place in devices.places(None)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert devices.places("cuda:2") == [devices.Place("cuda:2")]
    groups = devices.places(None, 2)
    assert [place.environment() for place in groups] == [{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "4,5"}]
    assert [devices.default_workers(None, n) for n in (1, 2, 3)] == [4, 2, 1]
    devices.check_sharding(None, 4)


def test_sharding_over_gpus_that_are_not_there_is_one_sentence(probe, four_gpus):
    for words, says in (
        (("--gpus-per-probe", "5"), "this machine shows 4 GPUs"),
        (("--gpus-per-probe", "2", "--device", "cpu"), "needs several GPUs"),
    ):
        ended = probe("run", "--source", "mine", *words)
        assert (ended.code != 0, says in ended.err, ended.err.count("\n")) == (True, True, 1), ended.err


def test_the_cpu_needs_no_check():
    check_device(None)
    check_device("cpu")


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--source", "world/colour", "--samples", "8", "--seeds", "1"),
        ("sources", "add", "mine", "--path", "data.jsonl", "--images", "images"),
        ("benchmarks", "add", "bench", "--path", "bench.tsv"),
        ("status",),
        ("demo",),
    ],
)
@pytest.mark.parametrize("place", ["file/in", "/proc/nowhere", "/proc/nowhere/in"])
def test_a_workspace_that_cannot_be_made_is_one_sentence(probe, tmp_path, llava, tsv, command, place):
    (tmp_path / "file").write_text("")
    ended = probe("--workspace", place, *command)
    if command == ("status",):
        missing = f"There is no workspace at {place}: nothing was ever stored there; check --workspace.\n"
        assert (ended.code, ended.err) == (0, missing)  # reading needs no place
    else:
        assert (ended.code, ended.err.strip().count("\n")) == (1, 0), ended.err
        assert "cannot be written" in ended.err
        assert "--workspace" in ended.err


def test_hints_lead_to_the_same_workspace(probe, llava, tsv, images):
    place = "my place"
    added = probe("--workspace", place, "sources", "add", "mine", "--path", llava, "--images", images)
    assert "Next: probe --workspace 'my place' sources check mine, then probe --workspace 'my place' sources split" in added.out
    assert "probe --workspace 'my place' run --source S" in probe("--workspace", place, "status").out
    assert "`probe --workspace 'my place' benchmarks add NAME" in probe("--workspace", place, "run", "--source", "mine").err
    assert "Nothing has been asked yet: probe run" in probe("--workspace", "./.probe", "status").out


def test_a_database_is_named_without_its_password(monkeypatch, tmp_path):
    place = Workspace(tmp_path, "postgresql://ada:secret@db/probe")
    assert in_workspace("see `probe rank`", place) == f"see `probe --workspace {tmp_path} --db 'postgresql://ada:***@db/probe' rank`"
    monkeypatch.setenv("PROBE_DB_URL", place.db_url)
    assert in_workspace("probe rank", place) == f"probe --workspace {tmp_path} rank"
    assert in_workspace("no probe is scored", place) == "no probe is scored"


LISTINGS = [
    ("sources", "list"),
    ("benchmarks", "list"),
    ("studies", "list"),
    ("manifest", "list"),
    ("outcomes", "list"),
    ("status",),
    ("clean",),
]


@pytest.mark.parametrize("words", LISTINGS)
def test_a_listing_of_a_workspace_that_is_not_there_says_so_beside_what_it_prints(probe, tmp_path, words):
    ended = probe("--workspace", "typo", *words, "--json")
    assert ended.code == 0
    assert isinstance(ended.json(), list)
    assert ended.err == "There is no workspace at typo: nothing was ever stored there; check --workspace.\n"
    assert not (tmp_path / "typo").exists()
    assert "no workspace" not in probe(*words).err  # the default one may be new


@pytest.mark.parametrize(
    "words", [("rank",), ("curve",), ("optimize",), ("studies", "show", "main"), ("sources", "remove", "mine"), ("dashboard",)]
)
def test_what_only_reads_a_workspace_refuses_one_that_is_not_there(probe, tmp_path, monkeypatch, words):
    monkeypatch.setenv("PROBE_WORKSPACE", "typo")
    ended = probe(*words)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "there is no workspace at typo" in ended.err
    assert not (tmp_path / "typo").exists()
    assert probe(*words, "--help").code == 0


def test_a_database_file_that_is_not_there_is_said(probe, tmp_path, monkeypatch):
    ended = probe("--db", "sqlite:///typo.db", "rank")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "there is no store at typo.db: nothing was ever stored there; check --db" in ended.err
    monkeypatch.setenv("PROBE_DB_URL", f"sqlite:///{tmp_path}/typo.db")
    ended = probe("studies", "list", "--json")
    assert (ended.code, ended.json()) == (0, [])
    assert f"There is no store at {tmp_path}/typo.db" in ended.err
    assert not list(tmp_path.glob("**/*.db"))
    assert Workspace(tmp_path, "postgresql://me@host/db").exists()  # only the server knows


@pytest.mark.parametrize(
    "words",
    [
        ("sources", "show", "mine"),
        ("sources", "show", "easy-vqa/colour"),
        ("benchmarks", "show", "ours"),
        ("export", "ab", "--trainer", "jsonl", "--out", "o"),
    ],
)
def test_what_goes_on_without_a_workspace_leaves_none_behind(probe, tmp_path, words):
    ended = probe("--workspace", "typo", *words)
    assert ended.err.startswith("There is no workspace at typo")
    assert ended.code == ("easy-vqa/colour" not in words)
    assert not (tmp_path / "typo").exists()


def test_what_makes_a_workspace_says_nothing(probe, mine, llava, images):
    ended = probe("--workspace", "new", "sources", "add", "mine", "--path", llava, "--images", images)
    assert ended.code == 0
    assert "no workspace" not in ended.err
    assert "no workspace" not in probe("--workspace", "new", "sources", "list").err
