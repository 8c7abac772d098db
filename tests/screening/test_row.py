"""A judgement as a row: every number that a decision is made of, in its column."""

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
from screened_items import items
from scripted_judge import CODES, JUDGED, judgement

from guard_service.conversation import Conversation, Message, Role
from guard_service.screening.row import row_schema, table_of
from guard_service.screening.subject import Place
from guard_service.screening.transcript import Origin
from guard_service.verdict import Reading

(ITEM,) = items("a secret question")
JUDGEMENT = replace(
    judgement(ITEM),
    action="block",
    codes=("S2", "S1"),
    worst=Reading(0.75, 0.999, tuple(n / 12 for n in range(14)), ("S2",)),
    signs=("hidden",),
    judged_chars=90,
)


def test_a_row_holds_what_was_judged_where_it_stood_and_who_judged() -> None:
    answer = Conversation((*ITEM.conversation.messages, Message(Role.ASSISTANT, "an answer")))
    origin = Origin("id-1", 1_700_000_000, "u-7", "small-model")
    item = replace(
        ITEM, place=Place("b.jsonl", 9), message=1, choice=2, conversation=answer, origin=origin
    )
    (row,) = table_of([(item, JUDGEMENT)], JUDGED).to_pylist()
    assert row == {
        "file": "b.jsonl",
        "line": 9,
        "message": 1,
        "choice": 2,
        "role": "assistant",
        "id": "id-1",
        "time": datetime.fromtimestamp(1_700_000_000, UTC),
        "user": "u-7",
        "log_model": "small-model",
        "digest": item.digest,
        "action": "block",
        "review": JUDGEMENT.needs_review,
        "unsafe": JUDGEMENT.is_unsafe,
        "categories": ["S2", "S1"],
        "unsafe_score": 0.75,
        "scores": {code: 0.75 * (n / 12) for n, code in enumerate(CODES)},
        "listed": ["S2"],
        "label_mass": 0.999,
        "other_windows": None,
        "assessment": "complete",
        "judged_chars": 90,
        "total_chars": 100,
        "signs": ["hidden"],
        "policy": JUDGED.policy,
        "policy_version": JUDGED.policy_version,
        "policy_digest": JUDGED.policy_digest,
        "model": JUDGED.model,
        "model_digest": JUDGED.model_digest,
    }


def test_windows_beside_the_worst_are_kept_whole_and_in_order() -> None:
    others = tuple(Reading(n / 8, 0.5, (n / 6,) * 14, ("S3",) * n) for n in (3, 0))
    table = table_of([(ITEM, JUDGEMENT), (ITEM, replace(JUDGEMENT, others=others))], JUDGED)
    none, both = table["other_windows"].to_pylist()
    assert none is None
    assert [window["unsafe_score"] for window in both] == [0.375, 0.0]
    assert [window["listed"] for window in both] == [["S3"] * 3, []]
    assert both[0]["scores"] == dict.fromkeys(CODES, 0.375 * 0.5)


def test_parts_with_and_without_rows_can_be_read_as_one_table() -> None:
    empty, full = table_of([], JUDGED), table_of([(ITEM, JUDGEMENT)] * 3, JUDGED)
    assert empty.schema == full.schema == row_schema(CODES)
    assert (len(empty), len(full), len(pa.concat_tables([empty, full]))) == (0, 3, 3)


def test_what_the_log_does_not_say_is_empty() -> None:
    (row,) = table_of([(replace(ITEM, origin=Origin()), JUDGEMENT)], JUDGED).to_pylist()
    assert (row["id"], row["time"], row["user"], row["log_model"]) == ("", None, "", "")
