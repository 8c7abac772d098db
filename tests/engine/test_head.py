import pytest
import torch
from checkpoints import save_random_llama
from torch import Tensor

from guard_service.encoding.tokenizer import AnswerIds, GuardTokenizer
from guard_service.engine.head import Head
from guard_service.engine.linear import (
    DenseLinear,
    MakeLinear,
    PackedLinear,
    Weights,
    is_packing_supported,
)

LINEARS = [DenseLinear, *([PackedLinear] if is_packing_supported(torch.float32) else [])]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> AnswerIds:
    return GuardTokenizer.from_folder(save_random_llama(tmp_path_factory.mktemp("random"))).answer


def drawn(num_rows: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Weights of a whole vocabulary, and rows."""
    generator = torch.Generator().manual_seed(0)
    weight, rows = (torch.randn(n, 64, generator=generator) for n in (128_256, num_rows))
    return weight.to(dtype), rows.to(dtype)


@pytest.mark.parametrize("make_linear", LINEARS)
@pytest.mark.parametrize("num_rows", [0, 1, 5])
def test_it_predicts_what_the_whole_product_predicts(
    answer: AnswerIds, make_linear: MakeLinear, num_rows: int
) -> None:
    weight, rows = drawn(num_rows)
    head, logits = Head(Weights(weight, None), make_linear, answer), rows @ weight.T
    labels, numbers = [answer.safe, answer.unsafe], list(answer.numbers.values())
    torch.testing.assert_close(head.labels(rows), logits.softmax(-1)[:, labels])
    torch.testing.assert_close(head.numbers(rows), logits[:, numbers], atol=1e-4, rtol=1e-4)
    assert head.likeliest(rows).tolist() == logits.argmax(-1).tolist()


def test_the_answer_s_own_tokens_are_not_rounded(answer: AnswerIds) -> None:
    weight, rows = drawn(5, torch.bfloat16)
    head = Head(Weights(weight, None), DenseLinear, answer)
    logits = rows.float() @ weight.float().T
    assert torch.equal(head.numbers(rows), logits[:, list(answer.numbers.values())])
    odds = head.labels(rows).log().diff(dim=1)
    assert odds == pytest.approx(logits[:, [answer.safe, answer.unsafe]].diff(dim=1), abs=1e-4)
