"""The last product, and no more of it than is asked: a vocabulary outweighs a small body."""

import torch
import torch.nn.functional as F
from torch import Tensor

from guard_service.encoding.tokenizer import AnswerIds
from guard_service.engine.linear import MakeLinear, Weights


class Head:
    """Rows [rows, hidden size] in, what they predict out.

    Logits of the answer's own tokens are not rounded: near 32, bfloat16 has steps of 0.25.
    """

    @torch.no_grad()
    def __init__(self, weights: Weights, make_linear: MakeLinear, answer: AnswerIds) -> None:
        ids = [answer.safe, answer.unsafe, *answer.numbers.values()]
        self._ids = torch.tensor(ids, device=weights.weight.device)
        self._exact = weights.weight[self._ids].float()
        self._all = make_linear(weights)

    def labels(self, rows: Tensor) -> Tensor:
        """float32 [rows, 2]: how likely `safe` and `unsafe` are among all tokens."""
        logits = self._logits(rows)
        return (logits[:, self._ids[:2]] - logits.logsumexp(-1, keepdim=True)).exp()

    def numbers(self, rows: Tensor) -> Tensor:
        """float32 [rows, numbers]: logits of the categories' numbers."""
        return F.linear(rows.float(), self._exact[2:])

    def likeliest(self, rows: Tensor) -> Tensor:
        """int64 [rows]: the token that greedy decoding would write."""
        return self._logits(rows).argmax(-1)

    def _logits(self, rows: Tensor) -> Tensor:
        logits = self._all(rows).float()
        logits[:, self._ids] = F.linear(rows.float(), self._exact)
        return logits
