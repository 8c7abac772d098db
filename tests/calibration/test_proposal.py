import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from guard_service.calibration.calibration import BASE, Row
from guard_service.calibration.estimate import UNKNOWN, Figures
from guard_service.calibration.proposal import diff, propose, raised, write_new
from guard_service.errors import InvalidRequest

NOTHING = Row(BASE, 0.5, Figures(UNKNOWN, UNKNOWN, 0, 0), (), None)
POLICY = """id = "p"
version = "2026-07"  # of July
threshold = 0.5

[categories.S1]
[categories.S10]
threshold = 0.30  # asked for by the trust team
"""


def test_thresholds_and_version_change_and_every_other_word_stays() -> None:
    new = propose(
        POLICY, [replace(NOTHING, proposed=0.61), replace(NOTHING, what="S1", proposed=0.2)]
    )
    values = tomllib.loads(new)
    assert (values["threshold"], values["version"]) == (0.61, "2026-08")
    assert values["categories"] == {"S1": {"threshold": 0.2}, "S10": {"threshold": 0.3}}
    assert "# of July" in new
    assert "threshold = 0.30  # asked for by the trust team" in new


def test_the_diff_shows_the_changed_lines_alone() -> None:
    new = propose(POLICY, [replace(NOTHING, what="S10", proposed=0.2)])
    lines = diff(Path("p.toml"), POLICY, new).splitlines()
    changed = [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == [
        '-version = "2026-07"  # of July',
        '+version = "2026-08"  # of July',
        "-threshold = 0.30  # asked for by the trust team",
        "+threshold = 0.2  # asked for by the trust team",
    ]


def test_without_a_proposal_the_text_is_the_same() -> None:
    assert propose(POLICY, [NOTHING]) == POLICY


@pytest.mark.parametrize(
    ("version", "after"),
    [("1", "2"), ("1.9", "1.10"), ("2026-09", "2026-10"), ("final", "final-2")],
)
def test_a_version_is_raised(version: str, after: str) -> None:
    assert raised(version) == after


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(POLICY)
    with pytest.raises(InvalidRequest, match="is there already"):
        write_new(path, "other")
    assert path.read_text() == POLICY
