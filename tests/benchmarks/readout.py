"""Gives random weights a healthy read-out: the answers of Llama Guard, about nothing.

The last MLP writes, at each place of an answer, the directions of the tokens that may follow. The
embeddings stay as they are, so they may be tied.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

import guard_service
from guard_service.benchmark.workload import WORKLOADS, Workload, build_conversations
from guard_service.conversation import Conversation
from guard_service.encoding.tokenizer import AnswerIds, GuardTokenizer
from guard_service.policy import Policy, read_policy
from guard_service.prompt import Prompt
from guard_service.weights.manifest import Canary

POLICY = Path(guard_service.__file__).parent / "policies/default.toml"
NUM_PROMPTS = 32

# The places of an answer: behind each of these tokens, and where the verdict is read.
SAFE, UNSAFE, NEWLINE, FIRST, NUMBER, NEXT, VERDICT = range(7)

# A token written alone gets this logit, where the rest of the vocabulary has about 0.
CERTAIN = 40.0
# Categories that answers name: with all of them no single one would stand out of the vocabulary.
NAMED = ("S1", "S4", "S10", "S14")

# What is written against what the model holds there anyway.
STRENGTH = 6.0
RIDGE = 1e-2

# Every length that a workload has: what is written must hold behind long prompts too.
CALIBRATION = Workload(200, spread=1.5)


@dataclass(frozen=True)
class Seen:
    """What the last layer holds at the places of an answer: [prompts, 7, width]."""

    inner: Tensor  # goes into its down projection
    residual: Tensor  # goes into the final norm

    @property
    def select(self) -> Tensor:
        """For each place what picks it out of all, whatever the prompt: [7, inner], by ridge."""
        rows = self.inner.flatten(0, 1).double()
        place = torch.eye(self.inner.shape[1]).repeat(len(self.inner), 1).to(rows)
        gram = rows @ rows.T
        damp = RIDGE * gram.diagonal().mean() * torch.eye(len(rows)).to(rows)
        return (place.T @ torch.linalg.solve(gram + damp, rows)).to(self.inner)


def default_policy() -> Policy:
    return read_policy(POLICY)


def draw(
    tokenizer: GuardTokenizer, workload: Workload, num: int, seed: int = 0
) -> list[Conversation]:
    def count(text: str) -> int:
        return len(tokenizer.encode([text])[0].ids)

    return build_conversations(workload, num, count, seed)


def workload_prompts(tokenizer: GuardTokenizer, name: str, num: int, seed: int = 0) -> list[Prompt]:
    """Prompts of a workload under the default policy, one for each conversation."""
    policy = default_policy()
    judged = draw(tokenizer, WORKLOADS[name], num, seed)
    return [tokenizer.prompts(one, policy)[0][0] for one in judged]


def stop_ids(tokenizer: GuardTokenizer) -> list[int]:
    return [tokenizer.control_id(f"<|{name}|>") for name in ("end_of_text", "eom_id", "eot_id")]


@torch.inference_mode()
def write_answers(
    model: LlamaForCausalLM, tokenizer: GuardTokenizer, unsafe_share: float
) -> list[Canary]:
    """Of new prompts about `unsafe_share` will read unsafe, a third of those with a second code.

    Returns known prompts: the calibration's safest and least safe.
    """
    answer, end = tokenizer.answer, stop_ids(tokenizer)[-1]
    rows = model.lm_head.weight
    norm = float(rows[[answer.safe, answer.unsafe]].float().norm(dim=1).mean())
    model.model.norm.weight.fill_(CERTAIN / (rows.shape[1] ** 0.5 * norm))
    seen = observe(model, tokenizer, draw(tokenizer, CALIBRATION, NUM_PROMPTS, seed=1))
    select = seen.select
    # What is fitted to prompts is too sure of them: how others differ is seen on others.
    judged = draw(tokenizer, WORKLOADS["W100"], NUM_PROMPTS, seed=2)
    held = observe(model, tokenizer, judged)
    strength = STRENGTH * float(seen.residual.norm(dim=-1).median())

    def token(number: int) -> Tensor:
        row = rows[number].float()
        return row / row.norm()

    sides, goes_on = token(answer.unsafe) - token(answer.safe), token(answer.next_s) - token(end)
    numbers = torch.stack([token(answer.numbers[code]) for code in NAMED])
    # 1) what may follow at each place
    update = strength * followers(answer, end, token, numbers).T @ select
    # 2) what differs from prompt to prompt
    vary = Variation(held, seen)
    update += strength * torch.outer(sides, 0.05 * vary.along(VERDICT))
    third = vary.along(NUMBER) - 0.4 * select[NUMBER]
    update += strength * torch.outer(goes_on, 0.05 * third)
    for number in numbers:
        either = vary.along(FIRST) + vary.along(NEXT)
        update += strength * torch.outer(number, 0.03 * either)
    # 3) what the model leans to by chance, taken back, and the share
    labels = (rows[answer.unsafe] - rows[answer.safe]).float()

    def margins() -> Tensor:
        return (held.residual[:, VERDICT] + held.inner[:, VERDICT] @ update.T) @ labels

    shift = margins().quantile(1 - unsafe_share) / (sides @ labels)
    update -= shift * torch.outer(sides, select[VERDICT])
    down = model.model.layers[-1].mlp.down_proj.weight
    down.copy_((down.float() + update).to(down.dtype))
    return canaries(judged, margins().tolist())


def canaries(judged: Sequence[Conversation], margins: Sequence[float]) -> list[Canary]:
    """The two ends among those that are one message."""
    single = [
        (margin, one.judged)
        for one, margin in zip(judged, margins, strict=True)
        if len(one.messages) == 1
    ]
    ends = (min(single, key=lambda pair: pair[0]), max(single, key=lambda pair: pair[0]))
    return [Canary(message.content, message.role, margin > 0) for margin, message in ends]


def followers(
    answer: AnswerIds, end: int, token: Callable[[int], Tensor], numbers: Tensor
) -> Tensor:
    """Behind each place the directions of all tokens that may follow: [7, width]."""
    any_number = numbers.sum(0) / len(numbers) ** 0.5
    end_or_next = (token(end) + token(answer.next_s)) / 2**0.5
    verdict = (token(answer.safe) + token(answer.unsafe)) / 2**0.5
    return torch.stack(
        [
            *(token(end), token(answer.newline), token(answer.first_s)),
            *(any_number, end_or_next, any_number, verdict),
        ]
    )


class Variation:
    """Random directions along which prompts differ at one place, but not by length: deviation 1."""

    def __init__(self, seen: Seen, of_any_length: Seen) -> None:
        self._seen = seen
        self._random = torch.Generator().manual_seed(1)
        self._means = torch.cat([seen.inner.mean(0), of_any_length.inner.mean(0)])

    def along(self, place: int) -> Tensor:
        drawn = torch.randn(self._means.shape[1], generator=self._random).to(self._means)
        drawn = drawn - torch.linalg.pinv(self._means) @ (self._means @ drawn)  # 0 on average
        return drawn / (self._seen.inner[:, place] @ drawn).std()


def observe(
    model: LlamaForCausalLM, tokenizer: GuardTokenizer, judged: Sequence[Conversation]
) -> Seen:
    """The last layer over the conversations' prompts, each with both answers behind it."""
    answer, caches, seen = tokenizer.answer, dict[tuple[int, ...], DynamicCache](), list[Seen]()
    policy = default_policy()
    for place, one in enumerate(judged):
        ((prompt,), _) = tokenizer.prompts(one, policy)
        prefix = prompt.prefix.ids
        if prefix not in caches:
            caches[prefix] = DynamicCache()
            last_layer(model, prefix, caches[prefix])
        cache, number = copy.deepcopy(caches[prefix]), answer.numbers[NAMED[place % len(NAMED)]]
        draft = (answer.unsafe, answer.newline, answer.first_s, number, answer.next_s)
        listed = last_layer(model, (*prompt.ids, *draft), cache)
        cache.crop(-len(draft))
        safe = last_layer(model, (answer.safe,), cache)
        places = [-5, -4, -3, -2, -1, -6]
        seen.append(Seen(*(torch.cat([s, w[places]]) for s, w in zip(safe, listed, strict=True))))
    return Seen(torch.stack([s.inner for s in seen]), torch.stack([s.residual for s in seen]))


def last_layer(
    model: LlamaForCausalLM, ids: Sequence[int], cache: DynamicCache
) -> tuple[Tensor, Tensor]:
    """Input of its down projection and of the final norm, float32, [tokens, width]."""
    held: list[Tensor] = []
    modules = (model.model.layers[-1].mlp.down_proj, model.model.norm)
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: held.append(inputs[0][0].float()))
        for module in modules
    ]
    model.model(torch.tensor([ids], device=model.device), past_key_values=cache, use_cache=True)
    for hook in hooks:
        hook.remove()
    inner, residual = held
    return inner, residual
