"""The engine process as the front sees it, with guard-tiny in it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conversations import conversation, policy

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.message import Batch, Load, Piece
from guard_service.errors import CheckpointRefused, EngineUnavailable
from guard_service.prompt import Prefix, Prompt
from guard_service.supervision.process import (
    LARGE_BYTES,
    SLEEP,
    SPIN,
    EngineProcess,
    environment_of,
)


def load(folder: Path) -> Load:
    return Load(folder, "cpu", "auto", None)


@pytest.fixture
async def engine(guard_tiny: Path) -> AsyncIterator[EngineProcess]:
    engine = await EngineProcess.start(load(guard_tiny))
    yield engine
    await engine.stop()


def batch(*prompts: Prompt) -> Batch:
    return Batch(tuple(Piece(n, p.prefix, p.ids) for n, p in enumerate(prompts)))


@pytest.fixture
def prompts(tiny_tokenizer: GuardTokenizer) -> list[Prompt]:
    texts = ["Hello", "What is the capital of France?"]
    return [tiny_tokenizer.prompts(conversation(text), policy())[0][0] for text in texts]


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_it_reads_batches_and_ends_when_the_front_lets_go(
    guard_tiny: Path, prompts: list[Prompt]
) -> None:
    engine = await EngineProcess.start(load(guard_tiny))
    assert (engine.loaded.device, engine.loaded.dtype) == ("cpu", "float32")
    read = await engine.read(batch(*prompts))
    assert len(read.readings) == 2
    assert read.inference_ms > 0
    await engine.stop()
    assert not is_running(engine.pid)


async def test_batches_under_way_together_are_answered_in_order(
    engine: EngineProcess, prompts: list[Prompt]
) -> None:
    one, two = [await engine.read(batch(p)) for p in prompts]
    both = await asyncio.gather(*(engine.read(batch(p)) for p in prompts))
    assert [read.readings for read in both] == [one.readings, two.readings]


async def test_a_prompt_in_pieces_reads_as_the_whole(
    engine: EngineProcess, prompts: list[Prompt]
) -> None:
    (whole,) = (await engine.read(batch(prompts[1]))).readings
    prefix, ids = prompts[1].prefix, prompts[1].ids
    first = await engine.read(Batch((Piece(7, prefix, ids[:20], is_last=False),)))
    last = await engine.read(Batch((Piece(7, prefix, ids[20:]),)))
    assert first.readings == ()
    assert last.readings[0].unsafe_score == pytest.approx(whole.unsafe_score, abs=1e-4)


async def test_killed_while_it_works_it_fails_the_batch_at_once(
    engine: EngineProcess, prompts: list[Prompt]
) -> None:
    reading = asyncio.create_task(engine.read(batch(*prompts * 50)))
    await asyncio.sleep(0)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineUnavailable, match="died"):
        await reading
    assert await engine.wait_dead() == -signal.SIGKILL


async def test_after_an_error_in_a_batch_the_process_ends(engine: EngineProcess) -> None:
    out_of_vocabulary = Prompt(Prefix((10**9,), ("S1",)), (1,))
    with pytest.raises(EngineUnavailable, match="IndexError"):
        await engine.read(batch(out_of_vocabulary))
    assert await engine.wait_dead() == 70


async def test_a_folder_that_does_not_load_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match=str(tmp_path)):
        await EngineProcess.start(load(tmp_path))


async def test_cancelling_a_start_leaves_no_process(guard_tiny: Path) -> None:
    start = asyncio.create_task(EngineProcess.start(load(guard_tiny)))
    pid = os.getpid()
    children = Path(f"/proc/{pid}/task/{pid}/children")
    before = set(children.read_text().split())
    while not (new := set(children.read_text().split()) - before):
        assert not start.done()
        await asyncio.sleep(0.001)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not any(is_running(int(child)) for child in new)


async def test_a_stopped_process_misses_its_heartbeat_and_can_be_killed(
    engine: EngineProcess, prompts: list[Prompt]
) -> None:
    await asyncio.gather(engine.read(batch(*prompts)), engine.ping(30.0))
    os.kill(engine.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        await engine.ping(0.1)
    engine.kill()
    assert await engine.wait_dead() == -signal.SIGKILL
    engine.kill()  # of one that is dead: nothing


async def test_a_heartbeat_tells_how_much_memory_the_engine_holds(engine: EngineProcess) -> None:
    assert await engine.ping(30.0) > engine.loaded.num_weight_bytes


def test_threads_of_a_large_model_spin_and_those_of_a_small_one_sleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless who starts it wants it otherwise."""
    weights = tmp_path / "model.safetensors"
    for num_bytes, expected in ((LARGE_BYTES, SLEEP), (LARGE_BYTES + 1, SPIN)):
        with weights.open("wb") as file:
            file.truncate(num_bytes)  # takes no room on the disk
        environment = environment_of(tmp_path)
        (name,) = expected
        assert environment.items() >= expected.items()
        monkeypatch.setenv(name, "of its own")
        assert environment_of(tmp_path)[name] == "of its own"
        monkeypatch.delenv(name)
        assert len({*SLEEP, *SPIN} & environment.keys()) == 1
