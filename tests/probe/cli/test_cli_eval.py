import json
import subprocess
import sys

import numpy as np
import pytest

from probe.decide.means import mean_with_interval


def test_the_interval_is_over_images_not_items():
    rng = np.random.default_rng(0)
    images = rng.random(200)
    alone = mean_with_interval(images, np.arange(200))
    assert alone.value == pytest.approx(images.mean())
    assert alone.stderr == pytest.approx(images.std(ddof=1) / np.sqrt(200))
    five_each = mean_with_interval(np.repeat(images, 5), np.repeat(np.arange(200), 5))
    assert five_each.stderr == pytest.approx(alone.stderr)
    assert five_each.low < five_each.value < five_each.high


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(30), 4)
    hits = 0
    for _ in range(400):
        found = mean_with_interval(rng.normal(size=30)[groups] + rng.normal(size=120), groups)
        hits += found.low <= 0 <= found.high
    assert 0.86 <= hits / 400 <= 0.94


def test_no_spread_is_not_no_uncertainty():
    found = mean_with_interval(np.ones(20), np.arange(20))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.05 ** (1 / 20))
    none = mean_with_interval(np.zeros(20), np.arange(20))
    assert (none.low, none.high) == (0.0, pytest.approx(1 - 0.05 ** (1 / 20)))


@pytest.mark.parametrize("values", [[], [0.5], [0.5, np.nan], [np.nan, np.nan]])
def test_fewer_than_two_images_give_no_interval(values):
    assert mean_with_interval(values, np.arange(len(values))) is None


def test_the_untrained_proxy_is_scored_quietly(probe, bench, tmp_path):
    code = (
        "import sys; sys.argv = ['probe', 'eval', '--proxy', 'tiny', '--json', '--device', 'cpu']; from probe.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    row = json.loads(ended.stdout)[0]
    assert (row["benchmark"], row["items"], row["bits_per_byte"]) == ("bench", 20, None)
    assert set(row["accuracy"]) == {"value", "stderr", "low", "high", "n"}
    assert 0 <= row["right_probability"]["low"] <= row["right_probability"]["value"] <= 1


def test_mistakes_are_one_sentence(probe, bench, tmp_path):
    assert "there is no proxy 'tinny'" in probe("eval", "--proxy", "tinny").err
    assert probe("eval").code == 2
