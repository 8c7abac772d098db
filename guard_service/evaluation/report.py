"""Everything that an evaluation found: metrics.json for machines, report.html for people.

Texts of users are in neither.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from guard_service.chart import COLORS, Axis, Line, line_chart
from guard_service.evaluation.comparison import Comparison
from guard_service.evaluation.evaluation import Bootstrap, EvaluationRow, Judged, evaluate, verdicts
from guard_service.evaluation.expected import NO_ROWS, Finding
from guard_service.evaluation.figures import Sample, rank
from guard_service.evaluation.labelled import Rejected
from guard_service.evaluation.sweep import ReliabilityBin, SweepRow, reliability, sweep

_MAX_POINTS = 300  # of a curve


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one file, or of all."""

    datasets: tuple[str, ...]
    rows: tuple[EvaluationRow, ...]
    sweep: tuple[SweepRow, ...]
    reliability: tuple[ReliabilityBin, ...]
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True)
class Report:
    model: str
    policy: str
    bootstrap: Bootstrap
    files: Mapping[str, Part]
    whole: Part
    comparison: Comparison | None = None
    expected: tuple[Finding, ...] = ()
    broken: tuple[str, ...] = ()  # bounds


def make_part(judged: Sequence[Judged], rejected: Sequence[Rejected], bootstrap: Bootstrap) -> Part:
    sample = verdicts(judged)
    return Part(
        tuple(dict.fromkeys(one.row.dataset for one in judged)),
        evaluate(judged, bootstrap),
        sweep(sample) if judged else (),
        reliability(sample) if judged else (),
        tuple(rejected),
    )


def write_report(folder: Path, report: Report, judged: Sequence[Judged]) -> None:
    """metrics.json and report.html, the latter with its charts inside."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(report), default=plain, indent=1)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    pages = Environment(
        loader=PackageLoader("guard_service.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts = list(_charts(report, verdicts(judged)))
    page = pages.get_template("report.html").render(report=report, charts=charts, no_rows=NO_ROWS)
    (folder / "report.html").write_text(page, encoding="utf-8")


def plain(value: Any) -> Any:
    """What JSON has no form for."""
    return value.value if isinstance(value, Enum) else str(value)


def _charts(report: Report, sample: Sample) -> Iterator[Markup]:
    if 0 < sample.truths.sum() < len(sample):
        ranking = rank(sample, np.ones((1, len(sample))))
        recalls, precisions, fprs = (
            side[0] for side in (ranking.recalls, ranking.precisions, ranking.fprs)
        )
        yield _chart(_thinned(recalls, precisions), "recall", "precision")
        yield _chart([(0, 0), *_thinned(fprs, recalls)], "false positive rate", "recall", even=True)
    points = [(one.mean_score, one.unsafe_share) for one in report.whole.reliability]
    yield _chart(points, "unsafe score", "share that is unsafe (dashed: calibrated)", even=True)


def _chart(
    points: Sequence[tuple[float, float]], across: str, up: str, *, even: bool = False
) -> Markup:
    lines = [Line(points, COLORS[0])]
    if even:
        lines.append(Line([(0, 0), (1, 1)], "#888", dashes="6 4"))
    return Markup(line_chart(lines, Axis(across, 1), Axis(up, 1)))


def _thinned(across: Any, up: Any) -> list[tuple[float, float]]:
    places = np.unique(np.linspace(0, len(across) - 1, _MAX_POINTS).astype(int))
    return [(float(across[place]), float(up[place])) for place in places]
