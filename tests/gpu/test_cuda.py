"""The engine on a CUDA device against the same checkpoint on the CPU (`make test-gpu`)."""

from pathlib import Path

import pytest
import torch
from checkpoints import save_random_llama
from conversations import assistant, conversation, policy
from varlen import check_attention

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.attention import varlen_attention
from guard_service.engine.llama_guard import LlamaGuard
from guard_service.engine.message import Batch, Load, Piece
from guard_service.engine.packing import Segment, Tiles, pack
from guard_service.engine.worker import load_guard
from guard_service.errors import EngineUnavailable
from guard_service.prompt import Prefix, Prompt
from guard_service.supervision.process import EngineProcess
from guard_service.verdict import Reading

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

HEADS = (32, 8, 128)  # Llama Guard 3 8B
LARGE_HEADS = {"head_dim": 64, "hidden_size": 256}


def has_fp8() -> bool:
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 9)


def prompts_of(folder: Path) -> list[Prompt]:
    """Lengths from one token to more than any graph has room for."""
    tokenizer = GuardTokenizer.from_folder(folder)
    texts = ["word " * n for n in (1, 90, 3, 400, 7, 25)]
    judged = [conversation(text) for text in texts]
    judged += [conversation("question", assistant(text)) for text in texts]
    return [tokenizer.prompts(one, policy())[0][0] for one in judged]


def load(folder: Path, device: str, dtype: str) -> LlamaGuard:
    guard, loaded = load_guard(Load(folder, device, dtype, None))
    assert loaded.device == device
    return guard


def one_by_one_and_together(guard: LlamaGuard, prompts: list[Prompt]) -> list[list[Reading]]:
    return [[guard.read([prompt])[0] for prompt in prompts], guard.read(prompts)]


def test_flash_attention_attends_as_defined_in_float64() -> None:
    past = torch.empty(1, 2, 200, *HEADS[1:])
    lengths = ((160, past), (1, past), (2, past), (300, None), (64, past))
    segments = [
        Segment([0] * num, (before,) if before is not None else ()) for num, before in lengths
    ]
    spans = pack(segments, torch.device("cuda"), Tiles(tokens=128)).spans
    like = torch.empty(0, device="cuda", dtype=torch.bfloat16)
    check_attention(varlen_attention(), spans, HEADS, like, tolerance=2e-2)


@pytest.mark.parametrize(
    ("dtype", "margin"),
    [
        ("float32", 1e-3),
        ("bfloat16", 2e-2),
        pytest.param(
            "fp8", 5e-2, marks=pytest.mark.skipif(not has_fp8(), reason="needs FP8 products")
        ),
    ],
)
def test_a_gpu_reads_what_the_cpu_reads(tmp_path: Path, dtype: str, margin: float) -> None:
    folder = save_random_llama(tmp_path, **LARGE_HEADS)
    prompts = prompts_of(folder)
    expected = load(folder, "cpu", "float32").read(prompts)
    for readings in one_by_one_and_together(load(folder, "cuda", dtype), prompts):
        for reading, reference in zip(readings, expected, strict=True):
            assert reading.unsafe_score == pytest.approx(reference.unsafe_score, abs=margin)
            assert reading.first_scores == pytest.approx(reference.first_scores, abs=margin)


def test_short_passes_are_recorded_and_read_as_those_that_are_launched(tmp_path: Path) -> None:
    folder = save_random_llama(tmp_path, **LARGE_HEADS)
    guard, prompts = load(folder, "cuda", "bfloat16"), prompts_of(folder)
    assert guard.llama.graphs
    recorded = one_by_one_and_together(guard, prompts)
    guard.llama.graphs = ()
    for readings, launched in zip(recorded, one_by_one_and_together(guard, prompts), strict=True):
        assert [reading.unsafe_score for reading in readings] == pytest.approx(
            [reading.unsafe_score for reading in launched], abs=1e-2
        )


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_second_gpu_reads_what_the_first_reads(tmp_path: Path) -> None:
    folder = save_random_llama(tmp_path, **LARGE_HEADS)
    prompts = prompts_of(folder)
    first, second = (load(folder, f"cuda:{n}", "bfloat16").read(prompts) for n in (0, 1))
    assert [reading.unsafe_score for reading in second] == pytest.approx(
        [reading.unsafe_score for reading in first], abs=1e-3
    )


def test_guard_tiny_gives_the_same_verdicts_on_a_gpu(guard_tiny: Path) -> None:
    prompts = prompts_of(guard_tiny)
    expected = load(guard_tiny, "cpu", "float32").read(prompts)
    found = load(guard_tiny, "cuda", "float32").read(prompts)
    for reading, reference in zip(found, expected, strict=True):
        assert reading.unsafe_score == pytest.approx(reference.unsafe_score, abs=1e-3)
        assert reading.listed == reference.listed


async def test_an_engine_that_a_cuda_error_ends_is_replaced_by_one_that_reads(
    guard_tiny: Path,
) -> None:
    wanted = Load(guard_tiny, "cuda", "auto", None)
    prompt = prompts_of(guard_tiny)[0]
    engine = await EngineProcess.start(wanted)
    out_of_vocabulary = Piece(0, Prefix((10**9,), ("S1",)), (1,))
    with pytest.raises(EngineUnavailable):
        await engine.read(Batch((out_of_vocabulary,)))
    await engine.wait_dead()
    another = await EngineProcess.start(wanted)
    read = await another.read(Batch((Piece.whole(1, prompt),)))
    await another.stop()
    assert read.keys == (1,)
