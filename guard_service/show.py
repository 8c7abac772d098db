"""How results look on a terminal. Text of users is never among them."""

from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from guard_service.client import Moderation
from guard_service.doctor import Finding, Level
from guard_service.screening.change import Change

_LEVELS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def moderation(out: Console, result: Moderation) -> None:
    color = "red" if result.is_blocked else "green"
    review = "  [yellow]people will look[/]" if result.review else ""
    out.print(f"[bold {color}]{result.action.value.upper()}[/]{review}")
    if result.text_signs:
        out.print(f"text: {', '.join(sign.value for sign in result.text_signs)}")
    if result.verdict is None:
        out.print(f"no verdict: the model is {result.assessment.value}")
        return
    out.print(f"unsafe score {result.verdict.unsafe_score:.3f}   model {result.model}")
    for category in result.verdict.flagged:
        out.print(f"  [red]{category.code}[/] {category.name}  {category.score:.3f}")


def findings(out: Console, examined: Sequence[Finding]) -> None:
    for finding in examined:
        out.print(
            f"[{_LEVELS[finding.level]}]{finding.level.value:>4}[/] {finding.name}: "
            f"{finding.detail}"
        )
        if finding.advice:
            out.print(f"     {finding.advice}")


def review_items(out: Console, items: Sequence[Any]) -> None:
    table = Table(title=f"{len(items)} review items", title_justify="left")
    for heading in ("created (UTC)", "reason", "action", "judged", "score", "categories"):
        table.add_column(heading, no_wrap=True)
    table.add_column("labels", no_wrap=True)
    table.add_column("request", no_wrap=True, overflow="ellipsis", max_width=12)
    for item in items:
        table.add_row(
            f"{item.created_at:%m-%d %H:%M:%S}",
            item.reason.value,
            item.action.value,
            item.judged_role.value,
            _figure(item.unsafe_score),
            " ".join(item.codes),
            escape(" ".join(f"{key}={value}" for key, value in item.labels.items())),
            escape(item.request_id),
        )
    out.print(table)


def change(out: Console, changed: Change) -> None:
    """Actions before and after, then the categories that some row gained or lost."""
    for (before, after), num_rows in sorted(changed.actions.items()):
        out.print(f"  {before} -> {after}: {num_rows}")
    table = Table("category", "flagged now", "flagged no more")
    for code in changed.gained:
        if changed.gained[code] or changed.lost[code]:
            table.add_row(code, str(changed.gained[code]), str(changed.lost[code]))
    if table.row_count:
        out.print(table)


def plain(value: Any) -> Any:
    """What JSON has no form for."""
    if isinstance(value, Enum):
        return value.value
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
