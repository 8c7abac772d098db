"""Compiles the factors into a Llama of two layers, whose weights hold their tables.

Layer 0 looks one and two tokens back and copies their vectors, marks what stands inside the
conversation and whose turn it is; its feed-forward multiplies the vectors. Layer 1 takes the mean
evidence of the judged side's tokens; its feed-forward picks the role. The output layer reads it.
Tokens of the answer follow each other by rows of their own.
"""

import math

import numpy as np
import torch
from encoding import Encoder
from factors import Folded
from settings import Settings
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from vocabulary import VOCABULARY

HIDDEN, HEAD, FEED_FORWARD, THETA = 256, 32, 256, 500000.0
CONST, CONV, LAST, USER, AGENT, IN, ROLE, VERDICT = range(8)
KINDS = slice(8, 15)  # one for each token or group of tokens that the answer hangs on
EVIDENCE, POOLED = slice(16, 32), slice(32, 48)  # prompts, replies, 14 categories
FIRST, SECOND, BEFORE = slice(48, 112), slice(112, 176), slice(176, 240)
FILLER = slice(240, 256)
FLAG, MARK, KIND, POOL_GAIN = 3.0, 2.5, 6.0, 4.0
NEIGHBOUR_GAIN, DECAY = 20.0, 0.4  # nats: of the right neighbour, of each token of distance
INSIDE_GAIN, ROLE_GAIN = 10.0, 3.0
EDGE, STEEPNESS = 0.3, 20.0
FOLLOW = 24.0  # logit of what may follow in an answer
ROOT = math.sqrt(HEAD)


def empty_model(encoder: Encoder, settings: Settings) -> LlamaForCausalLM:
    stops = [encoder.control(name) for name in ("end_of_text", "eom_id", "eot_id")]
    ends = {
        "bos_token_id": encoder.control("begin_of_text"),
        "eos_token_id": stops,
        "pad_token_id": encoder.control("finetune_right_pad_id"),
    }
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=2,
        num_attention_heads=HIDDEN // HEAD,
        num_key_value_heads=HIDDEN // HEAD // 2,
        max_position_embeddings=settings.context,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        **ends,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config = GenerationConfig(**ends, do_sample=False)
    for name, weight in model.named_parameters():
        if "norm" not in name:
            torch.nn.init.zeros_(weight)
    return model


@torch.no_grad()
def compile_factors(found: Folded, encoder: Encoder, settings: Settings) -> LlamaForCausalLM:
    model = empty_model(encoder, settings)
    kinds = answer_kinds(encoder)
    model.model.embed_tokens.weight.copy_(embedding(found, encoder, kinds, settings.seed))
    look_around(model, settings.distances)
    multiply(model)
    pool(model)
    pick_role(model, found.bias / settings.gain)
    write(model, found.category_bias / settings.gain, kinds, encoder, settings.gain)
    return model


def answer_kinds(encoder: Encoder) -> list[list[int]]:
    """The tokens of an answer in the order in which they may follow each other."""
    numbers = [encoder.word(str(number)) for number in range(1, 15)]
    words = [encoder.word(text) for text in ("\n\n", "safe", "unsafe", "\n", "S", ",S")]
    return [*([word] for word in words), numbers]


def embedding(found: Folded, encoder: Encoder, kinds: list[list[int]], seed: int) -> Tensor:
    table = torch.zeros(VOCABULARY, HIDDEN)
    table[:, CONST] = FLAG
    token = encoder.tokenizer.token_to_id
    for place, piece in (
        (CONV, "ĠCONVERSATION"),
        (LAST, "ĠLAST"),
        (USER, "User"),
        (AGENT, "Agent"),
    ):
        table[token(piece), place] = FLAG
    for place, tokens in enumerate(kinds, KINDS.start):
        table[tokens, place] = KIND
    table[:, EVIDENCE] = torch.cat([found.alone, found.categories], 1)
    table[:, FIRST] = found.first.transpose(0, 1).flatten(1)
    table[:, SECOND] = found.second.transpose(0, 1).flatten(1)
    # Every token has the same length, so that RMSNorm leaves all of them as they are.
    filler = torch.randn(
        VOCABULARY, FILLER.stop - FILLER.start, generator=torch.Generator().manual_seed(seed)
    )
    rest = HIDDEN - table.square().sum(1, keepdim=True)
    if rest.min() < 0:
        raise ValueError(f"the evidence is too large for an embedding: {rest.min():.1f}")
    table[:, FILLER] = filler / filler.norm(dim=1, keepdim=True) * rest.sqrt()
    return table


def frequencies() -> np.ndarray:
    return THETA ** (-2 * np.arange(HEAD // 2) / HEAD)


def look_around(model: LlamaForCausalLM, distances: tuple[int, ...]) -> None:
    attention = model.model.layers[0].self_attn
    q, k, v, o = (getattr(attention, f"{name}_proj").weight for name in "qkvo")
    one, rank = 1 / FLAG, FIRST.stop - FIRST.start
    for group, distance in enumerate(distances):
        head, keys = 2 * group * HEAD, group * HEAD
        # A sum of cosines that is largest at this distance.
        for index, frequency in enumerate(frequencies()[:4]):
            k[keys + index, CONST] = one
            q[head + index, CONST] = NEIGHBOUR_GAIN * ROOT * one * math.cos(distance * frequency)
            q[head + index + HEAD // 2, CONST] = (
                -NEIGHBOUR_GAIN * ROOT * one * math.sin(distance * frequency)
            )
        part = torch.arange(HEAD) + group * rank // len(distances)
        v[keys + torch.arange(HEAD), FIRST.start + part] = 1
        o[BEFORE.start + part, head + torch.arange(HEAD)] = 1
    _mark(q, k, v, o, group=len(distances))


def _mark(q: Tensor, k: Tensor, v: Tensor, o: Tensor, group: int) -> None:
    """One head asks whether the conversation has begun and not ended, one whose turn it is."""
    one, keys, inside, side = 1 / FLAG, group * HEAD, 2 * group * HEAD, (2 * group + 1) * HEAD
    still = HEAD // 2 - 1  # turns so slowly that distance does not matter
    k[keys + still, CONV], k[keys + still, LAST] = one, 2 * one
    q[inside + still, CONST] = 12 * ROOT * one
    for name, weight in enumerate(recency()):
        if name < still:
            k[keys + name, [USER, AGENT]] = one
            q[side + name, CONST] = weight * ROOT * one
    k[keys + still + HEAD // 2, [USER, AGENT]] = one
    q[side + still + HEAD // 2, CONST] = 600 * ROOT * one
    v[keys, CONV] = v[keys + 1, USER] = one
    v[keys + 1, AGENT] = -one
    o[IN, inside] = o[ROLE, side + 1] = MARK


def recency() -> np.ndarray:
    """Weights of the cosines whose sum falls by DECAY nats with each token of distance."""
    distance = np.unique(np.r_[np.arange(60), np.geomspace(60, 1000, 150).astype(int)])
    basis = np.c_[np.cos(np.outer(distance, frequencies())), np.ones(len(distance))]
    weighted = basis / np.sqrt(1 + distance)[:, None]
    wanted = -DECAY * distance / np.sqrt(1 + distance)
    ridge = weighted.T @ weighted + 1e-4 * np.eye(basis.shape[1])
    return np.linalg.solve(ridge, weighted.T @ wanted)[:-1]


def multiply(model: LlamaForCausalLM) -> None:
    """x * y = silu(x) * y + silu(-x) * -y, summed over all factors, added to both roles."""
    mlp, width = model.model.layers[0].mlp, FIRST.stop - FIRST.start
    at = torch.arange(width)
    for sign, units in ((1, at), (-1, at + width)):
        mlp.gate_proj.weight[units, BEFORE.start + at] = sign
        mlp.up_proj.weight[units, SECOND.start + at] = sign
        mlp.down_proj.weight[EVIDENCE.start, units] = 1
        mlp.down_proj.weight[EVIDENCE.start + 1, units] = 1


def pool(model: LlamaForCausalLM) -> None:
    attention = model.model.layers[1].self_attn
    q, k, v, o = (getattr(attention, f"{name}_proj").weight for name in "qkvo")
    role, inside = HEAD // 2 - 2, HEAD // 2 - 1
    k[role, ROLE] = k[inside, IN] = 1 / MARK
    q[role, ROLE] = ROLE_GAIN * ROOT / MARK
    q[inside, CONST] = INSIDE_GAIN * ROOT / FLAG
    at = torch.arange(EVIDENCE.stop - EVIDENCE.start)
    v[at, EVIDENCE.start + at] = 1
    o[POOLED.start + at, at] = POOL_GAIN


def pick_role(model: LlamaForCausalLM, bias: Tensor) -> None:
    """The pooled evidence of the judged role, through gates that are 0 or 1 but near ROLE = 0."""
    mlp = model.model.layers[1].mlp
    gates = [(sign, place, edge) for place, sign in ((0, 1), (1, -1)) for edge in (EDGE, -EDGE)]
    for unit, (sign, place, edge) in enumerate(gates):
        mlp.gate_proj.weight[unit, ROLE] = sign * STEEPNESS / MARK
        mlp.gate_proj.weight[unit, CONST] = STEEPNESS * edge / FLAG
        mlp.up_proj.weight[unit, POOLED.start + place] = 1
        mlp.up_proj.weight[unit, CONST] = POOL_GAIN * bias[place] / FLAG
        mlp.down_proj.weight[VERDICT, unit] = math.copysign(1 / (2 * EDGE * STEEPNESS), edge)


def write(
    model: LlamaForCausalLM, bias: Tensor, kinds: list[list[int]], encoder: Encoder, gain: float
) -> None:
    rows, eot = model.lm_head.weight, [encoder.control("eot_id")]
    _, safe, unsafe, newline, letter, _, numbers = kinds
    follows = ([*safe, *unsafe], eot, newline, letter, numbers, numbers, eot)
    for place, after in enumerate(follows, KINDS.start):
        rows[after, place] = FOLLOW / KIND
    rows[unsafe, VERDICT] = gain / (2 * POOL_GAIN)
    rows[safe, VERDICT] = -gain / (2 * POOL_GAIN)
    for place, number in enumerate(numbers):
        rows[number, POOLED.start + 2 + place] = gain / POOL_GAIN
        rows[number, CONST] = gain * bias[place] / FLAG
