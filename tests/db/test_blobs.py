"""Item scores as blobs, and values as documents."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from store_values import a_benchmark, a_source, a_study, an_arm

from db.blobs import pack_scores, unpack_scores
from db.documents import from_document, to_document
from db.errors import StoreError
from proxy_training.jobs import METRICS


@given(arrays(np.float32, st.tuples(st.just(len(METRICS)), st.integers(0, 40)), elements=st.floats(width=32)))
def test_scores_survive_with_their_nan(values):
    np.testing.assert_array_equal(unpack_scores(pack_scores(values, "order"), "order"), values)


def test_a_metric_that_does_not_apply_costs_a_bit_an_item():
    values = np.full((len(METRICS), 800), np.nan, np.float32)
    empty = len(pack_scores(values, "order"))
    values[0] = 0.5
    assert len(pack_scores(values, "order")) - empty == pytest.approx(800 * 4, abs=8)


def test_items_in_another_order_are_noticed():
    with pytest.raises(StoreError, match="belong to the items one, not two"):
        unpack_scores(pack_scores(np.zeros((len(METRICS), 3), np.float32), "one"), "two")


@pytest.mark.parametrize("place", [0, 4, 12, -1])
def test_a_changed_byte_is_noticed(place):
    blob = bytearray(pack_scores(np.zeros((len(METRICS), 3), np.float32), "order"))
    blob[place] ^= 0xFF
    with pytest.raises(StoreError, match="damaged"):
        unpack_scores(bytes(blob), "order")


@pytest.mark.parametrize("length", [0, 3, 20, -1])
def test_a_cut_blob_is_noticed(length):
    with pytest.raises(StoreError, match="damaged"):
        unpack_scores(pack_scores(np.zeros((len(METRICS), 3), np.float32), "order")[:length], "order")


def test_scores_of_other_metrics_are_refused():
    with pytest.raises(StoreError, match=f"{len(METRICS)} metrics"):
        pack_scores(np.zeros((3, 5), np.float32), "order")


@pytest.mark.parametrize(
    "value", [a_source().spec, a_benchmark().spec, a_study().proxy, a_study().base, an_arm().curriculum], ids=lambda v: type(v).__name__
)
def test_values_survive_as_documents(value):
    assert from_document(type(value), to_document(value)) == value


def test_a_document_of_another_version_is_read_as_far_as_it_goes():
    recipe = a_study().recipe
    document = to_document(recipe)
    del document["weight_decay"]
    document["unheard_of"] = 1
    assert from_document(type(recipe), document) == recipe
