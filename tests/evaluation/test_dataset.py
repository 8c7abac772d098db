"""Rows as the authors of moderation data sets publish them, with texts of our own."""

from typing import Any

import pytest

from guard_service.errors import InvalidRequest
from guard_service.evaluation.dataset import Example, read_examples

WILDGUARD = {
    "prompt": "p",
    "adversarial": True,
    "response": "r",
    "prompt_harm_label": "harmful",
    "response_refusal_agreement": 1.0,
    "response_refusal_label": "refusal",
    "response_harm_label": "unharmful",
    "subcategory": "cyberattack",
    "prompt_harm_agreement": 1.0,
    "response_harm_agreement": 1.0,
}
AEGIS_2 = {
    "id": "1",
    "reconstruction_id_if_redacted": None,
    "prompt": "p",
    "response": "r",
    "prompt_label": "unsafe",
    "response_label": "safe",
    "violated_categories": "Violence, Guns and Illegal Weapons",
    "prompt_label_source": "human",
    "response_label_source": "llm_jury",
}
AEGIS_1 = {"text": "t", "text_type": "user_message", "num_annotations": 3}
TOXIC_CHAT = {
    "conv_id": "c",
    "user_input": "p",
    "model_output": "r",
    "human_annotation": "True",
    "toxicity": "1",
    "jailbreaking": "0",
    "openai_moderation": "[]",
}
HARM_BENCH = {
    "Behavior": "p",
    "FunctionalCategory": "contextual",
    "SemanticCategory": "illegal",
    "Tags": "",
    "ContextString": "c",
    "BehaviorID": "b",
}
XSTEST = {"id": "1", "prompt": "p", "type": "homonyms", "focus": "kill", "note": ""}


def found(row: dict[str, Any]) -> list[tuple[str, list[str], bool | None, tuple[str, ...]]]:
    return [
        (one.dataset, [message["content"] for message in one.messages], one.unsafe, one.tags)
        for one in read_examples(row)
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"prompt": "p", "S": 0, "H": 1, "V": None, "S3": 0, "V2": 1},
            [("openai-moderation", ["p"], True, ("H", "V2"))],
        ),
        ({"prompt": "p", "SH": 0.0}, [("openai-moderation", ["p"], False, ())]),
        (TOXIC_CHAT, [("toxic-chat", ["p"], True, ("human_annotation",))]),
        (XSTEST | {"label": "safe"}, [("xstest", ["p"], False, ("homonyms",))]),
        (XSTEST | {"type": "contrast_x"}, [("xstest", ["p"], True, ("contrast_x",))]),
        (
            {"prompt": "p", "response": "r", "label": "harmful", "prompt_type": "prompt_safe"},
            [("xstest-response", ["p", "r"], True, ("prompt_safe",))],
        ),
        (
            {"prompt": "p", "response": "r", "is_safe": False, "category": {"a": True, "b": False}},
            [("beaver-tails", ["p", "r"], True, ("a",))],
        ),
        (
            {
                "prompt": "p",
                "response_0": "r",
                "response_1": "s",
                "is_response_0_safe": True,
                "is_response_1_safe": False,
            },
            [("safe-rlhf", ["p", "r"], False, ()), ("safe-rlhf", ["p", "s"], True, ())],
        ),
        (
            HARM_BENCH,
            [("harm-bench", ["c\n\n---\n\np"], True, ("context", "contextual", "illegal"))],
        ),
        (
            HARM_BENCH | {"ContextString": "", "FunctionalCategory": "standard"},
            [("harm-bench", ["p"], True, ("no context", "standard", "illegal"))],
        ),
        (
            {"id": "1", "harm_area": "Scams", "category": "c", "prompt": "p"},
            [("simple-safety-tests", ["p"], True, ("Scams",))],
        ),
        (
            WILDGUARD,
            [
                ("wildguard-test", ["p"], True, ("adversarial", "cyberattack")),
                ("wildguard-test", ["p", "r"], False, ("adversarial", "cyberattack")),
            ],
        ),
        (
            WILDGUARD | {"response": None, "prompt_harm_label": None},
            [("wildguard-test", ["p"], None, ("adversarial", "cyberattack"))],
        ),
        (
            AEGIS_2,
            [
                ("aegis-2", ["p"], True, ("Violence", "Guns and Illegal Weapons")),
                ("aegis-2", ["p", "r"], False, ("Violence", "Guns and Illegal Weapons")),
            ],
        ),
        (
            AEGIS_1 | {"labels_0": "Safe", "labels_1": "Violence", "labels_2": "Needs Caution"},
            [("aegis-1", ["t"], True, ())],
        ),
        (
            AEGIS_1 | {"labels_0": "Safe", "labels_1": "Safe", "labels_2": "Violence"},
            [("aegis-1", ["t"], False, ())],
        ),
    ],
)
def test_a_data_set_is_known_by_its_columns(row: dict[str, Any], expected: object) -> None:
    assert found(row) == expected


def test_a_data_sets_language_is_kept() -> None:
    assert [one.lang for one in read_examples(WILDGUARD | {"language": "de"})] == ["de", "de"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "p", "answer": "a"}, "no data set that is known"),
        (TOXIC_CHAT | {"toxicity": "7"}, "toxicity: must be true or false"),
        (AEGIS_2 | {"prompt": "REDACTED"}, "redacted by the publisher"),
        (AEGIS_1 | {"text_type": "multi_turn", "labels_0": "Safe"}, "holds both sides"),
        (
            {"prompt": "p", "response": "r", "label": "refusal", "prompt_type": "x"},
            "is not a label of harm",
        ),
    ],
)
def test_a_row_without_a_label_that_is_one_is_refused(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        list(read_examples(row))


def test_our_own_rows_may_write_their_label_as_csv_does() -> None:
    (only,) = read_examples({"text": "t", "role": "user", "unsafe": "True"})
    assert only.unsafe is True
    assert "secret" not in repr(Example("secret", True))
