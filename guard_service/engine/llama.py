"""A Llama as one packed pass: flat tokens, no padding, and the last layer only where it is read.

Weights, configuration and rotary frequencies are those that transformers loaded. Knows nothing of
prompts: segments go in, the rows read and the keys and values of all tokens come out.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from guard_service.engine.elementwise import Elementwise, fused, normalise
from guard_service.engine.graph import Graph, record_graphs
from guard_service.engine.kernels import Kernels
from guard_service.engine.linear import Linear, MakeLinear, Weights
from guard_service.engine.packing import Packing, Segment, Spans, pack, place_pasts
from guard_service.errors import CheckpointRefused


@dataclass(frozen=True, slots=True)
class Layer:
    project: Linear  # to the heads of queries, keys and values; in the last layer without queries
    output: Linear
    mlp_norm: Tensor
    gate_up: Linear
    down: Linear
    next_norm: Tensor  # of the layer above, or the model's last


@dataclass(frozen=True, slots=True)
class Passed:
    """What one pass gave: the rows read, and the slots of all keys and values."""

    rows: Tensor  # [rows read, hidden size], as the head takes them
    slots: Tensor  # [layers, 2, tokens and pasts, num_kv_heads, head_dim]
    starts: tuple[int, ...]  # slot of each segment's first token, and the end of the last

    def keep(self, segment: int, num_tokens: int | None = None) -> Tensor:
        """A copy of the keys and values of a segment's tokens, or of its first ones."""
        start, end = self.starts[segment : segment + 2]
        return self.slots[:, :, start : end if num_tokens is None else start + num_tokens].clone()


class Llama:
    """Takes the weights out of `model`, which has no layers left afterwards."""

    @torch.no_grad()
    def __init__(self, model: PreTrainedModel, kernels: Kernels) -> None:
        config = model.config
        if config.hidden_act != "silu":
            raise CheckpointRefused(f"hidden_act is {config.hidden_act}, must be silu")
        make_linear = kernels.make_linear
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.head_dim: int = config.head_dim
        self.num_kv_heads: int = config.num_key_value_heads
        self._eps: float = config.rms_norm_eps
        self._rotary = model.model.rotary_emb
        self._embedding: Tensor = model.model.embed_tokens.weight
        self._first_norm: Tensor = model.model.layers[0].input_layernorm.weight
        self._query = make_linear(_weights(model.model.layers[-1].self_attn.q_proj))
        self._layers = _take_layers(model.model.layers, model.model.norm.weight, make_linear)
        self._kernels = kernels
        self._elementwise = Elementwise()
        self.graphs: tuple[Graph, ...] = ()
        if kernels.is_compiled:
            self._fuse()
        if kernels.record:
            self.graphs = record_graphs(self.run, self.make_slots, kernels.record)

    @torch.inference_mode()
    def _fuse(self) -> None:
        """Compile for one row and for many before a caller waits; stay plain where that fails."""
        from torch._dynamo.exc import TorchDynamoException  # takes a second, which few starts need

        plain, self._elementwise = self._elementwise, fused()
        try:
            for num in (1, 2):
                self.forward([Segment([0] * num, num_read=num)])
        except TorchDynamoException:
            traceback.print_exc()
            self._elementwise = plain

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def forward(self, segments: Sequence[Segment]) -> Passed:
        """One pass over all tokens of all segments."""
        packing = pack(segments, self.device, self._kernels.tiles)
        graph = next((graph for graph in self.graphs if graph.holds(packing)), None)
        rows, slots = graph.run(packing) if graph else self._run_anew(packing)
        starts = accumulate((len(segment.ids) for segment in segments), initial=0)
        return Passed(rows, slots, tuple(starts))

    def _run_anew(self, packing: Packing) -> tuple[Tensor, Tensor]:
        slots = self.make_slots(len(packing.ids) + packing.num_past)
        place_pasts(packing, slots)
        return self.run(packing, slots), slots

    def make_slots(self, num_slots: int) -> Tensor:
        shape = (self.num_layers, 2, num_slots, self.num_kv_heads, self.head_dim)
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def run(self, packing: Packing, slots: Tensor) -> Tensor:
        """The rows read; the tokens' keys and values go into `slots`."""
        hidden = F.embedding(packing.ids, self._embedding)
        normed = normalise(hidden, self._first_norm, self._eps)
        cos, sin = (part[0, :, None] for part in self._rotary(hidden, packing.positions[None]))
        *body, last = zip(self._layers, slots, strict=True)
        for layer, layer_slots in body:
            queries = self._project(layer, normed, cos, sin, layer_slots)
            attended = self._see(queries, layer_slots, packing, packing.spans)
            hidden, normed = self._finish(layer, hidden, attended)
        layer, layer_slots = last
        self._project(layer, normed, cos, sin, layer_slots)
        rows = packing.rows
        if len(rows) == 0:
            return normed[rows]
        queries = self._query(normed[rows]).view(len(rows), -1, self.head_dim)
        queries = self._elementwise.rotate(queries, cos[rows], sin[rows])
        attended = self._see(queries, layer_slots, packing, packing.read_spans)
        return self._finish(layer, hidden[rows], attended)[1]

    def _project(
        self, layer: Layer, normed: Tensor, cos: Tensor, sin: Tensor, slots: Tensor
    ) -> Tensor:
        """Queries of all tokens; their keys and values go into the layer's slots."""
        heads = layer.project(normed).view(len(normed), -1, self.head_dim)
        rotated = self._elementwise.rotate(heads[:, : -self.num_kv_heads], cos, sin)
        slots[0, : len(heads)] = rotated[:, -self.num_kv_heads :]
        slots[1, : len(heads)] = heads[:, -self.num_kv_heads :]
        return rotated[:, : -self.num_kv_heads]

    def _see(self, queries: Tensor, slots: Tensor, packing: Packing, spans: Spans) -> Tensor:
        keys, values = (part.index_select(0, packing.sources) for part in slots)
        return self._kernels.attend(queries, keys, values, spans).flatten(1)

    def _finish(self, layer: Layer, hidden: Tensor, attended: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's output, and the same normalised for what comes next."""
        add = self._elementwise.add_normalise
        hidden, normed = add(hidden, layer.output(attended), layer.mlp_norm, self._eps)
        widened = self._elementwise.swiglu(layer.gate_up(normed))
        return add(hidden, layer.down(widened), layer.next_norm, self._eps)


def _take_layers(modules: Any, last_norm: Tensor, make_linear: MakeLinear) -> tuple[Layer, ...]:
    """Each layer is freed once its weights are taken: never two copies of more than one."""
    layers = list[Layer]()
    while modules:
        layer, mlp = modules[0], modules[0].mlp
        attention = layer.self_attn
        del modules[0]
        queries = [attention.q_proj] if modules else []
        layers.append(
            Layer(
                make_linear(_weights(*queries, attention.k_proj, attention.v_proj)),
                make_linear(_weights(attention.o_proj)),
                layer.post_attention_layernorm.weight,
                make_linear(_weights(mlp.gate_proj, mlp.up_proj)),
                make_linear(_weights(mlp.down_proj)),
                modules[0].input_layernorm.weight if modules else last_norm,
            )
        )
    return tuple(layers)


def _weights(*linears: nn.Linear) -> Weights:
    """Of layers that read the same input."""
    return Weights.joined(*(Weights(linear.weight, linear.bias) for linear in linears))
