"""Bounds that no mixture keeps: the message says which of them contradict, and the largest budget there is."""

import pytest

from probe.decide.simplex import ShareBounds


def test_a_budget_above_the_epoch_cap_is_told_the_largest():
    with pytest.raises(ValueError, match="largest possible budget is 1,200 "):
        ShareBounds.of(2, usable=[100, 200], budget=100_000, epoch_cap=4)
    ShareBounds.of(2, usable=[100, 200], budget=1200, epoch_cap=4)


def test_least_shares_limit_the_largest_budget():
    with pytest.raises(ValueError, match="largest possible budget is 800 "):
        ShareBounds.of(2, least=[0.5, 0.0], usable=[100, 200], budget=1000, epoch_cap=4)
    ShareBounds.of(2, least=[0.5, 0.0], usable=[100, 200], budget=800, epoch_cap=4)


def test_contradicting_shares_are_said_to_contradict():
    with pytest.raises(ValueError, match="least shares contradict"):
        ShareBounds.of(2, least=[0.7, 0.6], usable=[100, 200], budget=100_000, epoch_cap=4)
    with pytest.raises(ValueError, match="greatest shares contradict"):
        ShareBounds.of(2, greatest=[0.2, 0.3], usable=[100, 200], budget=10, epoch_cap=4)
