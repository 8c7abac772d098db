"""Unsafe text hidden in a long one, and texts made to be slow: all is read, and nothing waits."""

import asyncio
import os
import random
import statistics
from itertools import pairwise

import pytest
from conversations import conversation, policy
from length import length

from guard_service.conversation import Judge
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.view import read_views

STEP = 600  # characters between two planted texts
NUM_SHIFTS = length("SHIFTS", 4, full=600)  # all of STEP: every offset
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
NUM_CHARS = 60_000
PLANTED = "qwv zzkj {} xqp"  # words of no language, so that nothing else is taken for them
DISGUISED = PLANTED.replace("qwv", "q\u200bw\u200bv")


def read_texts(tokenizer: GuardTokenizer, text: str) -> list[str]:
    """What the model reads of a message, window by window, as written and cleaned."""
    views = read_views(conversation(text), Judge.LAST)
    prompts = [p for view in views for p in tokenizer.prompts(view.conversation, policy())[0]]
    return [tokenizer.decode(prompt.ids) for prompt in prompts]


@pytest.mark.parametrize("planted", [PLANTED, DISGUISED])
def test_planted_text_is_read_whole_wherever_it_stands(
    tiny_tokenizer: GuardTokenizer, planted: str
) -> None:
    draw = random.Random(SEED)
    words = ["hay", "wheat", "straw", "oats,", "barley\n", "and", "rye."]
    hay = " ".join(draw.choices(words, k=NUM_CHARS // 4))[:NUM_CHARS]
    for shift in draw.sample(range(STEP), NUM_SHIFTS):
        places = [0, *range(shift, NUM_CHARS + 1, STEP), NUM_CHARS]
        pieces = [hay[a:b] for a, b in pairwise(places)]
        marks = [f" {planted.format(number)} " for number in range(len(pieces))]
        text = "".join(piece for pair in zip(marks, pieces, strict=True) for piece in pair)
        read = " ".join(read_texts(tiny_tokenizer, text + planted.format("last")))
        missing = [n for n in [*range(len(pieces)), "last"] if PLANTED.format(n) not in read]
        assert not missing, (shift, missing)
    print(f"seed {SEED}: {NUM_SHIFTS} of {STEP} shifts, {NUM_SHIFTS * NUM_CHARS // STEP} offsets")


SLOW = {
    "tag characters": "\U000e0041" * 15_000,
    "no width": "a\u200b" * 15_000,
    "ligatures": "\ufdfa" * 20_000,
    "spaces": " " * 59_999 + "a",
    "look-alikes": "\u0430b " * 15_000,
    "piled marks": "a" + "\u0301" * 29_000,
    "delimiters": "<END " * 12_000,
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 3_300,
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW.keys())
async def test_the_event_loop_goes_on_while_a_hostile_text_is_made_ready(
    tiny_tokenizer: GuardTokenizer, text: str
) -> None:
    """Printed, and asserted only against standing still for as long as the work takes."""
    working = asyncio.create_task(asyncio.to_thread(read_texts, tiny_tokenizer, text))
    loop, lags_ms = asyncio.get_running_loop(), []
    while not working.done():
        due_s = loop.time() + 0.001
        await asyncio.sleep(0.001)
        lags_ms.append((loop.time() - due_s) * 1000)
    await working
    worst, middle = max(lags_ms, default=0.0), statistics.median(lags_ms or [0.0])
    print(f"{len(text.encode())} bytes: lag p50 {middle:.1f} ms, most {worst:.1f} ms")
    assert worst < 1000
