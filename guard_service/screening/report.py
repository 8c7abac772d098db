"""What an output holds, for people (report.html) and for machines (summary.json).

Whose rows they are is told by digests alone, and texts are there only if they are asked for. The
page loads nothing and has no script: what the browser unfolds, it shows.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.resources import files
from math import ceil, log1p
from pathlib import Path

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from guard_service.chart import Bar, Stack, bar_chart
from guard_service.screening.chunk import LineReader
from guard_service.screening.counts import Counts, Ranking
from guard_service.screening.example import Example
from guard_service.screening.excerpt import Excerpt, find_excerpts
from guard_service.screening.manifest import Terms
from guard_service.screening.output import write_file
from guard_service.screening.summary import NUM_BINS, CategorySummary, Summary, summarize
from guard_service.taxonomy import TAXONOMY
from guard_service.web.visible import pieces

_MAX_DAYS = 62  # bars of a chart; of more, several days share one
_POLICY = "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
_LISTED_EXAMPLES = 3  # places of each kind, where no texts are asked for


@dataclass(frozen=True, slots=True)
class Asked:
    """What the report is to tell."""

    num_names: int = 20  # users and models
    shows_users: bool = False
    num_examples: int = 0  # of each kind, with their texts
    reader: LineReader | None = None  # as the inputs were read, where texts are to be


@dataclass(frozen=True, slots=True)
class CategoryLine:
    code: str
    name: str
    found: CategorySummary
    threshold: float | None
    chart: Markup


def write_report(folder: Path, asked: Asked = Asked()) -> Summary:
    """Both files beside the manifest of the output; ScreeningRefused if it is none."""
    summary = summarize(folder, asked.num_names, asked.num_examples or _LISTED_EXAMPLES)
    if not asked.shows_users:
        summary = replace(summary, by_user=_hidden(summary.by_user))
    excerpts = None
    if asked.num_examples and asked.reader:
        excerpts = find_excerpts(summary.examples, summary.terms.inputs, asked.reader)
    own = folder / "_screening"
    write_file(own / "summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    write_file(own / "report.html", render(summary, asked, excerpts).encode())
    return summary


def render(
    summary: Summary, asked: Asked = Asked(), excerpts: Mapping[str, Excerpt] | None = None
) -> str:
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    days = list(_days(summary.by_day))
    return (
        _pages()
        .get_template("report.html")
        .render(
            summary=summary,
            terms=summary.terms,
            asked=asked,
            excerpts=excerpts,
            style=Markup(style),
            policy=_POLICY.format(digest),
            days=days,
            day_shares=_day_shares(days),
            day_rows=_day_rows(days),
            scores=_scores(summary),
            categories=list(_categories(summary)),
            kinds=_kinds(summary.examples),
            thresholds=list(_thresholds(summary.terms)),
        )
    )


def _hidden(users: Ranking) -> Ranking:
    """Anyone with the rows can find who it is, and nobody without."""
    first = {
        hashlib.blake2b(name.encode(), digest_size=6).hexdigest(): counts
        for name, counts in users.first.items()
    }
    return replace(users, first=first)


def _days(by_day: Mapping[str, Counts]) -> Iterator[tuple[str, Counts]]:
    """Days, or spans of days, in order; days without rows too, unless there are many of them."""
    names = list(by_day)
    if names and len(names) > 1:
        first, last = date.fromisoformat(names[0]), date.fromisoformat(names[-1])
        num_days = (last - first).days + 1
        if num_days <= 2 * len(names):
            names = [str(first + timedelta(n)) for n in range(num_days)]
    step = ceil(len(names) / _MAX_DAYS) or 1
    for start in range(0, len(names), step):
        span = names[start : start + step]
        told = span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}"
        yield told, _sum([by_day.get(name, Counts()) for name in span])


def _sum(counts: Sequence[Counts]) -> Counts:
    return Counts(
        sum(each.num_rows for each in counts),
        sum(each.num_unsafe for each in counts),
        sum(each.num_blocked for each in counts),
        sum(each.num_review for each in counts),
    )


def _day_shares(days: Sequence[tuple[str, Counts]]) -> Markup:
    top = max((counts.unsafe_share for _, counts in days), default=0) or 1
    return _bars(
        [
            Stack([Bar(c.unsafe_share / top, "unsafe")], f"{day}: {_share(c.unsafe_share)} unsafe")
            for day, c in days
        ],
        "Share of messages that are unsafe, by day",
    )


def _day_rows(days: Sequence[tuple[str, Counts]]) -> Markup:
    top = max((counts.num_rows for _, counts in days), default=0) or 1
    return _bars(
        [
            Stack([Bar(c.num_rows / top, "rows")], f"{day}: {_number(c.num_rows)} messages")
            for day, c in days
        ],
        "Messages judged, by day",
    )


def _scores(summary: Summary) -> Markup:
    """Logarithmic in height, as nearly all messages have low scores; the share is of the bar."""
    top = max(summary.scores) or 1
    stacks = []
    counted = zip(summary.scores, summary.blocked_scores, strict=True)
    for number, (num_rows, num_blocked) in enumerate(counted):
        height = log1p(num_rows) / log1p(top)
        blocked = height * num_blocked / max(num_rows, 1)
        title = f"{_bin(number)}: {_number(num_rows)} messages, {_number(num_blocked)} blocked"
        stacks.append(Stack([Bar(blocked, "blocked"), Bar(height - blocked, "allowed")], title))
    return _bars(stacks, "Messages by unsafe score", [summary.terms.threshold])


def _categories(summary: Summary) -> Iterator[CategoryLine]:
    """The most frequent first."""
    terms = summary.terms
    thresholds = dict(_thresholds(terms))
    top = max((max(found.scores) for found in summary.by_category.values()), default=0) or 1
    ordered = sorted(summary.by_category.items(), key=lambda each: -each[1].num_flagged)
    for code, found in ordered:
        stacks = [
            Stack([Bar(log1p(num) / log1p(top), "score")], f"{_bin(number)}: {_number(num)}")
            for number, num in enumerate(found.scores)
        ]
        threshold = thresholds.get(code)
        chart = _bars(stacks, f"Scores of {code}", [] if threshold is None else [threshold])
        yield CategoryLine(code, _category(code), found, threshold, chart)


def _thresholds(terms: Terms) -> Iterator[tuple[str, float]]:
    """Of the categories that have one of their own."""
    for code, threshold in zip(terms.codes, terms.thresholds, strict=False):
        if threshold is not None:
            yield code, threshold


def _kinds(examples: Iterable[Example]) -> list[tuple[str, list[Example]]]:
    """Those near the threshold, then by category."""
    kinds: dict[str, list[Example]] = {}
    for example in examples:
        kinds.setdefault(example.kind, []).append(example)
    return list(kinds.items())


def _bars(stacks: Sequence[Stack], label: str, marks: Sequence[float] = ()) -> Markup:
    return Markup(bar_chart(stacks, label, marks))


def _bin(number: int) -> str:
    return f"{number / NUM_BINS:.3g} to {(number + 1) / NUM_BINS:.3g}"


def _category(code: str) -> str:
    return TAXONOMY[code].name if code in TAXONOMY else ""


def _number(value: int) -> str:
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _share(value: float) -> str:
    if 0 < value < 0.0001:
        return "< 0.01 %"
    return f"{100 * value:.{2 if value < 0.1 else 1}f} %"


def _style() -> str:
    """The console's, and a little more: one look for all that people open."""
    ours = files("guard_service.screening").joinpath("report.css")
    console = files("guard_service.web").joinpath("static", "console.css")
    return "\n" + console.read_text("utf-8") + ours.read_text("utf-8")


def _pages() -> Environment:
    pages = Environment(
        loader=PackageLoader("guard_service.screening", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(number=_number, share=_share, category=_category, pieces=pieces)
    return pages
