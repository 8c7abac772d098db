"""The thresholds that answers speak for."""

import asyncio
import getpass
import json
from dataclasses import replace
from pathlib import Path

import pytest
from random_policies import decided_item, policy
from sqlalchemy import case, update
from typer.testing import CliRunner, Result

from guard_service.calibration.answer import Answered
from guard_service.calibration.calibration import BASE, Row, calibrate
from guard_service.cli import commands
from guard_service.errors import InvalidRequest
from guard_service.evidence import Evidence
from guard_service.policy import Action, read_policy
from guard_service.review.evidence import Decided
from guard_service.review.item import Outcome, ReviewItem
from guard_service.review.store import open_store
from guard_service.review.table import review_items
from guard_service.verdict import Reading

ASKED = policy(review={"band": 0.1, "sample": 0.02})
ALL_S1, ALL_S10 = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def made(number: int, score: float, shares: tuple[float, ...]) -> ReviewItem:
    listed = ("S1",) if score >= 0.5 else ()
    item = decided_item(number, Evidence(ASKED, (Reading(score, 1.0, shares, listed),)))
    assert item, "the policy asks nobody to look"
    return item


def answered(item: ReviewItem, *, is_harm: bool) -> Answered:
    assert item.evidence
    is_blocked = item.action is Action.BLOCK
    outcome = Outcome.UPHELD if is_blocked == is_harm else Outcome.OVERTURNED
    seen = ("S1" if item.scores["S1"] > 0 else "S10",) if is_harm else ()
    return Answered(Decided(item, item.evidence, outcome, seen), 1.0)


def rows_of(found: list[Answered], min_precision: float = 0.9) -> dict[str, Row]:
    return {row.what: row for row in calibrate(found, ASKED, min_precision)}


def test_a_base_that_blocks_too_much_is_raised_to_where_it_is_precise() -> None:
    good = [answered(made(n, 0.9, ALL_S1), is_harm=True) for n in range(60)]
    bad = [answered(made(n, 0.65, ALL_S1), is_harm=False) for n in range(60, 90)]
    base = rows_of(good + bad)[BASE]
    assert base.now.precision.value == pytest.approx(60 / 90)
    assert base.proposed == 0.66


def test_a_category_that_is_right_at_low_scores_gets_a_lower_threshold() -> None:
    high = [answered(made(n, 0.9, ALL_S1), is_harm=True) for n in range(60)]
    low = [answered(made(n, 0.45, ALL_S10), is_harm=True) for n in range(60, 130)]
    rows = rows_of(high + low)
    assert rows["S10"].proposed == 0.01
    assert rows["S2"].proposed is None


def test_a_few_right_answers_are_too_few_to_move_a_threshold() -> None:
    found = [answered(made(n, 0.45, ALL_S10), is_harm=True) for n in range(5)]
    assert rows_of(found)["S10"].proposed is None


def test_the_base_goes_nowhere_where_lists_were_not_asked_for() -> None:
    found = [answered(made(n, 0.45, ALL_S1), is_harm=True) for n in range(80)]
    found += [answered(made(n, 0.9, ALL_S1), is_harm=True) for n in range(80, 160)]
    assert rows_of(found)[BASE].proposed is None


def test_without_answers_nothing_is_known_and_nothing_proposed() -> None:
    rows = rows_of([])
    assert all(row.proposed is None and row.now.precision.value is None for row in rows.values())


POLICY = 'id = "p"\nversion = "2"\n[review]\nsample = 0.02\n' + "".join(
    f"[categories.{code}]\n" for code in ASKED.rules
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """60 blocks that were right, 30 near the threshold that were not."""
    url = f"sqlite:///{tmp_path / 'guard.db'}"

    async def fill() -> None:
        async with open_store(url) as store:
            for number in range(90):
                item = made(number, 0.9 if number < 60 else 0.55, ALL_S1)
                await store.add(replace(item, policy_version="2"))
            is_right = review_items.c.unsafe_score > 0.6
            outcome = case((is_right, "upheld"), else_="overturned")
            resolved = update(review_items).values(outcome=outcome, lane="closed")
            await store.database.run(lambda c: c.execute(resolved))

    asyncio.run(fill())
    (tmp_path / "p.toml").write_text(POLICY)
    return url


def run(url: str, folder: Path, *arguments: str) -> Result:
    asked = ["--policy", str(folder / "p.toml"), "--database-url", url]
    return CliRunner().invoke(commands, ["review", "calibrate", *asked, *arguments])


def test_the_command_proposes_a_new_file_and_draws_the_curves(url: str, tmp_path: Path) -> None:
    new, plots = tmp_path / "next.toml", tmp_path / "plots"
    result = run(url, tmp_path, "--to", str(new), "--plots", str(plots))
    assert result.exit_code == 0, result.output
    proposed = read_policy(new)
    assert (proposed.version, proposed.threshold) == ("3", 0.56)
    assert "+threshold = 0.56" in result.stderr
    assert "90 of 90 items are resolved" in result.stderr
    assert (tmp_path / "p.toml").read_text() == POLICY
    CliRunner().invoke(commands, ["audit", "head", "--database-url", url])  # which links them
    log = CliRunner().invoke(commands, ["audit", "list", "--database-url", url]).stdout
    (last,) = (entry for entry in map(json.loads, log.splitlines()) if not entry["item_id"])
    assert (last["act"], last["actor"]) == ("calibrated", getpass.getuser())
    assert json.loads(last["details"])["proposed"] == {"unsafe": 0.56}
    assert "<polyline" in (plots / "unsafe.svg").read_text()
    again = run(url, tmp_path, "--to", str(new))
    assert isinstance(again.exception, InvalidRequest)


def test_every_thresholds_figures_are_there_for_machines(url: str, tmp_path: Path) -> None:
    rows = json.loads(run(url, tmp_path, "--json").stdout)
    assert [row["what"] for row in rows] == [
        "unsafe",
        *sorted(ASKED.rules, key=lambda c: int(c[1:])),
    ]
    assert rows[0]["now"]["precision"]["value"] == pytest.approx(2 / 3)
    assert rows[0]["now"]["recall"]["value"] is None  # nothing was sampled
    assert len(rows[0]["points"]) == 99
