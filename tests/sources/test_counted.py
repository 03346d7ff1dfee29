import pytest

from sources.counted import counted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((0, "row"), "0 rows"),
        ((1, "row"), "1 row"),
        ((2_000, "row"), "2,000 rows"),
        ((1, "image is", "images are"), "1 image is"),
        ((2, "image is", "images are"), "2 images are"),
    ],
)
def test_one_is_no_plural(words, said):
    assert counted(*words) == said
