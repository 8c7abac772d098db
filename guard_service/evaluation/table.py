"""An evaluation on a terminal. Text of users is never in it."""

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from guard_service.evaluation.comparison import Comparison
from guard_service.evaluation.expected import NO_ROWS, Agreement, Finding
from guard_service.evaluation.labelled import Rejected
from guard_service.evaluation.report import Part, Report

_HEADINGS = ("rows", "unsafe", "F1", "precision", "recall", "FPR", "AUPRC", "AUROC")
_COLORS = {Agreement.AGREES: "green", Agreement.DIFFERS: "bold red", Agreement.NOT_COMPARED: "dim"}


def show(out: Console, report: Report) -> None:
    out.print(f"{escape(report.model)}, policy {escape(report.policy)}")
    for name, part in report.files.items():
        _part(out, name, part)
    if len(report.files) > 1:
        _part(out, f"all {len(report.files)} files", report.whole)
    if report.comparison:
        _comparison(out, report.comparison)
    if report.expected:
        _expected(out, report.expected)
    for problem in report.broken:
        out.print(f"[bold red]not kept[/] {escape(problem)}")


def _part(out: Console, name: str, part: Part) -> None:
    datasets = ", ".join(name for name in part.datasets if name != "guard-service")
    title = escape(f"{name} ({datasets})" if datasets else name)
    table = _table(title, "", *_HEADINGS)
    for row in part.rows:
        figures = (row.f1, row.precision, row.recall, row.fpr, row.auprc, row.auroc)
        label = f"{row.by} {row.name}" if row.by in ("language", "tag") else row.name
        cells = (str(row.num_rows), str(row.num_unsafe), *map(_figure, figures))
        table.add_row(escape(label), *cells)
    out.print(table)
    _rejected(out, part.rejected)


def _rejected(out: Console, rejected: Sequence[Rejected]) -> None:
    for reason, number in Counter(one.reason for one in rejected).most_common():
        first = [str(one.line) for one in rejected if one.reason == reason][:5]
        more = ", ..." if number > len(first) else ""
        out.print(
            f"[yellow]{number} not evaluated[/] {escape(reason)}: line {', '.join(first)}{more}"
        )


def _comparison(out: Console, found: Comparison) -> None:
    table = _table(f"against {escape(found.against)}", "", "this", "other", "95 % apart", "p")
    for one in found.differences:
        apart = "-" if one.low is None else f"{one.low:+.3f} to {one.high:+.3f}"
        p_value = "-" if one.p_value is None else f"{one.p_value:.3g}"
        table.add_row(one.figure, _figure(one.ours), _figure(one.theirs), apart, p_value)
    out.print(table)
    out.print(
        f"{found.num_rows} rows ({found.num_unmatched} more without a reading of the other); only "
        f"this right: {found.num_only_ours_right}, only the other: {found.num_only_theirs_right}, "
        f"McNemar p = {found.mcnemar_p_value:.3g}"
    )


def _expected(out: Console, findings: Sequence[Finding]) -> None:
    absent = [one for one in findings if one.detail == NO_ROWS]
    if absent:
        out.print(f"[dim]{len(absent)} published figures are of data sets that were not given[/]")
    for one in findings:
        if one in absent:
            continue
        color = _COLORS[one.agreement]
        out.print(f"[{color}]{one.agreement.value:>12}[/] {escape(one.what)}: {escape(one.detail)}")


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        if heading:
            table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
        else:
            table.add_column(heading, overflow="fold")
    return table


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
