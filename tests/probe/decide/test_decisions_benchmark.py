"""The worlds that decisions are measured on hold what they say, and answers are counted as they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from decisions_full_scale import PROXY, Sizes
from decisions_judge import Answer, share_right
from decisions_runs import Engines, Lab, Run
from decisions_study import bounds, budget_share, random_mixtures, search_runs, weights_of
from decisions_world import ITEMS, World, benchmarks, make_world, taught, write_sources

from proxy_training.jobs import METRICS, ItemScores
from sources.benchmark import Split
from sources.mixture import Mixture

SEED, ROWS = 5, 200


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SEED)


def lab(world: World, out: Path) -> Lab:
    return Lab(world, Sizes(), out, Engines(out, out / "model"))


def right(world: World, name: str) -> float:
    part = next(part for part in world.parts if part.name == name)
    rows = [taught(world, part, number) for number in range(ROWS)]
    return float(np.mean([row.answer == row.truth for row in rows]))


def answers(world: World, name: str) -> set[str]:
    part = next(part for part in world.parts if part.name == name)
    return {taught(world, part, number).answer for number in range(ROWS)}


def test_a_seed_gives_one_world_and_another_seed_another(world: World) -> None:
    assert make_world(SEED) == world
    assert make_world(SEED + 1).words != world.words


def test_a_word_stands_for_one_thing_of_one_task(world: World) -> None:
    words = [word for own in world.words.values() for word in own.values()]
    assert len(words) == len(set(words))


def test_the_planted_defects_are_there(world: World) -> None:
    assert [right(world, name) for name in ("harmful", "clean-a", "twin-a", "half-b", "gold")] == [0, 1, 1, 1, 1]
    noise = next(part.noise for part in world.parts if part.name == "noisy")
    assert right(world, "noisy") == pytest.approx(1 - noise, abs=3 * (noise * (1 - noise) / ROWS) ** 0.5)


def test_twins_teach_one_task_and_halves_share_no_answer(world: World) -> None:
    assert answers(world, "twin-a") == answers(world, "twin-b") == set(world.words[world.tasks[2]].values())
    one, other = answers(world, "half-a"), answers(world, "half-b")
    assert not one & other
    assert one | other == set(world.words[world.tasks[3]].values())


def test_sources_are_files_that_the_tool_reads(world: World, tmp_path: Path) -> None:
    specs = write_sources(world, tmp_path / "sources", share=0.02)
    records = json.loads(Path(specs["gold"].path).read_text())
    assert (tmp_path / "sources" / "gold" / records[0]["image"]).read_bytes().startswith(b"\x89PNG")
    assert write_sources(world, tmp_path / "sources", share=0.02) == specs


def test_items_have_their_answer_among_the_choices_and_images_of_their_own(world: World) -> None:
    for _, items in benchmarks(world, 30):
        assert all(item.answer in item.choices for item in items)
        assert len({item.image_group() for item in items}) == len(items)


def test_random_mixtures_keep_the_bounds_and_the_search_its_budget(world: World, tmp_path: Path) -> None:
    one = lab(world, tmp_path)
    weights, limits = weights_of(random_mixtures(one), world.sources), bounds(one)
    assert len(weights) == one.sizes.random
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights <= np.array(limits.greatest) * 1.15).all()  # shares below 1 % are dropped, which raises the others
    assert budget_share(one.sizes, len(set(search_runs(one)))) <= 0.08


def test_scores_come_back_by_arm_seed_and_half_of_the_items(world: World, tmp_path: Path) -> None:
    one = lab(world, tmp_path)
    (one.folder / PROXY).mkdir(parents=True)
    mixtures = [Mixture.single("gold"), Mixture.single("broad")]
    for value, (mixture, seed) in enumerate([(mixtures[0], 0), (mixtures[0], 1), (mixtures[1], 1)]):
        scores = [ItemScores(task, "", np.full((len(METRICS), ITEMS), value, np.float32), ITEMS) for task in world.tasks]
        one.keep(PROXY, Run(mixture, seed), scores, [320, 1.0, 0.5])
    halves = [one.arrays(PROXY, [(mixtures[0], [0, 1]), (mixtures[1], [1])], split) for split in Split]
    for array in halves[0]:
        means = np.nanmean(array.values[0], axis=2) if np.isfinite(array.values[0]).all() else array.values[0][:, :, 0]
        np.testing.assert_array_equal(means, [[0, 1], [np.nan, 2]])
    counts = [sum(array.values.shape[-1] for array in half) for half in halves]
    assert sum(counts) == ITEMS * len(world.tasks)
    assert one.spent(PROXY) == {"runs": 3, "samples": 960, "cpu_s": 4.5}


def answer(one: str, other: str, said: bool | None) -> Answer:
    return Answer((0, one), (0, other), said)


def test_abstentions_are_counted_apart() -> None:
    found = share_right([answer("a", "b", True), answer("a", "c", False), answer("b", "c", None)])
    assert (found["value"], found["right"], found["wrong"], found["abstained"], found["separated"]) == (0.5, 1, 1, 1, 3)


def test_all_right_is_no_certainty_and_more_sources_say_more() -> None:
    def bound(count: int) -> float:
        names = [str(k) for k in range(count)]
        return float(share_right([answer(a, b, True) for k, a in enumerate(names) for b in names[k + 1 :]])["low"])

    assert bound(4) == pytest.approx(0.05 ** (1 / 2))
    assert bound(4) < bound(12) < 1
