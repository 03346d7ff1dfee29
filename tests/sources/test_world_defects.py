"""Planted defects are there at the rate that was asked for, and are what they say."""

import math

import pytest

from sources.world import WorldOptions, make_row, parse_options
from sources.world.drawing import scene_png
from sources.world.reader import WorldRows

ROWS = 600


def options(**given: str) -> WorldOptions:
    return parse_options(tuple({"rows": str(ROWS), **given}.items()))


def near(found: int, share: float) -> bool:
    return abs(found - share * ROWS) <= 4 * math.sqrt(ROWS * share * (1 - share))


@pytest.mark.parametrize("share", ["0.1", "0.5"])
def test_label_noise_is_planted_at_its_rate_and_every_struck_answer_is_wrong(share: str) -> None:
    noisy = [make_row(options(skill="all", label_noise=share), number) for number in range(ROWS)]
    wrong = [row for row in noisy if any(answer != q.answer for (_, answer), q in zip(row.turns, row.questions, strict=True))]
    assert near(len(wrong), float(share))
    assert all(row.noisy for row in wrong)
    assert all(answer in q.choices for row in wrong for (_, answer), q in zip(row.turns, row.questions, strict=True))


def test_a_noisy_caption_is_another_one() -> None:
    clean, noisy = (options(captions="descriptive", label_noise=share) for share in ("0", "1"))
    for number in range(40):
        assert make_row(clean, number).shown == make_row(noisy, number).shown
        assert make_row(clean, number).turns[0][1] != make_row(noisy, number).turns[0][1]


def test_a_mismatched_image_is_another_scene_and_the_text_is_unchanged() -> None:
    clean, mixed = options(skill="all"), options(skill="all", mismatched="0.3")
    struck = 0
    for number in range(ROWS):
        true, row = make_row(clean, number), make_row(mixed, number)
        assert row.turns == true.turns
        if row.shown != row.told:
            struck += 1
            assert scene_png(row.shown) != scene_png(true.shown)
    assert near(struck, 0.3)


def test_duplicates_repeat_an_earlier_row_at_their_rate() -> None:
    planted = options(skill="all", duplicated="0.4")
    rows = WorldRows(planted)
    copies = [number for number in range(ROWS) if make_row(planted, number).copy_of is not None]
    assert near(len(copies), 0.4)
    for number in copies[:60]:
        original = make_row(planted, number).copy_of
        assert original is not None
        assert original < number
        first, second = rows.get(original).sample, rows.get(number).sample
        assert first is not None
        assert second is not None
        assert first.id != second.id
        assert (first.images, first.turns) == (second.images, second.turns)


def test_without_duplication_no_row_repeats() -> None:
    rows = WorldRows(options(skill="all"))
    assert len({row.sample.images[0].identity() for row in rows if row.sample}) == ROWS


def test_everything_duplicated_is_all_the_first_row() -> None:
    planted = options(skill="colour", duplicated="1")
    assert {make_row(planted, number).turns for number in range(50)} == {make_row(planted, 0).turns}
