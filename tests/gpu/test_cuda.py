"""The read-out on a CUDA device against the same checkpoint on the CPU (`make test-gpu`)."""

from pathlib import Path

import pytest
import torch
from checkpoints import save_random_llama
from conversations import assistant, conversation, policy

from guard_service.engine.message import Load
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.engine.worker import load_guard
from guard_service.verdict import Reading

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def read(folder: Path, device: str, dtype: str) -> list[Reading]:
    tokenizer = GuardTokenizer.from_folder(folder)
    texts = ["word " * n for n in (1, 90, 3, 400, 7, 25)]
    judged = [conversation(text) for text in texts]
    judged += [conversation("question", assistant(text)) for text in texts]
    prompts = [tokenizer.prompts(one, policy())[0][0] for one in judged]
    guard, loaded = load_guard(Load(folder, device, dtype, None))
    assert loaded.device == device
    return guard.read(prompts)


@pytest.mark.parametrize(("dtype", "margin"), [("float32", 1e-3), ("bfloat16", 2e-2)])
def test_a_gpu_reads_what_the_cpu_reads(tmp_path: Path, dtype: str, margin: float) -> None:
    folder = save_random_llama(tmp_path, head_dim=64, hidden_size=256)
    expected = read(folder, "cpu", "float32")
    for reading, reference in zip(read(folder, "cuda", dtype), expected, strict=True):
        assert reading.unsafe_score == pytest.approx(reference.unsafe_score, abs=margin)
        assert reading.first_scores == pytest.approx(reference.first_scores, abs=margin)


def test_guard_tiny_gives_the_same_verdicts_on_a_gpu(guard_tiny: Path) -> None:
    expected = read(guard_tiny, "cpu", "float32")
    for reading, reference in zip(read(guard_tiny, "cuda", "float32"), expected, strict=True):
        assert reading.unsafe_score == pytest.approx(reference.unsafe_score, abs=1e-3)
        assert reading.listed == reference.listed
