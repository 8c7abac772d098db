from dataclasses import replace
from pathlib import Path

import pytest
from conversations import policy
from scripted import SAFE, UNSAFE, ScriptedEngine

from guard_service.conversation import Role
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.errors import CanaryFailed
from guard_service.prompt import Prompt
from guard_service.supervision.canary import check_canaries
from guard_service.verdict import Reading
from guard_service.weights.checkpoint import Canary, Checkpoint

CHECKPOINT = Checkpoint(
    Path("nowhere"),
    "model",
    1024,
    0,
    (Canary("canary-text", Role.USER, False), Canary("other-text", Role.ASSISTANT, True)),
)


async def check(tokenizer: GuardTokenizer, *readings: Reading) -> None:
    answers = iter(readings)

    def read(_: Prompt) -> Reading:
        return next(answers)

    await check_canaries(ScriptedEngine(read), tokenizer, CHECKPOINT, policy(), 0.5)


async def test_a_model_that_reads_its_canaries_right_may_serve(
    llama_tokenizer: GuardTokenizer,
) -> None:
    await check(llama_tokenizer, SAFE, UNSAFE)


@pytest.mark.parametrize("readings", [(UNSAFE, UNSAFE), (SAFE, SAFE), (UNSAFE, SAFE)])
async def test_a_wrong_verdict_is_named_by_number_without_its_text(
    llama_tokenizer: GuardTokenizer, readings: tuple[Reading, ...]
) -> None:
    with pytest.raises(CanaryFailed, match=r"model: canary [12] reads 0\.\d+ unsafe") as error:
        await check(llama_tokenizer, *readings)
    assert "text" not in str(error.value)


async def test_a_reading_without_label_mass_fails_even_if_it_is_right(
    llama_tokenizer: GuardTokenizer,
) -> None:
    with pytest.raises(CanaryFailed, match=r"canary 1: only 0\.100"):
        await check(llama_tokenizer, replace(SAFE, label_mass=0.1), UNSAFE)
