"""A benchmark's quality on arrays whose truth is planted: blind shares, letters, noise, orders."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from probe.decide.benchmark_quality import image_need, informative_items, right_by_question, signal_to_noise
from probe.decide.letter_prior import letter_prior
from probe.decide.means import ratio_with_interval
from probe.decide.rank_agreement import kendall
from sources.easy_vqa import easy_vqa_benchmark_specs, easy_vqa_items

GROUPS = np.repeat(np.arange(300), 2)


def planted_sight(rng, blind, sighted, chance=0.25, images=300):
    """Items of which a share is known without the image, another only with it; the others are guessed."""
    kind = np.repeat(rng.random(images), 2)
    guess = rng.random((2, 2 * images)) < chance
    return (kind < blind + sighted) | guess[0], (kind < blind) | guess[1]


@pytest.mark.parametrize("blind", [0.0, 0.3, 0.6])
def test_the_planted_share_without_the_image_is_found(blind):
    rng, covered = np.random.default_rng(3), np.zeros(3)
    for _ in range(150):
        found = image_need(*planted_sight(rng, blind, 0.3), 0.25, GROUPS)
        truths = (0.25 + 0.75 * blind, 0.75 * blind, blind / (blind + 0.3))
        estimates = (found.without_image, found.gain, found.explained)
        covered += [estimate.low <= truth <= estimate.high for truth, estimate in zip(truths, estimates, strict=True)]
    assert (covered / 150 >= 0.83).all()
    assert (covered / 150 <= 0.96).all()
    assert found.loss.value == pytest.approx(found.with_image.value - found.without_image.value)


def test_what_is_not_above_chance_has_nothing_to_explain():
    rng = np.random.default_rng(0)
    found = image_need(*planted_sight(rng, 0.0, 0.0), 0.25, GROUPS)
    assert found.explained is None
    assert found.gain.low <= 0 <= found.gain.high
    assert image_need([1.0, np.nan], [0.0, 1.0], 0.5, [0, 1]) is None  # one image was scored both ways


def test_items_of_one_image_are_one_piece_of_evidence():
    values = np.random.default_rng(0).random((2, 50)) + np.array([[1.0], [2.0]])
    alone = ratio_with_interval(*values, np.arange(50))
    four = ratio_with_interval(*np.repeat(values, 4, axis=1), np.repeat(np.arange(50), 4))
    assert (four.value, four.stderr) == (pytest.approx(alone.value), pytest.approx(alone.stderr))


def test_questions_that_say_their_answer_are_told_from_questions_that_do_not():
    rng = np.random.default_rng(0)
    questions = [f"question {n % 6}" for n in range(600)]
    said = [f"answer {n % 6 if rng.random() < 0.8 else rng.integers(6)}" for n in range(600)]
    unsaid = [f"answer {rng.integers(6)}" for _ in range(600)]
    chances = np.full(600, 1 / 6)
    assert right_by_question(questions, said, GROUPS, chances).mean() == pytest.approx(0.8 + 0.2 / 6, abs=0.04)
    assert 0.08 < right_by_question(questions, unsaid, GROUPS, chances).mean() < 0.2  # of nothing to learn it errs downwards


def test_an_items_own_image_gives_no_answer_and_ties_share_it():
    found = right_by_question(["a", "a", "b", "b", "b"], ["x", "x", "x", "y", "x"], [0, 0, 1, 2, 3], np.full(5, 0.25))
    assert found.tolist() == [0.25, 0.25, 0.5, 0.0, 0.5]


def test_easy_vqas_presence_is_answered_by_its_text_and_its_colour_is_not():
    specs = {spec.capability: spec for spec in easy_vqa_benchmark_specs(1_000)}
    found = {}
    for part, spec in specs.items():
        items = easy_vqa_items(spec)
        chances = [1 / len(item.choices) for item in items]
        images = np.unique([item.image_group() for item in items], return_inverse=True)[1]
        by_question = right_by_question([item.question for item in items], [item.answer for item in items], images, chances)
        found[part] = by_question.mean() - np.mean(chances)
    assert found["presence"] > 0.28
    assert found["colour"] < 0.15


def test_what_every_probe_gets_right_tells_nothing():
    scores = np.zeros((4, 3, 200))
    scores[:, :, :120] = 1
    scores[1, 2, 100:150] = np.arange(50) % 2
    scores[0, 1:] = np.nan  # a single run
    found = informative_items(scores, np.arange(200))
    assert (found.all_right.value, found.all_wrong.value, found.items) == (0.55, 0.325, 25)
    full = informative_items(np.ones((3, 2, 100)), np.arange(100))
    assert (full.all_right.value, full.items, full.informative.value) == (1.0, 0, 0.0)
    assert 0 < full.informative.high < 0.05
    assert informative_items(np.ones((1, 3, 100)), np.arange(100)) is None


def planted_letters(rng, prior, knows, items=400, choices=4):
    """A model that puts `knows` on the right choice and spreads the rest over places by `prior`, with some noise."""
    right = rng.integers(choices, size=items)
    place = np.arange(choices)
    values = np.empty((items, choices, choices))
    for r in range(choices):
        at = (right - r) % choices
        values[:, r] = knows * (place == at[:, None]) + (1 - knows) * np.asarray(prior) * rng.uniform(0.9, 1.1, (items, choices))
    return values / values.sum(axis=2, keepdims=True), right


def test_a_planted_letter_prior_is_found_and_none_where_there_is_none():
    rng = np.random.default_rng(1)
    biased = letter_prior(*planted_letters(rng, (0.7, 0.1, 0.1, 0.1), 0.2), np.arange(400))
    assert [place.probability.value for place in biased.places] == pytest.approx([0.61, 0.13, 0.13, 0.13], abs=0.01)
    assert all(place.even == 0.25 for place in biased.places)
    assert biased.follows.value == 1.0
    assert biased.rotated.value == 0.25  # each rotation has it right where the right choice stands first
    assert biased.plain.value == pytest.approx(0.25, abs=0.06)
    fair = letter_prior(*planted_letters(rng, (0.25,) * 4, 0.5), np.arange(400))
    assert all(place.probability.low - 0.005 <= 0.25 <= place.probability.high + 0.005 for place in fair.places)
    assert (fair.follows.value, fair.rotated.value, fair.difference.value) == (0.0, 1.0, 0.0)


def test_a_file_that_keeps_the_right_choice_first_flatters_a_biased_model():
    values, right = planted_letters(np.random.default_rng(2), (0.7, 0.1, 0.1, 0.1), 0.2)
    first = right == 0
    found = letter_prior(values[first], right[first], np.arange(first.sum()))
    assert (found.plain.value, found.rotated.value) == (1.0, 0.25)
    assert found.difference.low > 0.7


def test_items_with_other_numbers_of_choices_stand_beside_each_other():
    rng = np.random.default_rng(4)
    four, right_of_four = planted_letters(rng, (0.25,) * 4, 0.5, items=50)
    two, right_of_two = planted_letters(rng, (0.5,) * 2, 0.5, items=50, choices=2)
    values = np.full((101, 4, 4), np.nan)
    values[:50], values[50:100, :2, :2], values[100, 0] = four, two, 0.25  # the last lacks rotations
    found = letter_prior(values, np.concatenate([right_of_four, right_of_two, [0]]), np.arange(101))
    assert [place.even for place in found.places] == [0.375, 0.375, 0.25, 0.25]
    assert (found.rotated.value, found.rotated.n) == (1.0, 100)


@pytest.mark.parametrize(("spread", "repeats"), [(0.0, 3), (1.0, 3), (3.0, 4)])
def test_signal_to_noise_covers_what_was_planted(spread, repeats):
    rng, covered = np.random.default_rng(5), 0
    for _ in range(300):
        means = spread * rng.normal(size=(8, 1)) + rng.normal(size=(8, repeats))
        found = signal_to_noise(0.01 * means + 0.5)
        covered += found.low <= spread <= found.high
    least, most = (0.92, 0.99) if spread == 0 else (0.86, 0.94)  # none can be below zero
    assert least <= covered / 300 <= most


def test_signal_to_noise_needs_repeats_and_arms_and_takes_unequal_numbers():
    rng = np.random.default_rng(6)
    means = 5 * rng.normal(size=(10, 1)) + rng.normal(size=(10, 4))
    means[0, 1:] = means[1, 2:] = np.nan
    found = signal_to_noise(means)
    assert (found.n, found.low < 5 < found.high) == (10, True)
    assert signal_to_noise(means[:, :1]) is None
    assert signal_to_noise(means[3:4]) is None
    assert signal_to_noise([[0.5, 0.5], [0.6, 0.6]]) is None


def test_rank_agreement_is_kendalls_and_covers_its_truth():
    rng, covered = np.random.default_rng(7), 0
    truth = 2 / np.pi * np.arcsin(0.6)  # of normal scores correlated by .6
    for _ in range(100):
        one, other = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 25).T
        found = kendall(one, other)
        assert found.value == pytest.approx(kendalltau(one, other).statistic)
        covered += found.low <= truth <= found.high
    assert 0.83 <= covered / 100 <= 0.97
    tied = ([1, 1, 2, 3, 3, 4], [1, 2, 2, 3, 4, 4])
    assert kendall(*tied).value == pytest.approx(kendalltau(*tied).statistic)


def test_full_agreement_of_few_arms_is_not_certainty():
    found = kendall(np.arange(8), np.arange(8) ** 2)
    assert (found.value, found.high, found.n) == (1.0, 1.0, 8)
    assert found.low == pytest.approx(2 * 0.05**0.25 - 1)
    assert kendall(np.arange(8), -np.arange(8)).value == -1.0
    assert kendall([1, 2, 3, 4, np.nan], [1, 2, 3, 4, 5]) is None
    assert kendall([1, 2, 3, 4, 5], [1, 1, 1, 1, 1]) is None
