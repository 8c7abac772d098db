import json
from pathlib import Path

import pytest
import torch
from benchmarks.checkpoint import SHAPES, make_checkpoint
from benchmarks.readout import workload_prompts
from reference import Reference
from transformers import AutoModelForCausalLM

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.message import Load
from guard_service.engine.worker import load_guard
from guard_service.prompt import Prompt
from guard_service.verdict import check_reading
from guard_service.weights.checkpoint import find_checkpoint


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("made"), "tiny", unsafe_share=0.5)


@pytest.fixture(scope="module")
def prompts(made: Path) -> list[Prompt]:
    return workload_prompts(GuardTokenizer.from_folder(made), "W100", 24, seed=9)


def test_the_service_would_load_it_and_its_known_prompts_read_as_written(made: Path) -> None:
    canaries = find_checkpoint(str(made)).canaries
    assert {canary.is_unsafe for canary in canaries} == {True, False}


def test_readings_are_healthy_and_of_both_kinds(made: Path, prompts: list[Prompt]) -> None:
    guard, _ = load_guard(Load(made, "cpu", "float32", None))
    readings = [check_reading(reading, 0.9) for reading in guard.read(prompts)]
    assert 4 <= sum(reading.unsafe_score >= 0.5 for reading in readings) <= 20


def test_what_it_writes_is_an_answer_of_llama_guards_form(
    made: Path, prompts: list[Prompt]
) -> None:
    reference = Reference(made)
    for prompt in prompts[:8]:
        read = reference.read(prompt)
        first, _, codes = read.written.removesuffix("<|eot_id|>").partition("\n")
        assert first == ("unsafe" if read.is_unsafe else "safe")
        assert bool(codes) == read.is_unsafe
        assert set(codes.split(",")) - {""} <= set(prompt.prefix.codes)


def test_tied_embeddings_stay_tied(
    tmp_path: Path, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, "tiny", SHAPES["tiny"] | {"tie_word_embeddings": True})
    make_checkpoint(tmp_path, "tiny")
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    guard, _ = load_guard(Load(tmp_path, "cpu", "float32", None))
    assert min(reading.label_mass for reading in guard.read(prompts)) > 0.9


def test_the_large_shape_is_the_published_one() -> None:
    shape = SHAPES["8b"]
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_key_value_heads")
    assert [shape[size] for size in sizes] == [4096, 14336, 32, 8]


def test_weights_are_bfloat16_as_a_real_checkpoints(made: Path) -> None:
    assert json.loads((made / "config.json").read_text())["dtype"] == "bfloat16"
    model = AutoModelForCausalLM.from_pretrained(made)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
