import dataclasses
import os
import time
from pathlib import Path

from probe.workspace import Workspace


def test_nothing_yet(probe, tmp_path):
    assert "probe run --source S" in probe("status").out
    assert "probe run --source S" in probe("studies", "list").out
    assert probe("status", "--json").json() == []
    assert not (tmp_path / ".probe").exists()


def test_status_counts_probes_and_tells_how_to_go_on(probe, study):
    row = probe("status", "--json").json()[0]
    assert (row["study"], row["waiting"], row["done"]) == ("main", 2, 0)  # untrained and mine
    assert "probe run --study main" in probe("status").out


def test_status_tells_who_runs_and_the_last_error(probe, study):
    from probe.study.worker import owner_name

    with Workspace(Path(".probe")).open_store() as store:
        failed = store.claim(owner_name(os.getpid()), "main", 60)
        store.fail(failed, "out of memory")
        store.claim(owner_name(os.getpid()), "main", 60)
    row = probe("status", "--study", "main", "--json").json()[0]
    assert (row["failed"], row["running"], row["last_error"]) == (1, 1, "out of memory")
    assert str(os.getpid()) in row["who"]
    assert "--retry-failed" in probe("status").out
    assert probe("studies", "remove", "main").code == 1
    assert probe("studies", "remove", "main", "--force", "--yes").code == 0


def test_status_of_an_unknown_study(probe, study):
    ended = probe("status", "--study", "mian")
    assert ended.code == 1
    assert "did you mean 'main'?" in ended.err


def test_show_and_note(probe, study):
    assert probe("studies", "note", "main", "mine looks good", "--author", "ada").code == 0
    shown = probe("studies", "show", "main", "--json").json()
    assert [arm["arm"] for arm in shown["arm_list"]] == ["untrained", "mine"]
    assert shown["benchmark_list"] == ["bench"]
    assert (shown["notes"][-1]["author"], shown["notes"][-1]["text"]) == ("ada", "mine looks good")
    text = probe("studies", "show", "main").out
    assert "mine looks good" in text
    assert "16 samples" in text


def test_list_and_remove(probe, study):
    assert [row["study"] for row in probe("studies", "list", "--json").json()] == ["main"]
    refused = probe("studies", "remove", "main")  # nobody is there to ask
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert probe("studies", "remove", "main", "--yes").code == 0
    assert probe("studies", "list", "--json").json() == []
    assert probe("studies", "remove", "main").code == 1


def _folder(path, *, old=False):
    path.mkdir(parents=True)
    (path / "weights").write_bytes(b"x" * 1000)
    if old:
        os.utime(path, (time.time() - 7200,) * 2)
    return path


def _needed():
    with Workspace(Path(".probe")).open_store() as store:
        return sorted(store.adapters_needed())[0]


def test_clean_removes_only_what_no_study_needs(probe, study, tmp_path):
    root = tmp_path / ".probe"
    needed, orphan = _folder(root / "adapters" / _needed()), _folder(root / "adapters" / "orphan")
    stale, fresh = _folder(root / "adapters" / ".a.1", old=True), _folder(root / "adapters" / ".a.2")
    planned = probe("clean", "--dry-run", "--json").json()
    assert {(row["what"], row["bytes"]) for row in planned} == {("adapter", 1000), ("unfinished", 1000)}
    assert orphan.exists()
    ended = probe("clean")
    assert "2.0 kB freed" in ended.out
    assert (needed.exists(), orphan.exists(), stale.exists(), fresh.exists()) == (True, False, False, True)


def test_clean_keeps_features_until_no_study_needs_them(probe, study, tmp_path):
    unknown, other = _folder(tmp_path / ".probe/features/unknown"), _folder(tmp_path / ".probe/features/other")
    (other / "space").write_text('{"weights_hash": "another proxy"}')
    probe("clean")
    assert (unknown.exists(), other.exists()) == (True, False)
    probe("studies", "remove", "main", "--yes")
    probe("clean")
    assert not unknown.exists()


def test_clean_keeps_orders_by_difficulty_that_a_source_is_cut_from_and_losses_until_all_goes(probe, mine, tmp_path):
    used, unused = "a" * 32, "b" * 32
    with Workspace(Path(".probe")).open_store() as store:
        record = store.source(mine)
        part = dataclasses.replace(record.spec.with_option("difficulty", f"{used}:1/3"), slug="mine/easy")
        store.put_source(dataclasses.replace(record, spec=part))
    root = tmp_path / ".probe"
    orders = [root / "indexes" / f"difficulty-{order}" for order in (used, unused)]
    for order in orders:
        order.write_bytes(b"x" * 16)
        os.utime(order, (0, 0))
    losses = _folder(root / "difficulty" / "judged", old=True)
    (losses / ".000001.json.0").write_text("")
    os.utime(losses / ".000001.json.0", (0, 0))
    os.utime(losses, (0, 0))
    assert sorted(row["what"] for row in probe("clean", "--json").json()) == ["order", "unfinished"]
    assert ([order.exists() for order in orders], (losses / "weights").exists()) == ([True, False], True)
    os.utime(losses, (0, 0))
    probe("clean", "--all")
    assert (orders[0].exists(), losses.exists()) == (True, False)


def test_clean_touches_no_features_while_a_probe_runs(probe, study, tmp_path):
    from probe.study.worker import owner_name

    space, orphan = _folder(tmp_path / ".probe/features/unknown"), _folder(tmp_path / ".probe/adapters/orphan")
    with Workspace(Path(".probe")).open_store() as store:
        store.claim(owner_name(os.getpid()), "main", 60)
    probe("clean", "--all")
    assert space.exists()
    assert orphan.exists()


def test_a_swarm_grows_and_another_one_of_other_sources_joins_it(probe, bench):
    from db.values import Design
    from probe.study.run import RunRequest, plan_run, store_plan

    for number, name in enumerate("abcd"):
        words = ("--option", "rows=40", "--option", f"seed={number}")
        assert probe("sources", "add", name, "--format", "world", "--option", "skill=colour", *words).code == 0

    def swarm(sources, mixtures):
        request = RunRequest(tuple(sources), design=Design.SWARM, samples=16, seeds=2, mixtures=mixtures, benchmarks=(bench,))
        planned = plan_run(Workspace(Path(".probe")), request, lambda line: None)
        store_plan(Workspace(Path(".probe")), planned)
        return [arm.name for arm in planned.plan.arms if arm.design is Design.SWARM], planned.new

    small, _ = swarm("abc", 5)
    assert len(set(small)) == 5
    assert swarm("abc", 5) == (small, 0)
    large, new = swarm("abc", 9)
    assert large[:5] == small
    assert (len(set(large)), new) == (9, 4)
    other, _ = swarm("cd", 5)
    assert len(set(other)) == 5
    both, _ = swarm("abcd", 20)
    assert set(both) >= {*large, *other}


def test_notes_are_listed_with_who_and_when(probe, study):
    assert probe("studies", "note", "main", "take mine\nbecause it is ours\x1b[2J", "--by", "ada").code == 0
    assert probe("studies", "note", "main", "agreed", "--by", "grace").code == 0
    rows = probe("studies", "notes", "main", "--json").json()
    assert [(row["by"], row["text"].split("\n")[0]) for row in rows][-2:] == [("ada", "take mine"), ("grace", "agreed")]
    table = probe("studies", "notes", "main").out
    assert "because it is ours" in table
    assert "\x1b" not in table
    assert probe("studies", "notes", "main", "--csv").out.startswith("written,by,text\n")


def test_a_note_needs_words_and_a_study(probe, study):
    assert probe("studies", "note", "main", "  ").code == 2
    assert "did you mean 'main'?" in probe("studies", "note", "mian", "x").err
    assert "did you mean 'main'?" in probe("studies", "notes", "mian").err
