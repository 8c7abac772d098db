"""What happens to each token between the products; can be one kernel each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor


def normalise(hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
    return F.rms_norm(hidden, weight.shape, weight, eps)


def add_normalise(
    hidden: Tensor, added: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """The sum, and the sum normalised."""
    hidden = hidden + added
    return hidden, normalise(hidden, weight, eps)


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of [tokens, heads, head_dim] by [tokens, 1, head_dim]."""
    left, right = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-right, left], dim=-1) * sin


def swiglu(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


@dataclass(frozen=True, slots=True)
class Elementwise:
    add_normalise: Callable[..., tuple[Tensor, Tensor]] = add_normalise
    rotate: Callable[..., Tensor] = rotate
    swiglu: Callable[..., Tensor] = swiglu


def fused() -> Elementwise:
    """One kernel each, compiled when first called; TorchDynamoException if that fails."""
    compiled = partial(torch.compile, dynamic=True)
    return Elementwise(compiled(add_normalise), compiled(rotate), compiled(swiglu))
