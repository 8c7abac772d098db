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
SIDE = 15
EVIDENCE, POOLED = slice(16, 32), slice(32, 48)  # prompts, replies, 14 categories
FIRST, SECOND, BEFORE = slice(48, 112), slice(112, 176), slice(176, 240)
ASKED_USER, ASKED_AGENT, ASKED, ASKED_SIDE = range(240, 244)
FILLER = slice(244, 256)
FLAG, KIND = 3.0, 6.0
# What the layers add is small, so that a state keeps its length and RMSNorm its scale.
MARK, COPY_GAIN, EVIDENCE_GAIN, POOL_GAIN = 0.25, 0.125, 0.125, 0.25
NEIGHBOUR_GAIN, NAME_GAIN, DECAY = 20.0, 1600.0, 1.0  # nats; DECAY for each token of distance
INSIDE_GAIN, SIDE_GAIN = 10.0, 5.0
EDGE, STEEPNESS = 0.2, 40.0
# Two pairs of units, each 0 or 1 but near 0: is it the user's, is it the agent's?
GATES = tuple((sign, edge) for sign in (1, -1) for edge in (EDGE, -EDGE))
FOLLOW = 24.0  # logit of what may follow in an answer
ROOT = math.sqrt(HEAD)
STILL = HEAD // 2 - 1  # turns so slowly that distance does not matter


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
    take_sides(model)
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
        (ASKED_USER, "ĠUser"),
        (ASKED_AGENT, "ĠAgent"),
    ):
        table[token(piece), place] = FLAG
    for place, tokens in enumerate(kinds, KINDS.start):
        table[tokens, place] = KIND
    table[:, EVIDENCE] = EVIDENCE_GAIN * torch.cat([found.alone, found.categories], 1)
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
        o[BEFORE.start + part, head + torch.arange(HEAD)] = COPY_GAIN
    _mark_inside(q, k, v, o, head=2 * len(distances))
    _vote(q, k, v, o, 2 * len(distances) + 1, names=(USER, AGENT), place=ROLE)
    _vote(q, k, v, o, 2 * len(distances) + 2, names=(ASKED_USER, ASKED_AGENT), place=ASKED)


def _mark_inside(q: Tensor, k: Tensor, v: Tensor, o: Tensor, head: int) -> None:
    """Has the conversation begun and not ended?"""
    one, keys = 1 / FLAG, head // 2 * HEAD
    k[keys + STILL, CONV], k[keys + STILL, LAST] = one, 2 * one
    q[head * HEAD + STILL, CONST] = 12 * ROOT * one
    v[keys, CONV] = one
    o[IN, head * HEAD] = MARK


def _vote(
    q: Tensor, k: Tensor, v: Tensor, o: Tensor, head: int, *, names: tuple[int, int], place: int
) -> None:
    """Which of two names was the last one?"""
    one, keys, queries = 1 / FLAG, head // 2 * HEAD, head * HEAD
    for row, weight in enumerate(recency()):
        if row < STILL:
            k[keys + row, names] = one
            q[queries + row, CONST] = weight * ROOT * one
    k[keys + STILL + HEAD // 2, names] = one
    q[queries + STILL + HEAD // 2, CONST] = NAME_GAIN * ROOT * one
    v[keys + 1, names] = torch.tensor([one, -one])
    o[place, queries + 1] = MARK


def recency() -> np.ndarray:
    """Weights of the cosines whose sum falls by DECAY nats with each token of distance."""
    distance = np.unique(np.r_[np.arange(60), np.geomspace(60, 1000, 150).astype(int)])
    basis = np.c_[np.cos(np.outer(distance, frequencies())), np.ones(len(distance))]
    weighted = basis / np.sqrt(1 + distance)[:, None]
    wanted = -DECAY * distance / np.sqrt(1 + distance)
    ridge = weighted.T @ weighted + 0.1 * np.eye(basis.shape[1])  # small weights: bfloat16 rounds
    return np.linalg.solve(ridge, weighted.T @ wanted)[:-1]


def multiply(model: LlamaForCausalLM) -> None:
    """x * y = silu(x) * y + silu(-x) * -y, summed over all factors, added to both roles."""
    mlp, width = model.model.layers[0].mlp, FIRST.stop - FIRST.start
    at = torch.arange(width)
    for sign, units in ((1, at), (-1, at + width)):
        mlp.gate_proj.weight[units, BEFORE.start + at] = sign / COPY_GAIN
        mlp.up_proj.weight[units, SECOND.start + at] = sign
        mlp.down_proj.weight[EVIDENCE.start : EVIDENCE.start + 2, units] = EVIDENCE_GAIN


def take_sides(model: LlamaForCausalLM) -> None:
    """Makes of each vote 1 for the user or -1 for the agent: whose turn, and who is asked about."""
    mlp, unit = model.model.layers[0].mlp, 2 * (FIRST.stop - FIRST.start)
    for vote, side in ((ROLE, SIDE), (ASKED, ASKED_SIDE)):
        for sign, edge in GATES:
            mlp.gate_proj.weight[unit, vote] = sign * STEEPNESS / MARK
            mlp.gate_proj.weight[unit, CONST] = STEEPNESS * edge / FLAG
            mlp.up_proj.weight[unit, CONST] = sign * MARK / FLAG
            mlp.down_proj.weight[side, unit] = math.copysign(1 / (2 * EDGE * STEEPNESS), edge)
            unit += 1


def pool(model: LlamaForCausalLM) -> None:
    attention = model.model.layers[1].self_attn
    q, k, v, o = (getattr(attention, f"{name}_proj").weight for name in "qkvo")
    side, inside = STILL - 1, STILL
    k[side, SIDE] = k[inside, IN] = 1 / MARK
    q[side, ASKED_SIDE] = SIDE_GAIN * ROOT / MARK
    q[inside, CONST] = INSIDE_GAIN * ROOT / FLAG
    at = torch.arange(EVIDENCE.stop - EVIDENCE.start)
    v[at, EVIDENCE.start + at] = 1
    o[POOLED.start + at, at] = POOL_GAIN / EVIDENCE_GAIN


def pick_role(model: LlamaForCausalLM, bias: Tensor) -> None:
    """The pooled evidence of the judged role."""
    mlp = model.model.layers[1].mlp
    for unit, (sign, edge) in enumerate(GATES):
        place = 0 if sign > 0 else 1
        mlp.gate_proj.weight[unit, ASKED_SIDE] = sign * STEEPNESS / MARK
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
