"""A frozen Llama-class decoder, seen as fused linear groups: what the stacked engine runs instead of the modules.

The layout is RMSNorm, rotary attention with grouped queries (optional query and key norms, optional biases), RMSNorm, SwiGLU:
Llama, Mistral, Qwen2, Qwen3 and their vision-language relatives. Weights are shared with the loaded model, not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from proxy_training.families.base import LoadedBase

SELF_CHECK_TOKENS = 12
SELF_CHECK_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 6e-2}

Rotary = Callable[[Tensor], tuple[Tensor, Tensor]]


class Unsupported(Exception):  # noqa: N818
    """The stack cannot run this model; the message says why, and the reference back end runs it instead."""


@dataclass(frozen=True, slots=True)
class Group:
    """Linear layers that share an input, as one: `weight` [out, in] holds the members' rows one after another."""

    weight: Tensor
    bias: Tensor | None
    members: tuple[str, ...]  # paths in the model
    sizes: tuple[int, ...]  # rows of each member

    @property
    def width_in(self) -> int:
        """Return the input width."""
        return int(self.weight.shape[1])

    @property
    def width_out(self) -> int:
        """Return the joint output width."""
        return int(self.weight.shape[0])

    def bounds(self) -> list[tuple[int, int]]:
        """Return each member's first and last+1 row."""
        ends = [sum(self.sizes[: i + 1]) for i in range(len(self.sizes))]
        return [(end - size, end) for end, size in zip(ends, self.sizes, strict=True)]


@dataclass(frozen=True, slots=True)
class Block:
    """One decoder layer."""

    norm_attention: Tensor
    norm_mlp: Tensor
    qkv: Group
    out: Group
    gate_up: Group
    down: Group
    norm_q: Tensor | None = None
    norm_k: Tensor | None = None

    def groups(self) -> tuple[Group, Group, Group, Group]:
        """Return the groups in the order of their parameters."""
        return self.qkv, self.out, self.gate_up, self.down


@dataclass(frozen=True, slots=True)
class Decoder:
    """The whole language model. `rotary` maps position ids [..., tokens] to cos and sin [tokens, head_dim]."""

    blocks: tuple[Block, ...]
    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    eps: float
    norm: Tensor
    head: Tensor  # [vocabulary, width]
    head_bias: Tensor | None
    embed: Tensor  # [vocabulary, width]
    rotary: Rotary

    @property
    def width(self) -> int:
        """Return the width of the residual stream."""
        return int(self.embed.shape[1])

    def groups(self) -> Iterator[Group]:
        """Yield all groups in the order of their parameters."""
        for block in self.blocks:
            yield from block.groups()


def read_decoder(base: LoadedBase) -> Decoder:
    """Fuse a loaded model's language model in place (its modules keep working on views) and check it against the modules.

    Raises:
        Unsupported: the language model is not of this class, or the check against its own forward fails.
    """
    if base.not_plain:
        raise Unsupported(f"{base.family}: {base.not_plain}")
    text = base.model.get_submodule(base.language_prefix())
    try:
        decoder = _read(base, text)
    except (AttributeError, TypeError) as error:
        raise Unsupported(f"{type(text).__name__} is not laid out as a Llama-class decoder ({error})") from error
    _self_check(base, decoder)
    return decoder


def _read(base: LoadedBase, text: Any) -> Decoder:
    config = text.config
    if str(getattr(config, "hidden_act", "")) != "silu":
        raise Unsupported(f"its activation is {getattr(config, 'hidden_act', None)!r}, not silu")
    prefix = base.language_prefix()
    blocks = tuple(_block(layer, f"{prefix}.layers.{i}") for i, layer in enumerate(text.layers))
    attention = text.layers[0].self_attn
    heads, head_dim = int(config.num_attention_heads), int(attention.head_dim)
    head = base.model.get_output_embeddings()
    return Decoder(
        blocks=blocks,
        heads=heads,
        kv_heads=int(getattr(config, "num_key_value_heads", heads)),
        head_dim=head_dim,
        scale=float(getattr(attention, "scaling", head_dim**-0.5)),
        eps=float(config.rms_norm_eps),
        norm=text.norm.weight.detach(),
        head=head.weight.detach(),
        head_bias=None if getattr(head, "bias", None) is None else head.bias.detach(),
        embed=text.get_input_embeddings().weight.detach(),
        rotary=_rotary(base, text),
    )


def _block(layer: Any, path: str) -> Block:
    attention, mlp = layer.self_attn, layer.mlp
    children = {name for name, _ in layer.named_children()}
    if children != {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}:
        raise Unsupported(f"a layer has the parts {', '.join(sorted(children))}")
    q_norm, k_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    return Block(
        norm_attention=layer.input_layernorm.weight.detach(),
        norm_mlp=layer.post_attention_layernorm.weight.detach(),
        qkv=_fuse([attention.q_proj, attention.k_proj, attention.v_proj], [f"{path}.self_attn.{n}_proj" for n in "qkv"]),
        out=_fuse([attention.o_proj], [f"{path}.self_attn.o_proj"]),
        gate_up=_fuse([mlp.gate_proj, mlp.up_proj], [f"{path}.mlp.gate_proj", f"{path}.mlp.up_proj"]),
        down=_fuse([mlp.down_proj], [f"{path}.mlp.down_proj"]),
        norm_q=None if q_norm is None else q_norm.weight.detach(),
        norm_k=None if k_norm is None else k_norm.weight.detach(),
    )


def _fuse(linears: Sequence[Any], paths: Sequence[str]) -> Group:
    """Put the weights of linears into one tensor, of which the modules' weights become views."""
    if any(type(linear) is not torch.nn.Linear for linear in linears):
        raise Unsupported(f"{paths[0]} is a {type(linears[0]).__name__}")
    sizes = tuple(int(linear.out_features) for linear in linears)
    if len(linears) == 1:
        weight, bias = linears[0].weight.detach(), None if linears[0].bias is None else linears[0].bias.detach()
        return Group(weight, bias, tuple(paths), sizes)
    weight = torch.cat([linear.weight.detach() for linear in linears])
    biases = [linear.bias for linear in linears]
    if any(bias is None for bias in biases) and not all(bias is None for bias in biases):
        raise Unsupported(f"only some of {', '.join(paths)} have a bias")
    for linear, rows in zip(linears, torch.split(weight, list(sizes)), strict=True):
        linear.weight.data = rows
    bias = None if biases[0] is None else torch.cat([b.detach() for b in biases if b is not None])
    return Group(weight, bias, tuple(paths), sizes)


def _rotary(base: LoadedBase, text: Any) -> Rotary:
    """Return cos and sin by position: the family's own where it has one, else the model's, looked up in a table."""
    own: Rotary | None = getattr(base, "rotary", None)
    if own is not None:
        return own
    tables: dict[str, tuple[Tensor, Tensor]] = {}

    def look_up(position_ids: Tensor) -> tuple[Tensor, Tensor]:
        longest = int(position_ids.max()) + 1
        if not tables or tables["rotary"][0].shape[0] < longest:
            places = torch.arange(max(256, 2 * longest), device=position_ids.device)[None]
            cos, sin = text.rotary_emb(torch.zeros(1, dtype=torch.float32, device=position_ids.device), places)
            tables["rotary"] = (cos[0], sin[0])
        cos, sin = tables["rotary"]
        return cos[position_ids], sin[position_ids]

    return look_up


@torch.no_grad()
def _self_check(base: LoadedBase, decoder: Decoder) -> None:
    """Compare last hidden states with the modules' own on two rows of random embeddings, so that no variant slips by."""
    from proxy_training.stack.passes import plain_hidden

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, decoder.embed.shape[0], (2, SELF_CHECK_TOKENS), generator=generator)
    ids[ids == base.image_token_id] = (base.image_token_id + 1) % decoder.embed.shape[0]
    ids = ids.to(base.device)
    expected = base.hidden(ids, torch.zeros(0, 1, device=base.device))
    found = plain_hidden(decoder, ids)
    scale = float(expected.float().abs().max())
    worst = float((found.float() - expected.float()).abs().max())
    if not worst <= SELF_CHECK_TOLERANCE[expected.dtype] * scale:
        raise Unsupported(f"its last hidden states differ from a Llama-class decoder's by {worst / max(scale, 1e-30):.1g}")
