"""The fast replay says of every row what the path says of one."""

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_policies import CODES, policy, random_policy

from guard_service.decision import decide
from guard_service.errors import ScreeningRefused
from guard_service.policy import Action
from guard_service.screening.manifest import Terms
from guard_service.screening.replay import check_answerable, redecide
from guard_service.screening.row import row_schema
from guard_service.screening.subject import request_id
from guard_service.sign import TextSign
from guard_service.verdict import Reading, Verdict, read_verdict

TERMS = Terms((), (), "", "p", "1", "d", 0.5, CODES, "m", "d", "parquet")
# Powers of two, so that a score divided by its unsafe score gives the share back exactly.
SCORES = (0.125, 0.25, 0.5, 1.0)
SHARES = ((0.5, 0.25, 0.25), (0.25, 0.5, 0.25), (1.0, 0.0, 0.0), (0.0, 0.25, 0.75))


def random_reading(draw: random.Random) -> Reading:
    listed = tuple(draw.sample(CODES, draw.randrange(3)))
    return Reading(draw.choice(SCORES), 1.0, draw.choice(SHARES), listed)


def window(reading: Reading) -> dict[str, Any]:
    scores = [reading.unsafe_score * share for share in reading.first_scores]
    return {
        "unsafe_score": reading.unsafe_score,
        "scores": dict(zip(CODES, scores, strict=True)),
        "listed": list(reading.listed),
        "label_mass": reading.label_mass,
    }


def table_of(rows: list[tuple[list[Reading], set[TextSign], bytes]]) -> pa.Table:
    values = [
        window(readings[0])
        | {
            "other_windows": [window(reading) for reading in readings[1:]] or None,
            "signs": sorted(sign.value for sign in signs),
            "digest": digest,
        }
        for readings, signs, digest in rows
    ]
    names = ["unsafe_score", "scores", "listed", "label_mass", "other_windows", "signs", "digest"]
    schema = pa.schema([row_schema(CODES).field(name) for name in names])
    return pa.Table.from_pylist(values, schema=schema)


def flags(verdict: Verdict) -> list[bool]:
    return [score.is_flagged for score in verdict.categories]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_replay_decides_as_the_path_does(seed: int) -> None:
    draw = random.Random(seed)
    asked = random_policy(draw)
    rows = [
        (
            [random_reading(draw) for _ in range(draw.choice([1, 1, 2, 4]))],
            set(draw.sample([*TextSign], draw.randrange(3))),
            draw.randbytes(16),
        )
        for _ in range(draw.randrange(30))
    ]
    found = redecide(table_of(rows), asked)
    for number, (readings, signs, digest) in enumerate(rows):
        verdict = read_verdict(readings, asked)
        decision = decide(verdict, asked, request_id(digest, asked.digest), signs)
        assert found.blocks[number] == (decision.action is Action.BLOCK)
        assert found.needs_review[number] == decision.needs_review
        assert found.is_unsafe[number] == verdict.is_unsafe
        assert found.unsafe_scores[number] == verdict.unsafe_score
        assert found.flagged[:, number].tolist() == flags(verdict)
        assert found.scores[:, number].tolist() == [score.score for score in verdict.categories]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"categories": {code: {} for code in (*CODES, "S3")}}, "not asked for S3"),
        ({"categories": {"S1": {}, "S2": {}}}, "asked for S10 too"),
        ({"threshold": 0.4}, "from 0.5 upwards"),
    ],
)
def test_a_policy_that_the_readings_cannot_answer_is_refused(
    values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ScreeningRefused, match=problem):
        check_answerable(policy(**values), TERMS)


def test_a_policy_of_the_same_categories_is_answerable() -> None:
    check_answerable(policy(threshold=0.9), TERMS)
