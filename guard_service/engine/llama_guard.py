"""The model: loads a Llama checkpoint and reads prompts off it, one prefill for a whole batch.

Behind every prompt goes the draft `unsafe`, newline, `S`. One pass then gives, by causality, what a
plain prefill would give at the verdict token, and the distribution of the first category given
"unsafe". This is speculative decoding with a constant draft.
Knows tokens, not words, and nothing of policies beyond the codes that a prompt offers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from guard_service.engine.prefix_cache import LayerKV, PrefixCache
from guard_service.engine.tokenizer import ANSWER_TOKENS, AnswerIds, GuardTokenizer
from guard_service.prompt import Prefix, Prompt
from guard_service.verdict import Reading, listed_codes

_PAD = 0  # right of the text, where causality keeps it out of every row that is read


@dataclass(frozen=True, slots=True)
class _Rows:
    """A prefilled group of prompts: the four rows that are read of each, and the cache."""

    logits: Tensor  # [prompts, 4, vocabulary]: verdict, newline, S, first category
    lengths: Tensor  # [prompts]: tokens of prompt and draft behind the prefix
    cache: DynamicCache


class LlamaGuard:
    """Reads prompts. One batch at a time; every method runs on the model's device."""

    def __init__(self, model: PreTrainedModel, tokenizer: GuardTokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._answer: AnswerIds = tokenizer.answer
        self._draft = (self._answer.unsafe, self._answer.newline, self._answer.first_s)
        self.prefixes = PrefixCache(self._compute_prefix)

    @torch.inference_mode()
    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        """One reading for each prompt, in order. Prompts of one prefix share a pass."""
        groups: dict[Prefix, list[int]] = {}
        for place, prompt in enumerate(prompts):
            groups.setdefault(prompt.prefix, []).append(place)
        readings: dict[int, Reading] = {}
        for prefix, places in groups.items():
            group = self._read_group(prefix, [prompts[place] for place in places])
            readings.update(zip(places, group, strict=True))
        return [readings[place] for place in range(len(prompts))]

    def _read_group(self, prefix: Prefix, prompts: Sequence[Prompt]) -> list[Reading]:
        # 1) one pass over all prompts and their drafts
        rows = self._prefill(prefix, prompts)
        # 2) verdict and first category
        labels = rows.logits[:, 0].softmax(-1)[:, [self._answer.safe, self._answer.unsafe]]
        numbers = [self._answer.numbers[code] for code in prefix.codes]
        first = rows.logits[:, 3, numbers].softmax(-1)
        scores = (labels[:, 1] / labels.sum(-1)).tolist()
        # 3) the rest of the list, for those that want it
        wanted = [i for i, prompt in enumerate(prompts) if scores[i] >= prompt.list_above]
        listed = self._list(prefix, prompts, rows, first, wanted) if wanted else {}
        masses, firsts = labels.sum(-1).tolist(), first.tolist()
        return [
            Reading(scores[i], masses[i], tuple(firsts[i]), listed.get(i, ()))
            for i in range(len(prompts))
        ]

    def _prefill(self, prefix: Prefix, prompts: Sequence[Prompt]) -> _Rows:
        texts = [prompt.ids + self._draft for prompt in prompts]
        lengths = torch.tensor([len(text) for text in texts], device=self._model.device)
        longest = max(map(len, texts))
        padded = [text + (_PAD,) * (longest - len(text)) for text in texts]
        cache = self.prefixes.expand(prefix, len(prompts))
        hidden = self._forward(torch.tensor(padded), cache, None, len(prefix.ids))
        offsets = torch.arange(-4, 0, device=hidden.device)
        places = (lengths[:, None] + offsets)[..., None].expand(-1, -1, hidden.shape[-1])
        return _Rows(self._logits(hidden.gather(1, places)), lengths, cache)

    def _list(
        self,
        prefix: Prefix,
        prompts: Sequence[Prompt],
        rows: _Rows,
        first: Tensor,
        wanted: Sequence[int],
    ) -> dict[int, tuple[str, ...]]:
        """The model's own list of categories for the prompts at `wanted`."""
        predicted = rows.logits[wanted, 1:3].argmax(-1).tolist()
        accepted = [
            i for i, row in zip(wanted, predicted, strict=True) if (*row,) == self._draft[1:]
        ]
        # Where the model would not have gone on as the draft does, it is left to write by itself.
        listed = {i: self._write_list(prompts[i]) for i in wanted if i not in accepted}
        if accepted:
            rows.cache.batch_select_indices(torch.tensor(accepted, device=first.device))
            firsts = [prefix.codes[i] for i in first[accepted].argmax(-1).tolist()]
            lists = self._extend(prefix, rows.cache, rows.lengths[accepted], firsts)
            listed.update(zip(accepted, lists, strict=True))
        return listed

    def _extend(
        self, prefix: Prefix, cache: DynamicCache, lengths: Tensor, firsts: list[str]
    ) -> list[tuple[str, ...]]:
        """Greedy lists that begin with `firsts`: one pass per further category, for all rows."""
        lists: list[tuple[str, ...]] = [(code,) for code in firsts]
        is_open = [True] * len(lists)
        position = lengths + len(prefix.ids)
        columns = torch.arange(cache.get_seq_length(), device=lengths.device)
        mask = columns < position[:, None]  # the padding behind shorter prompts stays unseen
        for _ in range(len(prefix.codes) - 1):
            last = [[self._answer.numbers[codes[-1]], self._answer.next_s] for codes in lists]
            mask = torch.cat([mask, mask.new_ones(len(lists), 2)], dim=1)
            logits = self._logits(self._forward(torch.tensor(last), cache, mask, position))
            goes_on = (logits[:, 0].argmax(-1) == self._answer.next_s).tolist()
            is_open = [was and goes for was, goes in zip(is_open, goes_on, strict=True)]
            if not any(is_open):
                break
            following = self._next_codes(prefix, lists, logits[:, 1])
            lists = [
                (*codes, code) if is_on else codes
                for codes, code, is_on in zip(lists, following, is_open, strict=True)
            ]
            position = position + 2
        return lists

    def _next_codes(
        self, prefix: Prefix, lists: Sequence[tuple[str, ...]], logits: Tensor
    ) -> list[str]:
        """For each list the likeliest code of the prompt that it does not hold yet."""
        scores = logits[:, [self._answer.numbers[code] for code in prefix.codes]]
        taken = [[code in codes for code in prefix.codes] for codes in lists]
        scores = scores.masked_fill(torch.tensor(taken, device=scores.device), -torch.inf)
        return [prefix.codes[i] for i in scores.argmax(-1).tolist()]

    def _write_list(self, prompt: Prompt) -> tuple[str, ...]:
        """The list as plain greedy decoding writes it after `unsafe`."""
        ids = torch.tensor([[*prompt.prefix.ids, *prompt.ids, self._answer.unsafe]])
        ids = ids.to(self._model.device)
        written = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=ANSWER_TOKENS,
            do_sample=False,
            pad_token_id=_PAD,
        )
        answer = self._tokenizer.decode(written[0, ids.shape[1] :].tolist())
        return listed_codes(answer, prompt.prefix.codes)

    def _compute_prefix(self, prefix: Prefix) -> list[LayerKV]:
        cache = DynamicCache()
        self._forward(torch.tensor([prefix.ids]), cache, None, 0)
        return [(layer.keys, layer.values) for layer in cache.layers]

    def _forward(
        self, ids: Tensor, cache: DynamicCache, mask: Tensor | None, start: int | Tensor
    ) -> Tensor:
        """Hidden states [rows, tokens, width] of `ids` behind what the cache holds."""
        ids = ids.to(self._model.device)
        steps = torch.arange(ids.shape[1], device=ids.device)
        positions = (torch.as_tensor(start, device=ids.device).reshape(-1, 1) + steps).expand_as(
            ids
        )
        output = self._model.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._model.lm_head(hidden).float()
        return logits
