"""The fast read-out against the slow reference, on random weights and on guard-tiny."""

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from checkpoints import save_random_llama
from conversations import assistant, conversation, policy
from known import HARM, HARMLESS
from reference import Reference
from shared_data import SHARED
from torch import Tensor
from transformers import AutoModelForCausalLM

from guard_service.conversation import Conversation, Message, Role
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.kernels import find_kernels
from guard_service.engine.llama_guard import LlamaGuard
from guard_service.engine.message import Batch, Load, Piece
from guard_service.engine.worker import load_guard
from guard_service.prompt import Prompt
from guard_service.screening.messages import read_conversation
from guard_service.verdict import Reading

NUM_ROWS = 1000
BAND = 0.02  # around the threshold, where rounding may tip a verdict


def load(folder: Path) -> LlamaGuard:
    return load_guard(Load(folder, "cpu", "float32", None))[0]


def load_changed(folder: Path, change: Callable[[Tensor], None]) -> LlamaGuard:
    """With another head."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        change(model.lm_head.weight)
    kernels = find_kernels("float32", model)
    return LlamaGuard(model, kernels, GuardTokenizer.from_folder(folder))


@pytest.fixture(scope="module")
def tiny(guard_tiny: Path) -> LlamaGuard:
    return load(guard_tiny)


def prompt_of(tokenizer: GuardTokenizer, judged: Conversation, **values: object) -> Prompt:
    return tokenizer.prompts(judged, policy(**values))[0][0]


def lengths(tokenizer: GuardTokenizer) -> list[Prompt]:
    """Prompts of many lengths and both sides, in no order."""
    texts = ["word " * n for n in (1, 90, 3, 40, 7, 25)]
    judged = [conversation(text) for text in texts]
    judged += [conversation("question", assistant(text)) for text in texts]
    return [prompt_of(tokenizer, one) for one in judged]


SCALED = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}
BIASED = {"attention_bias": True, "mlp_bias": True}
WIDE_HEADS = {"head_dim": 16, "initializer_range": 0.3}


@pytest.mark.parametrize(
    "config", [{}, {"rope_scaling": SCALED}, {"num_key_value_heads": 4}, BIASED, WIDE_HEADS]
)
def test_random_checkpoints_read_as_the_reference_reads_them(
    tmp_path: Path, config: dict[str, object]
) -> None:
    folder = save_random_llama(tmp_path, **config)
    prompts = lengths(GuardTokenizer.from_folder(folder))
    reference = Reference(folder)
    for prompt, reading in zip(prompts, load(folder).read(prompts), strict=True):
        expected = reference.read(prompt)
        assert reading.unsafe_score == pytest.approx(expected.unsafe_score, abs=1e-4)
        assert reading.label_mass == pytest.approx(expected.label_mass, rel=1e-3)
        assert sum(reading.first_scores) == pytest.approx(1, abs=1e-5)


def cut(key: int, prompt: Prompt, *places: int) -> list[Piece]:
    """The prompt in pieces that begin at `places`."""
    bounds = [0, *places, len(prompt.ids)]
    return [
        Piece(key, prompt.prefix, prompt.ids[start:end], end == bounds[-1], prompt.list_above)
        for start, end in pairwise(bounds)
    ]


@pytest.mark.parametrize("places", [(1,), (1, 2, 3), (40,), (-1,), (10, -2, -1)])
def test_a_prompt_in_pieces_reads_as_the_whole(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer, places: tuple[int, ...]
) -> None:
    others = lengths(tiny_tokenizer)[:3]
    judged = prompt_of(tiny_tokenizer, conversation(HARM + " and " * 50), threshold=1e-6)
    (whole,) = tiny.read([judged])
    places = tuple(place % len(judged.ids) for place in places)
    *earlier, last = cut(7, judged, *places)
    for number, piece in enumerate(earlier):
        company = Piece.whole(100 + number, others[number % 3])
        assert len(tiny.read_batch(Batch((piece, company)))) == 1
    assert tiny.num_kept == 1
    reading = tiny.read_batch(Batch((Piece.whole(99, others[0]), last)))[7]
    assert reading.unsafe_score == pytest.approx(whole.unsafe_score, abs=1e-4)
    assert reading.first_scores == pytest.approx(whole.first_scores, abs=1e-4)
    assert reading.listed == whole.listed != ()
    assert tiny.num_kept == 0


def test_what_is_forgotten_is_kept_no_longer(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    prompts = lengths(tiny_tokenizer)[:2]
    first = [cut(number, prompt, 5)[0] for number, prompt in enumerate(prompts)]
    assert tiny.read_batch(Batch(tuple(first))) == {}
    assert tiny.num_kept == 2
    tiny.read_batch(Batch((Piece.whole(9, prompts[0]),), forgotten=(0, 1, 1234)))
    assert tiny.num_kept == 0


def test_a_pass_that_fails_changes_nothing_that_is_kept(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    judged = prompt_of(tiny_tokenizer, conversation(HARM))
    (whole,) = tiny.read([judged])
    first, last = cut(3, judged, 8)
    tiny.read_batch(Batch((first,)))
    broken = Piece(4, judged.prefix, (10**9,))
    with pytest.raises(IndexError):
        tiny.submit(Batch((last, broken), forgotten=(3,)))
    reading = tiny.read_batch(Batch((last,)))[3]
    assert reading.unsafe_score == pytest.approx(whole.unsafe_score, abs=1e-4)


def test_safe_prompts_take_one_pass_and_no_decoding(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    before = tiny.num_decode_passes
    assert tiny.read([prompt_of(tiny_tokenizer, conversation(HARMLESS))] * 20)[0].listed == ()
    assert tiny.num_decode_passes == before
    assert tiny.read([prompt_of(tiny_tokenizer, conversation(HARM))] * 20)[0].listed
    assert tiny.num_decode_passes > before


def test_lists_ride_in_the_passes_of_others_and_come_out_the_same(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    unsafe = [prompt_of(tiny_tokenizer, conversation(f"{HARM} {n}")) for n in range(4)]
    safe = prompt_of(tiny_tokenizer, conversation(HARMLESS))
    expected, before = tiny.read(unsafe), tiny.num_decode_passes
    found: dict[int, Reading] = {}
    for number, prompt in enumerate([*unsafe, *[safe] * 14]):
        batch = Batch((Piece.whole(number, prompt),))
        found |= tiny.collect(tiny.submit(batch), is_followed=True)
    assert tiny.num_decode_passes == before
    assert {number for number in found if number < 4} == set(range(4))
    for number, reading in enumerate(expected):
        assert found[number].listed == reading.listed != ()
        assert found[number].unsafe_score == pytest.approx(reading.unsafe_score, abs=1e-4)


def test_nothing_rides_in_a_pass_that_goes_alone(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    unsafe, safe = (
        Piece.whole(n, prompt_of(tiny_tokenizer, conversation(text)))
        for n, text in enumerate((HARM, HARMLESS))
    )
    assert tiny.collect(tiny.submit(Batch((unsafe,))), is_followed=True) == []
    alone = tiny.submit(Batch((safe,), is_alone=True))
    assert [key for key, _ in tiny.collect(alone, is_followed=True)] == [1]
    assert list(tiny.read_batch(Batch(()))) == [0]


def test_bfloat16_reads_nearly_what_float32_reads(
    guard_tiny: Path, tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    narrow = load_guard(Load(guard_tiny, "cpu", "bfloat16", None))[0]
    sample = random.Random(2).sample(list(rows(guard_tiny)), 100)
    prompts = [prompt_of(tiny_tokenizer, judged) for judged in sample]
    exact = [reading.unsafe_score for reading in tiny.read(prompts)]
    rounded = [reading.unsafe_score for reading in narrow.read(prompts)]
    assert len(set(rounded)) > len(prompts) / 2  # logits are not left in steps of 0.25
    errors = [abs(one - other) for one, other in zip(exact, rounded, strict=True)]
    assert sum(errors) / len(errors) < 0.005, (sum(errors) / len(errors), max(errors))
    assert max(errors) < 0.03, max(errors)


def test_a_prompt_reads_the_same_alone_and_in_any_company(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    prompts = lengths(tiny_tokenizer)
    alone = [tiny.read([prompt])[0] for prompt in prompts]
    for seed in range(5):
        order = list(range(len(prompts)))
        random.Random(seed).shuffle(order)
        together = tiny.read([prompts[place] for place in order])
        for place, reading in zip(order, together, strict=True):
            assert reading.unsafe_score == pytest.approx(alone[place].unsafe_score, abs=1e-4)
            assert reading.listed == alone[place].listed


def test_policies_with_other_categories_share_a_batch_and_keep_their_codes(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    judged = conversation(HARM)
    few = {"S2": {}, "S10": {}}
    prompts = [
        prompt_of(tiny_tokenizer, judged),
        prompt_of(tiny_tokenizer, judged, categories=few, threshold=0.01),
    ]
    whole, part = tiny.read(prompts)
    assert (len(whole.first_scores), len(part.first_scores)) == (14, 2)
    assert set(part.listed) <= set(few)
    assert part.listed


def test_a_prefix_is_computed_once_for_each_policy_and_side(
    guard_tiny: Path, tiny_tokenizer: GuardTokenizer
) -> None:
    guard = load(guard_tiny)
    for _ in range(3):
        guard.read(lengths(tiny_tokenizer))
    assert len(guard.prefixes) == 2


def test_below_list_above_nothing_is_listed(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    judged = conversation(HARMLESS)
    assert tiny.read([prompt_of(tiny_tokenizer, judged)])[0].listed == ()
    forced = prompt_of(tiny_tokenizer, judged, threshold=1e-6)
    assert len(tiny.read([forced])[0].listed) >= 1


def test_a_score_that_is_just_enough_for_a_list_has_its_draft_accepted(
    tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    prompt = prompt_of(tiny_tokenizer, conversation(HARM))
    reading = tiny.read([prompt])[0]
    for score in (reading.unsafe_score, math.nextafter(reading.unsafe_score, 2)):
        before = tiny.num_decode_passes
        (at,) = tiny.read([replace(prompt, list_above=score)])
        is_reached = score == reading.unsafe_score
        assert at.listed == (reading.listed if is_reached else ())
        assert tiny.num_decode_passes - before == (len(reading.listed) if is_reached else 0)


def test_where_the_draft_is_not_what_the_model_would_write_it_writes_itself(
    guard_tiny: Path, tiny_tokenizer: GuardTokenizer
) -> None:
    """A model that leaves out the line break after `unsafe` still gets its list read."""

    def forbid_newline(head: Tensor) -> None:
        head[tiny_tokenizer.answer.newline] *= -10

    guard = load_changed(guard_tiny, forbid_newline)
    judged = conversation(HARM)
    (reading,) = guard.read([prompt_of(tiny_tokenizer, judged)])
    assert reading.unsafe_score > 0.5
    assert set(reading.listed) <= {f"S{n}" for n in range(1, 15)}


def rows(guard_tiny: Path) -> Iterator[Conversation]:
    """Real rows: the labelled data beside the checkout where it is, and our own contrast pairs."""
    files = [*sorted((SHARED / "data").glob("*.jsonl")), guard_tiny / "contrast.jsonl"]
    for path in files:
        if path.name.startswith("chatlog"):
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if "messages" in row:
                yield read_conversation(row["messages"])
            else:
                yield Conversation((Message(Role(row["role"]), row["text"]),))


def test_a_thousand_real_rows_read_as_the_reference_reads_them(
    guard_tiny: Path, tiny: LlamaGuard, tiny_tokenizer: GuardTokenizer
) -> None:
    """Same verdict and list outside the band, scores within 0.01."""
    sample = random.Random(0).sample(list(rows(guard_tiny)), NUM_ROWS)
    prompts = [prompt_of(tiny_tokenizer, judged) for judged in sample]
    readings = [r for at in range(0, NUM_ROWS, 40) for r in tiny.read(prompts[at : at + 40])]
    reference = Reference(guard_tiny)
    num_unsafe = num_written = 0
    for prompt, reading in zip(prompts, readings, strict=True):
        expected = reference.read(prompt)
        assert reading.unsafe_score == pytest.approx(expected.unsafe_score, abs=0.01)
        assert reading.label_mass == pytest.approx(expected.label_mass, abs=0.01)
        if abs(expected.unsafe_score - 0.5) <= BAND:
            continue
        assert (reading.unsafe_score >= 0.5) == expected.is_unsafe
        assert not expected.is_unsafe or reading.listed == expected.listed
        if expected.first_scores:
            assert reading.first_scores == pytest.approx(expected.first_scores, abs=0.01)
        num_unsafe += expected.is_unsafe
        whole = f"unsafe\n{','.join(reading.listed)}<|eot_id|>"
        num_written += expected.is_unsafe and expected.written == whole
    assert num_unsafe > NUM_ROWS // 10  # else the lists were hardly compared
    # What the model writes freely is the same answer, but for a rare slip out of the format.
    assert num_written >= 0.99 * num_unsafe


def test_long_lists_read_as_the_reference_reads_them(
    guard_tiny: Path, tiny_tokenizer: GuardTokenizer
) -> None:
    """guard-tiny rarely lists two categories, so here it is made undecided between `,S` and end."""

    def blur_the_end(head: Tensor) -> None:
        noise = torch.randn(head.shape[1], generator=torch.manual_seed(0))
        end = head[tiny_tokenizer.control_id("<|eot_id|>")]
        head[tiny_tokenizer.answer.next_s] = end + 0.3 * noise

    guard, reference = load_changed(guard_tiny, blur_the_end), Reference(guard_tiny)
    with torch.no_grad():
        blur_the_end(reference.model.lm_head.weight)
    sample = random.Random(1).sample(list(rows(guard_tiny)), 150)
    prompts = [prompt_of(tiny_tokenizer, judged) for judged in sample]
    prompts = [p for p, r in zip(prompts, guard.read(prompts), strict=True) if r.listed]
    readings = guard.read(prompts)
    assert [r.listed for r in readings] == [reference.read(p).listed for p in prompts]
    lengths = {len(reading.listed) for reading in readings}
    assert 1 in lengths
    assert len(lengths) > 2
