import pytest
from judged_rows import judged

from guard_service.errors import SettingsInvalid
from guard_service.evaluation.evaluation import Bootstrap, evaluate
from guard_service.evaluation.gate import broken, read_bounds

ROWS = evaluate([judged(True, 0.9), judged(False, 0.1), judged(False, 0.8)], Bootstrap(0))
SAFE = evaluate([judged(False, 0.1)], Bootstrap(0))


def problems(*, under: str = "", over: str = "", num_rejected: int = 0) -> tuple[str, ...]:
    bounds = read_bounds([under] if under else [], [over] if over else [])
    return broken(bounds, ROWS, num_rejected)


def test_bounds_that_are_kept_say_nothing() -> None:
    assert problems(under="recall=1", over="user.fpr=0.5") == ()
    assert problems(over="rejected=0") == ()


def test_a_bound_that_is_broken_says_by_what() -> None:
    assert problems(under="f1=0.7") == ("all.f1 >= 0.7: it is 0.6667",)
    assert problems(over="user.fpr=0.4") == ("user.fpr <= 0.4: it is 0.5",)
    assert problems(over="rejected=0", num_rejected=2) == ("all.rejected <= 0: it is 2",)


def test_a_figure_without_a_value_keeps_no_bound() -> None:
    assert broken(read_bounds(["recall=0"], []), SAFE, 0) == ("all.recall >= 0: it has no value",)
    assert broken(read_bounds([], ["auprc=1"]), SAFE, 0) == ("all.auprc <= 1: it has no value",)


@pytest.mark.parametrize("text", ["f1", "f1=", "f1=high", "f2=0.5", "=0.5", "f1>=0.5", "f1=1.2.3"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"bound is FIGURE=NUMBER|is not a number"):
        read_bounds([text], [])


def test_a_group_that_has_no_rows_keeps_no_bound() -> None:
    assert problems(under="assistant.f1=0") == ("assistant.f1 >= 0: it has no value",)


def test_a_group_may_have_dots_in_its_name() -> None:
    rows = evaluate([judged(True, 0.9, tags=("v1.2 final",))], Bootstrap(0))
    assert broken(read_bounds(["v1.2 final.recall=1"], []), rows, 0) == ()
