"""One evaluation in order: read the rows, judge them, measure, compare, hold against bounds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guard_service.config import Settings
from guard_service.conversation import Conversation
from guard_service.errors import InvalidRequest, Violation
from guard_service.evaluation.comparison import Comparison, compare
from guard_service.evaluation.evaluation import Bootstrap, Judged
from guard_service.evaluation.expected import Expected, Finding, check, departure_of
from guard_service.evaluation.gate import Bound, broken
from guard_service.evaluation.judge import open_judge
from guard_service.evaluation.labelled import LabelledRow, Rejected, read_labelled, with_language
from guard_service.evaluation.readings import Readings, load_readings, match
from guard_service.evaluation.report import Part, Report, make_part

Rows = Mapping[str, Sequence[LabelledRow | Rejected]]


@dataclass(frozen=True, slots=True)
class Plan:
    files: Sequence[Path]
    bootstrap: Bootstrap
    policy: str = ""
    readings: Path | None = None  # instead of a model
    against: str = ""  # a file of readings, the id of a policy, or a model
    expected: Expected | None = None
    bounds: Sequence[Bound] = ()
    on_read: Callable[[int], object] = lambda _: None  # told how many there are, once for each


@dataclass(frozen=True, slots=True)
class Done:
    report: Report
    readings: Readings
    judged: Sequence[Judged]


@dataclass(frozen=True, slots=True)
class _Sides:
    ours: Readings
    theirs: Readings | None
    departure: str = ""  # why ours are not the model's own verdicts


async def carry_out(plan: Plan, settings: Settings) -> Done:
    """InvalidRequest where a file cannot be opened, or none of its rows can be evaluated."""
    rows = _read(plan.files)
    sides = await _judge(plan, settings, rows)
    matched = {name: match(found, sides.ours) for name, found in rows.items()}
    judged = [one for found, _ in matched.values() for one in found]
    rejected = [one for _, found in matched.values() for one in found]
    if not judged:
        first = rejected[0] if rejected else Rejected(0, "no rows")
        raise _refusal(f"{', '.join(rows)}: line {first.line}", first.reason)
    parts = {name: make_part(*found, plan.bootstrap) for name, found in matched.items()}
    report = _report(plan, sides, parts, judged, rejected)
    return Done(report, sides.ours, judged)


def _read(files: Sequence[Path]) -> Rows:
    """By file name, or by the whole path where two files share a name."""
    names = [path.name for path in files]
    return {
        path.name if names.count(path.name) == 1 else str(path): [
            with_language(row) if isinstance(row, LabelledRow) else row
            for row in read_labelled(path)
        ]
        for path in files
    }


async def _judge(plan: Plan, settings: Settings, rows: Rows) -> _Sides:
    """Runs each model once, and none where readings are given for both sides."""
    asked = [row.conversation for row in _labelled(rows)]
    theirs = load_readings(Path(plan.against)) if Path(plan.against).is_file() else None
    if plan.readings:
        return _Sides(load_readings(plan.readings), theirs or await _other(plan, settings, asked))
    async with open_judge(settings) as judge:
        ours = await judge.read(asked, plan.policy, plan.on_read)
        departure = departure_of(judge.policy(plan.policy))
        if plan.against in judge.pipeline.policies:
            theirs = await judge.read(asked, plan.against, plan.on_read)
    return _Sides(ours, theirs or await _other(plan, settings, asked), departure)


async def _other(plan: Plan, settings: Settings, asked: Sequence[Conversation]) -> Readings | None:
    """The other side, where another model has to be started for it."""
    if not plan.against:
        return None
    async with open_judge(settings.model_copy(update={"model": plan.against})) as judge:
        return await judge.read(asked, plan.policy, plan.on_read)


def _report(
    plan: Plan,
    sides: _Sides,
    parts: Mapping[str, Part],
    judged: Sequence[Judged],
    rejected: Sequence[Rejected],
) -> Report:
    bootstrap, (first, *more) = plan.bootstrap, parts.values()
    whole = make_part(judged, rejected, bootstrap) if more else first
    expected: tuple[Finding, ...] = ()
    if plan.expected:
        expected = check(plan.expected, judged, bootstrap, sides.departure)
    return Report(
        model=sides.ours.model,
        policy=sides.ours.policy,
        bootstrap=bootstrap,
        files=parts,
        whole=whole,
        comparison=_compare(judged, sides.theirs, bootstrap) if sides.theirs else None,
        expected=expected,
        broken=broken(plan.bounds, whole.rows, len(rejected)),
    )


def _compare(judged: Sequence[Judged], theirs: Readings, bootstrap: Bootstrap) -> Comparison:
    other, unmatched = match((one.row for one in judged), theirs)
    known = {one.row.conversation.digest() for one in other}
    ours = [one for one in judged if one.row.conversation.digest() in known]
    if not ours:
        raise _refusal("against", "the other side has no reading of any of these rows")
    return compare(theirs.name, ours, other, bootstrap, len(unmatched))


def _labelled(rows: Rows) -> Iterable[LabelledRow]:
    return (row for found in rows.values() for row in found if isinstance(row, LabelledRow))


def _refusal(place: str, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(place, problem),))
