import pytest
from judged_rows import judged

from guard_service.config import Settings
from guard_service.errors import SettingsInvalid
from guard_service.evaluation.dataset import LAYOUTS
from guard_service.evaluation.evaluation import Bootstrap, Judged
from guard_service.evaluation.expected import (
    Agreement,
    Beyond,
    Expected,
    Figure,
    check,
    departure_of,
    read_expected,
)
from guard_service.evaluation.figures import FIGURES
from guard_service.policy import Policy
from guard_service.startup import load_policies

FIGURE = Figure("toxic-chat", "user", 100, "f1", 0.6, 0.62, "somebody", tag="human")


def expected(figure: Figure = FIGURE) -> Expected:
    return Expected("large", 0.01, (figure,), (Beyond("their own", "not public"),))


def rows(num: int, num_right: int, tags: tuple[str, ...] = ("human",)) -> list[Judged]:
    """Unsafe rows, of which some are found: F1 is 2 right / (right + all)."""
    return [
        judged(True, 0.9 if n < num_right else 0.1, dataset="toxic-chat", tags=tags)
        for n in range(num)
    ]


def agreement(given: list[Judged], departure: str = "") -> tuple[Agreement, str]:
    finding, _ = check(expected(), given, Bootstrap(200), departure)
    return finding.agreement, finding.detail


def test_an_interval_that_overlaps_the_published_range_agrees() -> None:
    assert agreement(rows(100, 44))[0] is Agreement.AGREES


def test_an_interval_apart_from_the_published_range_differs_and_says_by_what() -> None:
    found, detail = agreement(rows(100, 90))
    assert found is Agreement.DIFFERS
    assert detail.startswith("0.947 (0.9")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (rows(100, 44, tags=()), "no such rows"),
        (rows(50, 22), "50 rows, the published figure is of 100"),
    ],
)
def test_other_rows_are_not_compared(given: list[Judged], why: str) -> None:
    found, detail = agreement(given)
    assert found is Agreement.NOT_COMPARED
    assert why in detail


def test_verdicts_by_another_policy_are_not_compared() -> None:
    assert agreement(rows(100, 44), "policy p") == (Agreement.NOT_COMPARED, "policy p")


def test_what_nobody_can_compare_is_told_with_its_reason() -> None:
    *_, last = check(expected(), rows(100, 44), Bootstrap(0))
    assert (last.what, last.agreement, last.detail) == (
        "their own",
        Agreement.NOT_COMPARED,
        "not public",
    )


def test_published_figures_are_of_layouts_and_figures_that_there_are() -> None:
    published = read_expected("llama-guard-3-8b")
    assert {f.dataset for f in published.figures} <= {layout.dataset for layout in LAYOUTS}
    assert {f.figure for f in published.figures} <= set(FIGURES)
    assert all(0 < f.low <= f.high < 1 for f in published.figures)
    assert published.beyond


def test_a_model_of_which_nothing_is_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(SettingsInvalid, match="only of llama-guard-3-8b"):
        read_expected("guard-tiny")


def test_only_the_models_own_verdict_is_what_was_published() -> None:
    default = load_policies(Settings())["default"]
    strict = Policy.model_validate({**default.model_dump(by_alias=True), "threshold": 0.3})
    few = Policy.model_validate({"id": "few", "version": "1", "categories": {"S1": {}}})
    assert departure_of(default) == ""
    assert "thresholds of its own" in departure_of(strict)
    assert "does not ask for S1 to S14" in departure_of(few)
