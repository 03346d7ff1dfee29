"""The family's path through cached features equals the model's own forward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from proxy_training.engine import Engine
from proxy_training.families.registry import ProxyError, family_of
from proxy_training.families.spliced import letterbox
from proxy_training.proxies import proxy_spec
from sources.sample import Role, Turn


def test_cached_features_give_the_uncached_forward(engine: Engine) -> None:
    base = engine.base
    pictures = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8)) for i in range(3)]
    processed = [base.process_image(picture) for picture in pictures]
    features = torch.cat(base.encode_images(processed))
    turns = [Turn(Role.USER, (0, "what is this?")), Turn(Role.ASSISTANT, ("a thing",))]
    ids = torch.tensor(np.stack([engine.encoder.encode(turns, [p.expansion]).input_ids for p in processed]), dtype=torch.long)
    with torch.no_grad():
        ours = base.logits(base.hidden(ids, features))
        theirs = base.model(input_ids=ids, pixel_values=torch.stack([p.pixels for p in processed])).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_black_image_is_not_taken_for_padding(engine: Engine) -> None:
    grey = Image.new("RGB", (64, 64), (127, 127, 127))
    half = engine.base.process_image(grey)
    half.pixels.zero_()  # what a mean-coloured image can normalise to
    normal = engine.base.process_image(Image.new("RGB", (64, 64), (200, 10, 10)))
    assert [len(f) for f in engine.base.encode_images([half, normal])] == [16, 16]


def test_letterbox_keeps_the_aspect_ratio() -> None:
    wide = letterbox(Image.new("RGB", (40, 10), (255, 0, 0)), (127, 127, 127))
    assert wide.size == (40, 40)
    red = np.all(np.asarray(wide) == (255, 0, 0), axis=-1)
    assert red.sum() == 400
    assert red[15:25].all()


def test_unusable_model_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ProxyError, match="there is no proxy 'nope'"):
        proxy_spec("nope")
    with pytest.raises(ProxyError, match=r"no safetensors weights"):
        proxy_spec(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "mystery"}')
    with pytest.raises(ProxyError, match="'mystery' is none that transformers loads"):
        family_of(tmp_path)
