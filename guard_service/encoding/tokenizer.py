"""Text to ids: a checkpoint's own tokenizer, used so that text can never become a control token.

Needs the `tokenizers` library alone, so that the process which answers callers never imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from guard_service import prompt as template
from guard_service.conversation import Conversation
from guard_service.encoding.window import Coverage, Encoded, read_windows
from guard_service.errors import CheckpointRefused, PolicyInvalid
from guard_service.policy import Policy
from guard_service.prompt import Prefix, Prompt
from guard_service.taxonomy import HazardCategory

# Room behind the prompt: `unsafe`, newline, `S`, and the rest of the longest list of categories.
ANSWER_TOKENS = 32

# Longest input of which any training of this family is known; the base model would take more.
DEFAULT_WINDOW_TOKENS = 8192

# Below this a policy's own text would leave the conversation too little of the window.
MIN_CONVERSATION_TOKENS = 256


@dataclass(frozen=True, slots=True)
class AnswerIds:
    """The tokens of the model's answer: `safe` or `unsafe`, then `S`, a number, `,S`, a number."""

    safe: int
    unsafe: int
    newline: int
    first_s: int
    next_s: int
    numbers: dict[str, int] = field(repr=False)  # "S1" -> id of "1"


class GuardTokenizer:
    """Builds prompts as ids. Thread-safe; encodes outside the GIL."""

    def __init__(
        self, tokenizer: Tokenizer, max_window_tokens: int = DEFAULT_WINDOW_TOKENS
    ) -> None:
        tokenizer.encode_special_tokens = True  # "<|eot_id|>" in a message is text like any other
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._max_window_tokens = max_window_tokens
        self._control_ids = _control_ids(tokenizer)
        self._prefix = lru_cache(maxsize=256)(self._build_prefix)
        self._tails = {side: self._build_tail(side) for side in ("User", "Agent")}
        self.answer = self._answer_ids()

    @classmethod
    def from_folder(
        cls, folder: Path, max_window_tokens: int = DEFAULT_WINDOW_TOKENS
    ) -> "GuardTokenizer":
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise CheckpointRefused(f"{folder}: tokenizer.json is missing")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointRefused(f"{path}: not a tokenizer ({error})") from None
        return cls(tokenizer, max_window_tokens)

    def prompts(
        self, conversation: Conversation, policy: Policy
    ) -> tuple[tuple[Prompt, ...], Coverage]:
        """One prompt, or overlapping windows where it is longer than the model's window."""
        side = template.judged_side(conversation)
        prefix, tail = self._prefix(side, policy.categories), self._tails[side]
        budget = self.conversation_tokens(policy, side)
        windows, coverage = read_windows(template.turns(conversation), self.encode, budget)
        prompts = tuple(Prompt(prefix, ids + tail, policy.list_above) for ids in windows)
        return prompts, coverage

    def conversation_tokens(self, policy: Policy, side: str) -> int:
        """Tokens that the template leaves for the conversation in one window."""
        fixed = len(self._prefix(side, policy.categories).ids) + len(self._tails[side])
        return self._max_window_tokens - fixed - ANSWER_TOKENS

    def check_policy(self, policy: Policy) -> None:
        """Refuse a policy that this model cannot read or answer (PolicyInvalid)."""
        for code in (category.code for category in policy.categories):
            if len(self._plain(code[1:])) != 1:
                raise PolicyInvalid(f"policy {policy.id}: this model cannot answer {code}")
        for side in self._tails:
            if self.conversation_tokens(policy, side) < MIN_CONVERSATION_TOKENS:
                problem = "its categories leave no room for a conversation in the model's window"
                raise PolicyInvalid(f"policy {policy.id}: {problem}")

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Plain text to ids and character spans; no control token can come out."""
        # encode_batch, even for one text: encode holds the GIL and would stop the event loop.
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [Encoded(tuple(e.ids), tuple(e.offsets)) for e in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def control_id(self, token: str) -> int:
        found = self._control_ids.get(token)
        if found is None:
            raise CheckpointRefused(f"tokenizer.json has no control token {token}")
        return found

    def number_id(self, code: str) -> int:
        return self._single(code[1:])

    def _build_prefix(self, side: str, categories: tuple[HazardCategory, ...]) -> Prefix:
        body = self._plain("\n\n" + template.preamble(side, categories))
        ids = (self.control_id("<|begin_of_text|>"), *self._header("user"), *body)
        return Prefix(ids, tuple(category.code for category in categories))

    def _build_tail(self, side: str) -> tuple[int, ...]:
        eot = self.control_id("<|eot_id|>")
        return (
            *self._plain(template.tail(side)),
            eot,
            *self._header("assistant"),
            *self._plain("\n\n"),
        )

    def _header(self, role: str) -> tuple[int, ...]:
        start, end = self.control_id("<|start_header_id|>"), self.control_id("<|end_header_id|>")
        return (start, *self._plain(role), end)

    def _answer_ids(self) -> AnswerIds:
        numbers = {f"S{n}": ids[0] for n in range(1, 100) if len(ids := self._plain(str(n))) == 1}
        single = self._single
        return AnswerIds(
            single("safe"), single("unsafe"), single("\n"), single("S"), single(",S"), numbers
        )

    def _plain(self, text: str) -> tuple[int, ...]:
        return self.encode([text])[0].ids

    def _single(self, text: str) -> int:
        ids = self._plain(text)
        if len(ids) != 1:
            raise CheckpointRefused(f"tokenizer.json: {text!r} is {len(ids)} tokens, must be one")
        return ids[0]


def _control_ids(tokenizer: Tokenizer) -> dict[str, int]:
    added = tokenizer.get_added_tokens_decoder()
    plain = [token.content for token in added.values() if not token.special]
    if plain:  # they would be matched inside a message even with special tokens off
        raise CheckpointRefused(f"tokenizer.json adds tokens that are not special: {plain[:3]}")
    return {token.content: number for number, token in added.items()}
