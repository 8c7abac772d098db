"""A race of two peers with the checkpoint in between, and what is made of their answers."""

from pathlib import Path

import pytest
from benchmarks.environment import Environment
from benchmarks.peers import ENTRIES, compare_all, markdown, read_answers, status
from benchmarks.racing import Answer, Entry, Result, Runner, compare, race
from benchmarks.runners.protocol import Work, until_stop

from guard_service.encoding.tokenizer import GuardTokenizer

SAFE, UNSAFE = Answer(False, frozenset(), 0.1), Answer(True, frozenset({"S2"}), 0.9)


@pytest.fixture
def work(guard_tiny: Path, tiny_tokenizer: GuardTokenizer) -> Work:
    return Work(
        folder=str(guard_tiny),
        dtype="float32",
        device="cpu",
        num_threads=1,
        prompts=[],
        num_prefix=[],
        codes=["S1", "S2", "S10"],
        messages=[],
        stop_ids=[tiny_tokenizer.control_id("<|eot_id|>")],
        options={},
    )


def result(name: str, *answers: Answer, seconds: tuple[float, ...] = (1.0, 2.0, 4.0)) -> Result:
    return Result(Entry(name, "", "", {}), "1", 0.5, seconds, answers)


def test_a_verdict_that_rounding_may_tip_is_not_wrong() -> None:
    near = Answer(False, frozenset(), 0.49)
    compared = compare([UNSAFE, UNSAFE, UNSAFE], [UNSAFE, near, SAFE], band=0.02)
    assert (compared.num_verdicts_equal, compared.num_verdicts_outside) == (1, 1)
    assert compared.num_answers_equal == 1


def test_a_wrong_verdict_fails_the_race_and_a_missing_peer_does_not() -> None:
    ours, missing = result("ours", SAFE), Result(Entry("vllm", "", "", {}), problem="no wheel")
    for other, expected in ((SAFE, 0), (UNSAFE, 1)):
        results = [ours, result("generate, one by one", other), missing]
        compared = compare_all(results, 0.02)
        assert status(results, compared) == expected
    assert "not measured: no wheel" in markdown(results, compared, "title")


def test_without_ours_a_race_proves_nothing() -> None:
    results = [result("generate, one by one", SAFE)]
    assert status(results, compare_all(results, 0.02)) == 1


def test_rates_are_medians_and_ratios_to_the_cards_loop() -> None:
    results = [
        result("ours", *[SAFE] * 4, seconds=(1.0, 1.0, 9.0)),
        result("generate, one by one", *[SAFE] * 4, seconds=(8.0, 8.0, 1.0)),
    ]
    text = markdown(results, compare_all(results, 0.02), "title")
    assert "| ours (1) | 4.00 | 0.44 to 4.00 | 8.00x | 1.00x |" in text


def test_written_ids_and_our_readings_become_the_same_answer(
    work: Work, tiny_tokenizer: GuardTokenizer
) -> None:
    answer = tiny_tokenizer.answer
    start = [answer.unsafe, answer.newline, answer.first_s, answer.numbers["S10"]]
    ids = [*start, answer.next_s, answer.numbers["S2"]]
    ours = {"score": 0.8, "codes": ["S2", "S10"]}
    written, read, safe = read_answers([ids, ours, [answer.safe]], tiny_tokenizer, work)
    assert (written.is_unsafe, written.codes) == (read.is_unsafe, read.codes)
    assert written.codes == {"S2", "S10"}
    assert not safe.is_unsafe


def test_an_answer_ends_before_its_first_stop() -> None:
    assert until_stop([5, 9, 5], [9, 8]) == [5]
    assert until_stop([5, 6], [9]) == [5, 6]


def test_a_peer_that_dies_is_left_out_with_its_status(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies.py").write_text("import sys; sys.stdin.readline(); sys.exit(7)")
    monkeypatch.setattr("benchmarks.racing.RUNNERS", tmp_path)
    runner = Runner(Entry("dies", "dies.py", "", {}), work, tmp_path / "log")
    race([runner], rounds=2)
    runner.close()
    assert runner.result([]).problem == "its process ended with status 7"


def test_a_peer_that_cannot_be_installed_is_left_out_with_the_reason(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "benchmarks.racing.environment", lambda _: Environment(tmp_path, "no such wheel")
    )
    runner = Runner(ENTRIES["vLLM CPU, prefix cache"], work, tmp_path / "log")
    race([runner], rounds=1)
    assert runner.result([]).problem == "no such wheel"
