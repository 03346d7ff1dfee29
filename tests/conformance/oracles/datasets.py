"""Hugging Face datasets: the script of the export itself, run on the real library."""

import runpy
import tempfile

from datasets import Image, List

from tests.conformance.oracles.trl import row


def trained_rows(out, phase):
    with tempfile.TemporaryDirectory() as cache:
        rows = runpy.run_path(str(out / "mixture.py"))["load_phase"](phase, cache_dir=cache)
        assert rows.features["images"] == List(Image())
        return [row(record, out) for record in rows.cast_column("images", List(Image(decode=False)))]
