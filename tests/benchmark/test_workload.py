import json
import random
from pathlib import Path

import pytest

from guard_service.benchmark.workload import (
    WORKLOADS,
    Workload,
    build_conversations,
    draw_rows,
)
from guard_service.conversation import Limits, Role, check_conversation
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.prompt import turns


def count(text: str) -> int:
    return len(text.split())


def length(workload: Workload, num: int) -> list[int]:
    rng = random.Random(3)
    return [workload.length(rng) for _ in range(num)]


@pytest.mark.parametrize("name", ["W100", "W300"])
def test_conversations_have_the_length_of_their_workload_in_the_models_own_tokens(
    name: str, tiny_tokenizer: GuardTokenizer
) -> None:
    def tokens(text: str) -> int:
        return len(tiny_tokenizer.encode([text])[0].ids)

    for one in build_conversations(WORKLOADS[name], 8, tokens):
        num = sum(tokens(turn.prompt_text) for turn in turns(one))
        assert WORKLOADS[name].tokens - 4 <= num <= WORKLOADS[name].tokens


def test_a_seed_gives_the_same_conversations_and_another_one_others() -> None:
    first, again, other = (build_conversations(WORKLOADS["W100"], 5, count, s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_both_sides_are_judged_and_every_conversation_is_one_that_we_accept() -> None:
    built = build_conversations(WORKLOADS["Wmix"], 40, count)
    assert {one.judged.role for one in built} == {Role.USER, Role.ASSISTANT}
    for one in built:
        check_conversation(one, Limits())


def test_mixed_lengths_spread_around_their_median_and_keep_their_bounds() -> None:
    lengths = sorted(length(WORKLOADS["Wmix"], 2001))
    assert 20 <= lengths[0] < 40
    assert 130 <= lengths[1000] <= 170
    assert 1000 < lengths[-1] <= 2000
    assert length(WORKLOADS["W100"], 3) == [100, 100, 100]


def test_labelled_rows_are_drawn_with_the_share_that_is_wanted(tmp_path: Path) -> None:
    rows = [{"text": f"row {n}", "role": "user", "unsafe": n % 2 == 0} for n in range(10)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = draw_rows(file, 50, unsafe_share=0.1)
    unsafe = [one for one in drawn if int(one.judged.content.split()[1]) % 2 == 0]
    assert (len(drawn), len(unsafe)) == (50, 5)
