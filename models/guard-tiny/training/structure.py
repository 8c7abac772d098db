"""Starts the network as a linear classifier over the judged turn's tokens.

Layer 0 marks every token: is it in the conversation, whose turn is it, which tokens stand before
it. Layer 1 takes a weighted mean of the turn's token evidence; its feed-forward picks the evidence
of the judged role; the output rows of `safe` and `unsafe` read it.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from encoding import Encoder
from transformers import LlamaForCausalLM

CONST, CONV, LAST, USER, AGENT, IN, OUT, ROLE, SALIENCE = range(9)
EVIDENCE = slice(9, 26)
FILLER = slice(26, 128)
NEAR = slice(128, 160)
POOLED = slice(160, 192)
VERDICT, FIRST_POOLED = 190, 160
CONST_SIZE, FLAG_SIZE, MARK_SIZE = 3.0, 3.0, 2.5
POOL_GAIN = 6.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Token weights [V, 17]: prompts, replies, both, then 14 categories; `salience` [V] in nats."""

    weights: np.ndarray
    scale: float
    bias: tuple[float, float]
    salience: np.ndarray


@torch.no_grad()
def build_structure(model: LlamaForCausalLM, encoder: Encoder, found: Evidence, seed: int) -> None:
    torch.manual_seed(seed)
    _embedding(model, encoder, found)
    _marks(model)
    _pooling(model, found)
    _output(model, encoder, found)


def _embedding(model: LlamaForCausalLM, encoder: Encoder, found: Evidence) -> None:
    table = model.model.embed_tokens.weight
    hidden = table.shape[1]
    table.zero_()
    table[:, CONST] = CONST_SIZE
    token = encoder.tokenizer.token_to_id
    for dim, piece in ((CONV, "ĠCONVERSATION"), (LAST, "ĠLAST"), (USER, "User"), (AGENT, "Agent")):
        table[token(piece), dim] = FLAG_SIZE
    table[:, SALIENCE] = torch.from_numpy(found.salience).float()
    evidence = torch.from_numpy(found.weights * found.scale).float().clamp(-2.5, 2.5)
    table[:, EVIDENCE] = evidence
    filler = torch.randn(len(table), FILLER.stop - FILLER.start)
    filler /= filler.norm(dim=1, keepdim=True)
    rest = (hidden - table.square().sum(1)).clamp_min(20).sqrt()
    table[:, FILLER] = filler * rest[:, None]


def _frequency(index: int) -> float:
    return 500000.0 ** (-2 * index / 32)


def _marks(model: LlamaForCausalLM) -> None:
    layer = model.model.layers[0]
    attention, root = layer.self_attn, math.sqrt(32)
    q, k, v, o = (getattr(attention, f"{n}_proj").weight for n in "qkvo")
    q.zero_()
    k.zero_()
    one = 1 / CONST_SIZE
    # Heads 0 and 1 look one and two tokens back, head 2 at the mean of all.
    for index in range(4):
        k[index, CONST] = one
        for head in (0, 1):
            angle, gain = (head + 1) * _frequency(index), 10 * root * one
            q[32 * head + index, CONST] = gain * math.cos(angle)
            q[32 * head + index + 16, CONST] = -gain * math.sin(angle)
    # Head 3 asks whether the conversation has begun and ended; head 5 whose turn it is.
    k[32 + 15, CONV], k[32 + 15, LAST] = 1 / FLAG_SIZE, 2 / FLAG_SIZE
    q[32 * 3 + 15, CONST] = 12 * root * one
    for dim in (USER, AGENT):
        for index in (7, 8, 14):
            k[32 + index, dim] = 1 / FLAG_SIZE
    q[32 * 5 + 14, CONST] = 50 * root * one
    for index in (7, 8):
        q[32 * 5 + index + 16, CONST] = 20 * root * one
    v.zero_()
    v[:32, FILLER] = torch.randn(32, FILLER.stop - FILLER.start) / math.sqrt(170 / 1.3)
    v[32:, FILLER] = torch.randn(32, FILLER.stop - FILLER.start) / math.sqrt(170 / 1.3)
    v[32:35] = 0
    v[32, CONV] = v[33, LAST] = v[34, USER] = 1 / FLAG_SIZE
    v[34, AGENT] = -1 / FLAG_SIZE
    o.zero_()
    o[NEAR, 0:32] = 0.8 * torch.eye(32)
    o[NEAR, 32:64] = 0.4 * torch.nn.init.orthogonal_(torch.empty(32, 32))
    o[IN, 32 * 3] = o[OUT, 32 * 3 + 1] = o[ROLE, 32 * 5 + 2] = MARK_SIZE
    mlp = layer.mlp
    torch.nn.init.normal_(mlp.gate_proj.weight, std=0.06)
    torch.nn.init.normal_(mlp.up_proj.weight, std=0.06)
    torch.nn.init.normal_(mlp.down_proj.weight, std=0.02)
    mlp.down_proj.weight[: EVIDENCE.stop] = 0
    mlp.down_proj.weight[POOLED] = 0


def _pooling(model: LlamaForCausalLM, found: Evidence) -> None:
    layer = model.model.layers[1]
    attention, root = layer.self_attn, math.sqrt(32)
    q, k, v, o = (getattr(attention, f"{n}_proj").weight for n in "qkvo")
    one, mark = 1 / CONST_SIZE, 1 / MARK_SIZE
    for weight in (q, k, o):
        weight.mul_(0.25)
    for group in (0, 1):
        k[32 * group + 13] = 0
        k[32 * group + 14] = 0
        k[32 * group + 15] = 0
        k[32 * group + 13, SALIENCE] = 1
        k[32 * group + 14, ROLE] = mark
        k[32 * group + 15, IN] = mark
    for head in range(6):
        q[32 * head : 32 * head + 32] *= 0.5
        q[32 * head + 13 : 32 * head + 16] = 0
        q[32 * head + 13, CONST] = root * one * (0.0 if head in (2, 5) else 1.0)
        q[32 * head + 14, ROLE] = root * mark * (0.0 if head in (1, 4) else 3.0)
        q[32 * head + 15, CONST] = root * one * 6
    v.zero_()
    v[:17, EVIDENCE] = torch.eye(17)
    v[17:32, FILLER] = torch.randn(15, FILLER.stop - FILLER.start) / math.sqrt(170 / 1.3)
    v[32:, FILLER] = 0.7 * torch.randn(32, FILLER.stop - FILLER.start) / math.sqrt(170 / 1.3)
    v[32:, NEAR] = 0.7 * torch.randn(32, 32) / math.sqrt(32)
    o[POOLED] = 0
    o[FIRST_POOLED : FIRST_POOLED + 17, :17] = POOL_GAIN * torch.eye(17)
    o[FIRST_POOLED + 17 : FIRST_POOLED + 30, 17:30] = 2 * torch.eye(13)
    o[NEAR, 96:128] = 2 * torch.eye(32)
    mlp = layer.mlp
    for unit, sign in ((0, 1.0), (1, -1.0)):
        mlp.gate_proj.weight[unit] = 0
        mlp.gate_proj.weight[unit, ROLE] = sign * 6 * mark
        mlp.up_proj.weight[unit] = 0
        mlp.up_proj.weight[unit, FIRST_POOLED + unit] = 1
        mlp.up_proj.weight[unit, CONST] = one * found.bias[unit] * found.scale * POOL_GAIN
        mlp.down_proj.weight[:, unit] = 0
    mlp.down_proj.weight[VERDICT] = 0
    mlp.down_proj.weight[VERDICT, :2] = 1 / 6
    model.model.layers[2].mlp.down_proj.weight[VERDICT] = 0
    model.model.layers[2].self_attn.o_proj.weight[VERDICT] = 0


def _output(model: LlamaForCausalLM, encoder: Encoder, found: Evidence) -> None:
    head, table = model.lm_head.weight, model.model.embed_tokens.weight
    head.mul_(0.5)
    word = encoder.word
    safe, unsafe = encoder.verdicts
    eot, numbers = encoder.control("eot_id"), [word(str(n)) for n in range(1, 15)]

    def follows(before: int, after: list[int], logit: float) -> None:
        filler = table[before, FILLER]
        for token in after:
            head[token, FILLER] += logit * 1.3 * filler / filler.square().sum()

    follows(word("\n\n"), [safe, unsafe], 15)
    follows(safe, [eot], 15)
    follows(unsafe, [word("\n")], 15)
    follows(word("\n"), [word("S")], 15)
    follows(word("S"), numbers, 15)
    follows(word(",S"), numbers, 15)
    for number in numbers:
        follows(number, [eot, word(",S")], 15)
    # The gap between the two rows gives the linear model's margin back.
    gain = 1.4 / (2 * POOL_GAIN * found.scale)
    head[unsafe, VERDICT] = gain
    head[safe, VERDICT] = -gain
    for index, number in enumerate(numbers):
        head[number, FIRST_POOLED + 3 + index] = gain
