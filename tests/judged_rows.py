"""Rows with a verdict that a test says."""

from collections.abc import Mapping

from guard_service.conversation import Conversation, Message, Role
from guard_service.evaluation.evaluation import Judged, Judgement
from guard_service.evaluation.labelled import LabelledRow


def judged(
    truth: bool,
    score: float,
    *,
    codes: tuple[str, ...] = (),
    found: Mapping[str, float] | None = None,
    role: Role = Role.USER,
    text: str = "x",
    lang: str = "",
    dataset: str = "",
    tags: tuple[str, ...] = (),
) -> Judged:
    """Unsafe from 0.5; with every category of `found` flagged, at its score."""
    conversation = Conversation((Message(role, text),))
    row = LabelledRow(conversation, truth, codes, lang=lang, dataset=dataset, tags=tags)
    scores = found or {}
    return Judged(row, Judgement(score, score >= 0.5, tuple(scores), scores))
