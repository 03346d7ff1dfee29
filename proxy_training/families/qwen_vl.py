"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: image tokens have positions in three dimensions, and Qwen3-VL takes an image in at several layers.

Defined by transformers `models/qwen2_vl`, `qwen2_5_vl` and `qwen3_vl`; the tests compare this path with their own forwards. An image's
features are kept with what else the language model asks of it, side by side: [tokens, width * (1 + deepstack layers) + 2], the last two
being the token's row and column in the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from proxy_training.families.base import ProcessedImage
from proxy_training.families.spliced import SplicedBase
from sources.problems import Problem, RowError

PLACE = 2  # columns of a token's row and column


class QwenVLBase(SplicedBase):
    """A loaded model of one of these families."""

    family: ClassVar[str] = "qwen2_vl"
    LANGUAGE = "model.language_model"
    IMAGE_PROCESSOR = "Qwen2VLImageProcessorPil"
    not_plain = "image tokens have positions in three dimensions"

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Resize to whole patches, as near to the image's own size as the processor's bounds allow.

        Raises:
            RowError: the image is more than 200 times as long as wide, which the processor refuses.
        """
        try:
            out = self.processor.image_processor([image], return_tensors="pt")
        except ValueError as error:
            raise RowError(Problem.IMAGE_TOO_LARGE, str(error)[:100]) from error
        frames, rows, columns = (int(n) for n in out["image_grid_thw"][0])
        n = frames * rows * columns // self._merge() ** 2
        return ProcessedImage(out["pixel_values"], self.image_token() * n, (frames, rows, columns))

    def image_token(self) -> str:
        """Return the text of an image token."""
        return str(self.processor.tokenizer.convert_ids_to_tokens(self.image_token_id))

    def _merge(self) -> int:
        return int(self.model.config.vision_config.spatial_merge_size)

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run the tower over all images at once."""
        grids = torch.tensor([image.grid for image in images], device=self.device)
        pixels = torch.cat([image.pixels for image in images]).to(self.device, self.model.dtype)
        out = self.model.model.get_image_features(pixel_values=pixels, image_grid_thw=grids, return_dict=True)
        levels = [out.pooler_output, *(getattr(out, "deepstack_features", None) or [])]
        found = []
        for number, image in enumerate(images):
            assert image.grid is not None
            _, rows, columns = image.grid
            rows, columns = rows // self._merge(), columns // self._merge()
            places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).view(-1, PLACE)
            parts = [level[number].to(self.device) for level in levels]
            found.append(torch.cat([*parts, places.to(parts[0])], 1))
        return found

    def language_inputs(self, input_ids: Tensor, features: Tensor, position_ids: Tensor | None = None) -> tuple[dict[str, Any], Tensor]:
        """Return embeddings, three-dimensional positions and deepstack features, and by how much later text positions are shifted."""
        is_image = input_ids == self.image_token_id
        width = self.model.get_input_embeddings().weight.shape[1]
        inputs, _ = super().language_inputs(input_ids, features[:, :width])
        table, shift = self._positions(is_image, features[:, -PLACE:].long())
        if position_ids is not None:
            table = table.gather(2, position_ids[None].expand(3, -1, -1))
        inputs["position_ids"] = table
        if len(features) and (levels := features[:, width:-PLACE]).shape[1]:
            inputs["visual_pos_masks"] = is_image
            inputs["deepstack_visual_embeds"] = list(torch.split(levels, width, 1))
        return inputs, shift

    def _positions(self, is_image: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return positions [3, rows, tokens] (frame, row, column), and how far the last one is from the token's number [rows].

        Text counts on by one; an image's tokens stand at their rows and columns from where it begins, and what follows goes on behind the
        larger of the two (Qwen2-VL, section 2.1, multimodal rotary position embedding).
        """
        rows, tokens = is_image.shape
        table = torch.zeros(3, rows, tokens, dtype=torch.long)
        shift = torch.zeros(rows, dtype=torch.long)
        places, at = places.cpu(), 0
        for row, marks in enumerate(is_image.cpu()):
            edges = (marks[1:] != marks[:-1]).nonzero()[:, 0] + 1
            position = 0
            for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), tokens], strict=True):
                n = stop - start
                if bool(marks[start]):
                    place = places[at : at + n]
                    table[0, row, start:stop] = position
                    table[1:, row, start:stop] = place.t() + position
                    position, at = position + int(place.max()) + 1, at + n
                else:
                    table[:, row, start:stop] = torch.arange(position, position + n)
                    position += n
            shift[row] = position - tokens
        return table.to(is_image.device), shift.to(is_image.device)


class Qwen25VLBase(QwenVLBase):
    """A loaded Qwen2.5-VL model."""

    family = "qwen2_5_vl"


class Qwen3VLBase(QwenVLBase):
    """A loaded Qwen3-VL model."""

    family = "qwen3_vl"
