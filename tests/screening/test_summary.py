"""What is counted part by part is what counting rows one by one gives."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from screened_rows import Row, random_row, write_output

from guard_service.screening.counts import Counts
from guard_service.screening.summary import NUM_BINS, summarize

NUM_PARTS = 7


def counted(rows: Iterable[Row], name: Callable[[Row], str]) -> dict[str, Counts]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(name(row), []).append(row)
    return {key: counts(group) for key, group in sorted(groups.items()) if key}


def counts(rows: list[Row]) -> Counts:
    return Counts(
        len(rows),
        sum(row["unsafe"] for row in rows),
        sum(row["action"] == "block" for row in rows),
        sum(row["review"] for row in rows),
    )


def bins(scores: Iterable[float]) -> tuple[int, ...]:
    numbers = Counter(min(int(score * NUM_BINS), NUM_BINS - 1) for score in scores)
    return tuple(numbers[n] for n in range(NUM_BINS))


def day(row: Row) -> str:
    return row["time"].date().isoformat() if row["time"] else ""


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
@pytest.mark.parametrize("seed", range(4))
def test_every_figure_equals_brute_force(tmp_path: Path, seed: int, format: str) -> None:
    draw = random.Random(seed)
    sizes = [draw.randrange(60) for _ in range(NUM_PARTS - 1)]
    parts = [[random_row(draw, n) for n in range(size)] for size in [0, *sizes]]
    rows = [row for part in parts for row in part]
    gaps = [{"reason": draw.choice(("blank", "not JSON"))} for _ in range(30)]
    found = summarize(write_output(tmp_path / "out", parts, gaps, format), 2, 3)
    assert found.total == counts(rows)
    assert found.by_role == counted(rows, lambda row: row["role"])
    assert found.by_day == counted(rows, day)
    by_user = counted(rows, lambda row: row["user"])
    ranked = sorted(by_user, key=lambda n: (-by_user[n].num_unsafe, -by_user[n].num_rows, n))
    assert list(found.by_user.first.items()) == [(name, by_user[name]) for name in ranked[:2]]
    assert found.by_user.num_names == len(by_user)
    assert dict(found.by_model.first) == counted(rows, lambda row: row["log_model"])
    assert found.scores == bins(row["unsafe_score"] for row in rows)
    blocked = [row for row in rows if row["action"] == "block"]
    assert found.blocked_scores == bins(row["unsafe_score"] for row in blocked)
    for code, category in found.by_category.items():
        assert category.num_flagged == sum(code in row["categories"] for row in rows)
        assert category.num_blocked == sum(code in row["categories"] for row in blocked)
        assert category.scores == bins(row["scores"][code] for row in rows)
    assert found.coverage.num_partial == sum(row["assessment"] == "partial" for row in rows)
    assert found.coverage.judged_chars == sum(row["judged_chars"] for row in rows)
    assert found.signs == Counter(sign for row in rows for sign in row["signs"])
    reasons = {name: each.num_rows for name, each in found.reasons.first.items()}
    assert reasons == Counter(gap["reason"] for gap in gaps)


def test_examples_are_the_highest_scores_and_no_conversation_twice(tmp_path: Path) -> None:
    draw = random.Random(5)
    parts = [[random_row(draw, n) for n in range(50)] for _ in range(NUM_PARTS)]
    found = summarize(write_output(tmp_path / "out", parts), 2, 3)
    rows = [row for part in parts for row in part]
    for code in found.terms.codes:
        flagged = sorted(
            (row for row in rows if code in row["categories"]), key=lambda r: -r["scores"][code]
        )
        distinct = list({row["digest"].hex(): row for row in reversed(flagged)})[::-1][:3]
        ours = [each for each in found.examples if each.kind == code]
        best = {row["digest"].hex(): row["scores"][code] for row in reversed(flagged)}
        assert [each.rank for each in ours] == [best[digest] for digest in distinct]
        assert {each.digest for each in ours} <= set(best)
        assert len({each.digest for each in ours}) == len(ours)
    near = [each for each in found.examples if not each.kind]
    assert (
        max(-each.rank for each in near)
        <= sorted(
            abs(row["unsafe_score"] - 0.6) for row in {row["digest"]: row for row in rows}.values()
        )[2]
    )


def test_what_a_run_under_way_has_not_published_is_not_counted(tmp_path: Path) -> None:
    draw = random.Random(1)
    out = write_output(tmp_path / "out", [[random_row(draw, 0)]], [{"reason": "blank"}])
    with (out / "_screening" / "rejects.jsonl").open("ab") as file:
        file.write(b'{"reason": "half a li')
    assert summarize(out, 1, 1).reasons.first["blank"].num_rows == 1
