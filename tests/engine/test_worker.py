import shutil
import socket
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from checkpoints import save_random_llama
from conversations import conversation, policy
from safetensors.torch import load_file, save_file
from scripted import SAFE, prompt
from transformers import AutoModelForCausalLM

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.listing import Read
from guard_service.engine.message import Batch, BatchRead, Load, Piece, frame, receive_blocking
from guard_service.engine.worker import load_guard, read_batches, submit
from guard_service.errors import CheckpointRefused


def load(folder: Path, dtype: str = "auto") -> Load:
    return Load(folder, "cpu", dtype, None)


def test_weights_that_are_not_numbers_are_refused_by_name(
    random_llama: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(random_llama, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointRefused, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        load_guard(load(folder))


def test_a_checkpoint_in_shards_reads_as_the_same_in_one_file(
    random_llama: Path, tmp_path: Path
) -> None:
    shards = Path(shutil.copytree(random_llama, tmp_path / "shards"))
    (shards / "model.safetensors").unlink()
    model = AutoModelForCausalLM.from_pretrained(random_llama)
    model.save_pretrained(shards, max_shard_size="5MB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    (one,), _ = GuardTokenizer.from_folder(shards).prompts(conversation("hello"), policy())
    whole, parts = (load_guard(load(folder))[0].read([one]) for folder in (random_llama, shards))
    assert whole == parts


@pytest.mark.parametrize(("dtype", "name"), [("auto", "float32"), ("bfloat16", "bfloat16")])
def test_the_type_of_the_weights_is_chosen_in_one_place(
    random_llama: Path, dtype: str, name: str
) -> None:
    _, loaded = load_guard(load(random_llama, dtype))
    assert (loaded.device, loaded.dtype) == ("cpu", name)


def test_the_engines_gpu_is_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else events are of the first GPU, and what the second one reads is taken too soon."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for device in ("cuda:1", "cuda", "auto", "cpu"):
        with pytest.raises(OSError, match="nothing"):
            load_guard(Load(tmp_path / "nothing", device, "auto", None))
    assert chosen == [1, 0, 0]


def test_rope_scaling_of_the_checkpoint_is_used(tmp_path: Path) -> None:
    """Llama 3.1 scales, Llama Guard 3's own table says it does not: the file decides."""
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    }
    plain = save_random_llama(tmp_path / "plain", initializer_range=0.3)
    scaled = save_random_llama(tmp_path / "scaled", initializer_range=0.3, rope_scaling=scaling)
    long = conversation("some words " * 300)
    (one,), _ = GuardTokenizer.from_folder(plain).prompts(long, policy())
    scores = [load_guard(load(f))[0].read([one])[0].unsafe_score for f in (plain, scaled)]
    assert scores[0] != pytest.approx(scores[1], abs=1e-4)


class SmallDevice:
    """Has memory for two pieces at a time, and none for id 666."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.forgotten: list[int] = []

    def submit(self, batch: Batch) -> Batch:
        self.sizes.append(len(batch.pieces))
        if len(batch.pieces) > 2 or 666 in batch.pieces[0].ids:
            raise torch.OutOfMemoryError
        self.forgotten += batch.forgotten
        return batch


def batch_of(*ids: int, forgotten: tuple[int, ...] = ()) -> Batch:
    return Batch(tuple(Piece.whole(number, prompt(number)) for number in ids), forgotten)


def test_a_batch_too_large_for_the_device_is_read_in_halves_and_in_order() -> None:
    device = SmallDevice()
    parts = submit(device, batch_of(*range(7), forgotten=(9,)))  # type: ignore[arg-type]
    keys = [piece.key for part in parts for piece in part.pieces]  # type: ignore[attr-defined]
    assert keys == list(range(7))
    assert device.sizes[0] == 7
    assert device.forgotten == [9]


def test_a_single_piece_too_large_for_the_device_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        submit(SmallDevice(), batch_of(666))  # type: ignore[arg-type]


class SlowDevice:
    """Launches at once, answers when collected, and keeps the order of both."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def submit(self, batch: Batch) -> SimpleNamespace:
        self.steps.append(f"submit {batch.pieces[0].key}")
        return SimpleNamespace(endings=[SimpleNamespace(piece=batch.pieces[0])])

    def collect(self, submitted: SimpleNamespace, is_followed: bool) -> list[Read]:
        key = submitted.endings[0].piece.key
        self.steps.append(f"collect {key}")
        return [(key, SAFE)]


class LateDevice(SlowDevice):
    """Leaves every reading to the pass that follows, if one does."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[Read] = []

    def collect(self, submitted: SimpleNamespace, is_followed: bool) -> list[Read]:
        ready, self.late = self.late, super().collect(submitted, is_followed)
        if not is_followed:
            ready, self.late = self.late + ready, []
        return ready


@pytest.mark.parametrize(
    ("max_under_way", "steps"),
    [
        # The front is gone before the rest is collected: nobody waits for it.
        (1, ["submit 0", "collect 0", "submit 1", "collect 1", "submit 2"]),
        (2, ["submit 0", "submit 1", "collect 0", "submit 2"]),
    ],
)
def test_the_next_batch_is_launched_before_the_one_before_is_collected(
    max_under_way: int, steps: list[str]
) -> None:
    device = SlowDevice()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"".join(frame(batch_of(number)) for number in range(3)))
        ours.shutdown(socket.SHUT_WR)
        read_batches(theirs, device, max_under_way)  # type: ignore[arg-type]
        theirs.shutdown(socket.SHUT_WR)
        answers = list(iter(lambda: receive_blocking(ours), None))
    assert device.steps == steps
    assert [answer.readings for answer in answers] == [(SAFE,)] * sum(
        s.startswith("collect") for s in steps
    )


def answers_of(device: SlowDevice, *batches: Batch) -> list[BatchRead]:
    """To batches that are all there before the first is answered."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"".join(map(frame, batches)))
        serving = Thread(target=read_batches, args=(theirs, device, 1))
        serving.start()
        answers = [receive_blocking(ours) for _ in batches]
        ours.shutdown(socket.SHUT_WR)
        serving.join()
    return answers


@pytest.mark.parametrize(
    ("batches", "keys"),
    [
        ((batch_of(0), batch_of(1), batch_of(2)), [(), (0,), (1, 2)]),
        # What goes alone is answered by itself, so nobody's reading is left to it.
        ((batch_of(0), replace(batch_of(7), is_alone=True), batch_of(1)), [(0,), (7,), (1,)]),
        ((batch_of(0), Batch((), is_alone=True)), [(0,), ()]),
    ],
)
def test_a_reading_that_is_left_to_the_next_pass_comes_with_its_answer(
    batches: tuple[Batch, ...], keys: list[tuple[int, ...]]
) -> None:
    answers = answers_of(LateDevice(), *batches)
    assert [answer.keys for answer in answers] == keys


def test_a_heartbeat_is_answered_in_its_turn_without_the_device() -> None:
    device = SlowDevice()
    answers = answers_of(device, batch_of(3), Batch((), is_alone=True))
    assert [answer.keys for answer in answers] == [(3,), ()]
    assert answers[0].num_bytes == 0 < answers[1].num_bytes
    assert device.steps == ["submit 3", "collect 3"]
