"""What was judged is found again, and only where it can be trusted."""

from dataclasses import replace
from pathlib import Path

import pytest
from screened_items import items
from scripted_judge import judgement

from guard_service.screening.seen import Seen, start_of_machine
from guard_service.verdict import Reading

ITEMS = items("a", "b", "c")
JUDGED = {item.digest: judgement(item) for item in ITEMS[:2]}


def test_a_judgement_comes_back_as_it_was(tmp_path: Path) -> None:
    windows = (Reading(0.25, 0.5, (0.125, 1e-9), ()), Reading(0.75, 1.0, (0.5,), ("S1",)))
    long = replace(judgement(ITEMS[0]), others=windows, signs=("hidden",), codes=("S1", "S2"))
    with Seen(tmp_path / "seen") as seen:
        seen.add({ITEMS[0].digest: long})
        assert seen.find([item.digest for item in ITEMS]) == {ITEMS[0].digest: long}


def test_the_next_run_finds_what_a_run_has_added(tmp_path: Path) -> None:
    for start in (None, start_of_machine()):
        with Seen(tmp_path / "seen", start) as seen:
            seen.add(JUDGED)
    with Seen(tmp_path / "seen") as again:
        assert again.find([item.digest for item in ITEMS]) == JUDGED


@pytest.mark.parametrize("mark", [None, "", "another start"])
def test_nothing_is_kept_over_a_start_of_the_machine(tmp_path: Path, mark: str | None) -> None:
    with Seen(tmp_path / "seen") as seen:
        seen.add(JUDGED)
    if mark is None:
        (tmp_path / "seen" / "start").unlink()
    else:
        (tmp_path / "seen" / "start").write_text(mark)
    # As a power cut may leave it: opened, it would be an error, or worse a wrong answer.
    (tmp_path / "seen" / "data.mdb").write_bytes(b"\xff" * 8192)
    with Seen(tmp_path / "seen") as anew:
        assert anew.find(JUDGED) == {}
        anew.add(JUDGED)
        assert anew.find(JUDGED) == JUDGED
