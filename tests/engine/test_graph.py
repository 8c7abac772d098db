"""Passes through graphs against passes without: the recorder here repeats the work on a CPU."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoints import save_random_llama
from conversations import assistant, conversation, policy
from torch import Tensor
from transformers import AutoModelForCausalLM
from varlen import attention_by, varlen_attn

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.graph import ROOMS, Record
from guard_service.engine.kernels import find_kernels
from guard_service.engine.llama_guard import LlamaGuard
from guard_service.engine.message import Batch, Piece
from guard_service.engine.packing import Tiles
from guard_service.prompt import Prompt

TILE = ROOMS[-1].tokens


class Recorder:
    """Repeats what it was given, and counts."""

    def __init__(self) -> None:
        self.num_replays = 0

    def __call__(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        run()

        def replay() -> Tensor:
            self.num_replays += 1
            return run()

        return replay


def cannot_record(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing")


def guard_of(folder: Path, record: Record | None) -> LlamaGuard:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    kernels = replace(
        find_kernels("float32", model),
        attend=attention_by(varlen_attn),
        tiles=Tiles(tokens=TILE),
        record=record,
    )
    return LlamaGuard(model, kernels, GuardTokenizer.from_folder(folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def plain(folder: Path) -> LlamaGuard:
    return guard_of(folder, record=None)


@pytest.fixture(scope="module")
def prompts(folder: Path) -> list[Prompt]:
    """Of both sides and many lengths; each wants its list."""
    tokenizer = GuardTokenizer.from_folder(folder)
    texts = ["word " * num for num in (1, 90, 3, 40, 7, 300, 25)]
    judged = [conversation(text) for text in texts]
    judged += [conversation("question", assistant(text)) for text in texts]
    return [tokenizer.prompts(one, policy(threshold=1e-6))[0][0] for one in judged]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_passes_through_graphs_read_what_others_read(
    folder: Path, plain: LlamaGuard, prompts: list[Prompt], size: int
) -> None:
    recorder = Recorder()
    recorded = guard_of(folder, recorder)
    for at in range(0, len(prompts), size):
        expected = plain.read(prompts[at : at + size])
        for reading, other in zip(recorded.read(prompts[at : at + size]), expected, strict=True):
            assert reading.unsafe_score == pytest.approx(other.unsafe_score, abs=1e-5)
            assert reading.first_scores == pytest.approx(other.first_scores, abs=1e-5)
            assert reading.listed == other.listed
    assert recorder.num_replays > len(prompts) // size  # lists are passes too


def test_a_pass_that_no_graph_has_room_for_goes_without(
    folder: Path, plain: LlamaGuard, prompts: list[Prompt]
) -> None:
    recorder = Recorder()
    recorded = guard_of(folder, recorder)
    recorded.read(prompts[:1])  # its prefix, and its list
    before = recorder.num_replays
    large = replace(prompts[0], ids=prompts[0].ids * 10, list_above=1.0)
    assert len(large.ids) > ROOMS[0].tokens
    (reading,), (expected,) = recorded.read([large]), plain.read([large])
    assert reading.unsafe_score == pytest.approx(expected.unsafe_score, abs=1e-5)
    assert recorder.num_replays == before


def test_a_pass_under_way_outlasts_the_next(
    folder: Path, plain: LlamaGuard, prompts: list[Prompt]
) -> None:
    recorded = guard_of(folder, Recorder())
    submitted = [
        recorded.submit(Batch((Piece.whole(key, prompt),))) for key, prompt in enumerate(prompts)
    ]
    read = dict(one for pass_ in submitted for one in recorded.collect(pass_))
    expected = [plain.read([prompt])[0] for prompt in prompts]
    for key, other in enumerate(expected):
        assert read[key].unsafe_score == pytest.approx(other.unsafe_score, abs=1e-5)
        assert read[key].listed == other.listed


def test_a_device_that_cannot_record_reads_all_the_same(
    folder: Path, plain: LlamaGuard, prompts: list[Prompt], capfd: pytest.CaptureFixture[str]
) -> None:
    reading = guard_of(folder, cannot_record).read(prompts[:1])[0]
    assert reading.unsafe_score == pytest.approx(plain.read(prompts[:1])[0].unsafe_score, abs=1e-5)
    assert "stream is capturing" in capfd.readouterr().err
