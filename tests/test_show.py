from io import StringIO

from rich.console import Console

from guard_service import show
from guard_service.client import Moderation
from guard_service.client.answer import (
    Action,
    Assessment,
    CategoryScore,
    Coverage,
    Timings,
    Usage,
    Verdict,
)


def moderation(verdict: Verdict | None, action: Action, assessment: Assessment) -> Moderation:
    return Moderation(
        request_id="r",
        action=action,
        review=True,
        review_item_id="i",
        assessment=assessment,
        verdict=verdict,
        coverage=Coverage(1, 1, 1),
        usage=Usage(1, 1),
        timings=Timings(1, 1, 1, 1),
        policy="p",
        policy_version="1",
        model="m",
    )


def shown(result: Moderation) -> str:
    out = StringIO()
    show.moderation(Console(file=out, width=80), result)
    return out.getvalue()


def test_a_verdict_shows_its_action_score_and_flagged_categories() -> None:
    categories = (
        CategoryScore("S1", "Violent Crimes", 0.7, True),
        CategoryScore("S2", "x", 0, False),
    )
    text = shown(
        moderation(Verdict(True, 0.91, 1.0, categories), Action.BLOCK, Assessment.COMPLETE)
    )
    assert "BLOCK" in text
    assert "people will look" in text
    assert "0.910" in text
    assert "S1 Violent Crimes" in text
    assert "S2" not in text


def test_without_a_verdict_it_says_so() -> None:
    text = shown(moderation(None, Action.ALLOW, Assessment.UNAVAILABLE))
    assert "ALLOW" in text
    assert "no verdict" in text
