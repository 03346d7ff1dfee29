import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.decide.fronts import front, non_dominated
from probe.decide.region import Region
from probe.decide.simplex import ShareBounds

A, B = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.8, 0.1])


def nearness(best):
    return lambda points: -((points - best) ** 2).sum(axis=1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_non_dominated_is_its_definition(rows):
    values = np.array(rows, dtype=float)
    kept = {tuple(row) for row in values[non_dominated(values)]}
    expected = {tuple(row) for row in values if not any((other >= row).all() and (other > row).any() for other in values)}
    assert kept == expected
    assert len(values[non_dominated(values)]) == len(kept)  # equal points once


def test_the_front_of_two_bowls_is_the_line_between_their_bottoms():
    points = front([nearness(A), nearness(B)], Region(ShareBounds.of(3)), np.eye(3))
    assert 8 <= len(points) <= 15
    along = (points - B) @ (A - B) / ((A - B) @ (A - B))
    away = np.linalg.norm(points - (B + along[:, None] * (A - B)), axis=1)
    assert away.max() < 0.03
    assert along[0] == pytest.approx(1, abs=0.03)
    assert along[-1] == pytest.approx(0, abs=0.03)
    assert (np.diff(along) < 0).all()
    assert np.diff(along).min() > -0.2  # no hole


def test_a_front_that_is_bent_inwards_is_found_too():
    # f1 = w0^2 and f2 = w1^2: sums of them are best at the corners alone, yet every mixture of the two sources is on the front.
    points = front([lambda w: w[:, 0] ** 2, lambda w: w[:, 1] ** 2], Region(ShareBounds.of(3)), np.eye(3))
    assert points[:, 2].max() < 0.02
    assert ((points[:, 0] > 0.2) & (points[:, 0] < 0.8)).sum() >= 4


def test_goals_that_agree_have_one_best_mixture():
    points = front([nearness(A), lambda w: 3 * nearness(A)(w) - 1], Region(ShareBounds.of(3)), np.eye(3))
    assert len(points) == 1
    assert points[0] == pytest.approx(A, abs=0.03)


def test_a_front_stays_in_the_region():
    region = Region(ShareBounds.of(3, greatest=(0.6, 1, 1)), most_sources=2)
    points = front([nearness(A), nearness(B)], region, np.eye(3))
    assert (region.shortfall(points) == 0).all()
    assert points[0, 0] == pytest.approx(0.6, abs=0.01)
    impossible = Region(ShareBounds((0.0, 0.0), (1.0, 1.0)), most_sources=1, prior=(0.5, 0.5), max_kl=0.1)
    with pytest.raises(ValueError, match="no mixture"):
        front([nearness(A[:2]), nearness(B[:2])], impossible, np.eye(2))


def test_three_goals():
    goals = [lambda w, k=k: w[:, k] for k in range(3)]
    points = front(goals, Region(ShareBounds.of(3)), np.eye(3))
    assert len(points) == 15
    assert {int(np.argmax(row)) for row in points if row.max() > 0.99} == {0, 1, 2}
