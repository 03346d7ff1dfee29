from dataclasses import replace
from pathlib import Path

from probe.study.run import RunRequest, plan_run, store_plan
from probe.workspace import Workspace


def _rows(source_name):
    from probe.study.registry import find_source
    from sources.sampling import SourcePool

    with Workspace(Path(".probe")).open_store() as store:
        samples = SourcePool.open(find_source(store, source_name)).numbered_samples()
        return {sample.text_digest() + sample.images[0].identity() for _, sample in samples}


def test_a_split_registers_a_benchmark_and_trains_on_the_rest(probe, mine):
    whole = _rows(mine)
    ended = probe("sources", "split", mine, "--holdout", "0.3", "--capability", "colours")
    assert ended.code == 0, ended.err
    left = _rows(mine)
    shown = probe("benchmarks", "show", "mine-holdout", "--json").json()
    assert left < whole
    assert shown["items"] == len(whole) - len(left)
    assert shown["capability"] == "colours"


def test_splitting_again_in_the_same_way_changes_nothing(probe, mine):
    first = probe("sources", "split", mine, "--holdout", "0.3")
    before = probe("benchmarks", "show", "mine-holdout", "--json").json(), _rows(mine)
    assert probe("sources", "split", mine, "--holdout", "0.3").out == first.out
    assert (probe("benchmarks", "show", "mine-holdout", "--json").json(), _rows(mine)) == before


def test_splitting_otherwise_is_refused(probe, mine):
    probe("sources", "split", mine, "--holdout", "0.3")
    ended = probe("sources", "split", mine, "--holdout", "0.2")
    assert ended.code == 1
    assert "already split" in ended.err


def test_adding_again_keeps_the_split(probe, mine, llava, images):
    probe("sources", "split", mine, "--holdout", "0.3")
    left = _rows(mine)
    ended = probe("sources", "add", mine, "--path", llava, "--images", images)
    assert "stays split" in ended.out
    assert _rows(mine) == left


def test_a_name_of_ones_own(probe, mine):
    probe("sources", "split", mine, "--holdout", "0.3", "--benchmark", "my-test")
    assert probe("benchmarks", "show", "my-test").code == 0


def test_refused_once_a_study_used_the_whole(probe, study):
    ended = probe("sources", "split", "mine", "--holdout", "0.3")
    assert ended.code == 1
    assert "study 'main' has used the whole of mine" in ended.err


def test_a_split_source_in_use_is_left_alone(probe, mine, bench):
    from probe.study.run import RunRequest, plan_run, store_plan

    probe("sources", "split", mine, "--holdout", "0.3")
    workspace = Workspace(Path(".probe"))
    store_plan(workspace, plan_run(workspace, RunRequest((mine,), samples=8, seeds=1), lambda line: None))
    ended = probe("sources", "split", mine, "--holdout", "0.3")
    assert ended.code == 0
    assert "nothing was changed" in ended.out


def test_held_out_images_in_another_source_are_told(probe, mine, llava, images):
    probe("sources", "split", mine, "--holdout", "0.3")
    probe("sources", "add", "again", "--path", llava, "--images", images)
    shown = probe("benchmarks", "show", "mine-holdout", "--json").json()
    held, request = shown["images"], RunRequest((mine, "again"), samples=64, seeds=1)
    told: list[str] = []
    assert not plan_run(Workspace(Path(".probe")), request, told.append).notes
    assert any(line.startswith("again:") and f"{shown['items']} contaminated" in line for line in told)
    planned = plan_run(Workspace(Path(".probe")), replace(request, keep_contaminated=True), lambda line: None)
    assert [note.partition(",")[0] for note in planned.notes] == [
        f"again: {held} of the {held} images of benchmark mine-holdout are among what its probes train on"
    ]


def test_a_later_benchmark_of_trained_images_is_told_and_noted(probe, study, mine, llava, images):
    probe("sources", "add", "again", "--path", llava, "--images", images)
    probe("sources", "split", "again", "--holdout", "0.5")
    workspace, said = Workspace(Path(".probe")), []
    for _ in range(2):
        store_plan(workspace, plan_run(workspace, RunRequest((mine,), benchmarks=("again-holdout",)), said.append))
    assert any(line.startswith("mine: ") and "again-holdout" in line for line in said)
    with workspace.open_store() as store:
        texts = [note.text for note in store.notes("main")]
    assert len(texts) == len(set(texts))
    assert any("again-holdout" in text for text in texts)


def test_a_study_whose_other_source_is_not_asked_for_takes_a_benchmark_more(probe, study, llava, images, tsv, tmp_path):
    workspace = Workspace(Path(".probe"))
    probe("sources", "add", "other", "--path", llava, "--images", images)
    store_plan(workspace, plan_run(workspace, RunRequest(("other",)), lambda line: None))
    more = tmp_path / "more.tsv"
    more.write_text(tsv.read_text().replace("what color", "which color"))
    probe("benchmarks", "add", "more", "--path", more)
    planned = plan_run(workspace, RunRequest(("mine",), benchmarks=("more",)), lambda line: None)
    assert {note.partition(":")[0] for note in planned.notes if " more " in note} == {"mine", "other"}
