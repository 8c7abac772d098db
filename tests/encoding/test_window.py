from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from guard_service.encoding.window import Encoded, read_windows
from guard_service.prompt import Turn


def by_character(texts: Sequence[str]) -> list[Encoded]:
    """A tokenizer that makes one token of each character, so that windows can be read back."""
    return [
        Encoded(tuple(map(ord, text)), tuple((i, i + 1) for i in range(len(text))))
        for text in texts
    ]


def windows(turns: list[Turn], budget: int) -> tuple[list[str], object]:
    ids, coverage = read_windows(turns, by_character, budget)
    return ["".join(map(chr, window)) for window in ids], coverage


def test_what_fits_is_one_window_with_all_of_it() -> None:
    texts, coverage = windows([Turn("User", "abc"), Turn("Agent", "de")], 100)
    assert texts == ["User: abc\n\nAgent: de\n\n"]
    assert (coverage.judged_chars, coverage.total_chars, coverage.windows) == (5, 5, 1)
    assert coverage.is_complete


def test_exactly_the_budget_is_one_window() -> None:
    assert len(windows([Turn("User", "x" * 92)], 100)[0]) == 1
    assert len(windows([Turn("User", "x" * 93)], 100)[0]) == 2


def test_a_needle_at_every_place_of_a_long_message_is_in_some_window() -> None:
    needle = "needle"
    for place in range(1995):
        text = "x" * place + needle + "x" * (1995 - place)
        texts, coverage = windows([Turn("User", text)], 200)
        assert any(needle in window for window in texts), place
        assert coverage.is_complete


def test_context_is_the_newest_first_and_what_is_left_out_is_told() -> None:
    turns = [Turn("User", "old" * 50), Turn("Agent", "new"), Turn("User", "judged")]
    texts, coverage = windows(turns, 60)
    assert len(texts) == 1
    assert texts[0].endswith("Agent: new\n\nUser: judged\n\n")
    assert not coverage.is_complete
    assert coverage.total_chars == 159
    context = texts[0].removesuffix("Agent: new\n\nUser: judged\n\n")
    assert coverage.judged_chars == 9 + len(context.removeprefix("User: ").strip())


def test_every_window_of_a_long_message_has_the_newest_context() -> None:
    texts, _ = windows([Turn("User", "question"), Turn("Agent", "y" * 900)], 200)
    assert len(texts) > 5
    assert all("question" in window for window in texts)


sides = st.sampled_from(["User", "Agent"])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(sides, st.text(max_size=300)), min_size=1, max_size=6),
    st.integers(100, 400),
)
def test_no_window_is_over_budget_and_the_judged_turn_is_read_whole(
    pairs: list[tuple[str, str]], budget: int
) -> None:
    turns = [Turn(side, text.strip()) for side, text in pairs]
    ids, coverage = read_windows(turns, by_character, budget)
    assert all(0 < len(window) <= budget for window in ids)
    assert len(turns[-1].text) <= coverage.judged_chars <= coverage.total_chars
    assert coverage.windows == len(ids)


def test_pieces_cover_the_text_end_to_end() -> None:
    words = [f"word{n}" for n in range(400)]
    texts, _ = windows([Turn("User", " ".join(words))], 300)
    read = {word for window in texts for word in window.split()}
    assert read >= set(words)
