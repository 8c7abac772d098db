"""What is published is told by whole lines alone, to one process, on the same terms."""

from dataclasses import replace
from pathlib import Path

import pytest
from screened import TERMS

from guard_service.errors import ScreeningRefused
from guard_service.screening.manifest import Done, open_manifest

DONE = [Done(number, f"digest {number}", 10, 9, 1, 1, 100 * number) for number in range(3)]


def begin(path: Path, *done: Done) -> Path:
    manifest = open_manifest(path, TERMS)
    for each in done:
        manifest.add(each)
    manifest.close()
    return path


def done_of(path: Path) -> list[Done]:
    manifest = open_manifest(path, TERMS)
    manifest.close()
    return manifest.done


def test_the_next_run_knows_what_is_done(tmp_path: Path) -> None:
    path = begin(tmp_path / "manifest.jsonl", *DONE[:2])
    assert done_of(begin(path, DONE[2])) == DONE


def test_half_a_line_is_not_done_and_leaves_no_trace(tmp_path: Path) -> None:
    path = begin(tmp_path / "manifest.jsonl", *DONE)
    whole = path.read_bytes()
    last = len(whole.splitlines(True)[-1])
    for num_lost in range(1, last + 1):
        path.write_bytes(whole[:-num_lost])
        assert done_of(path) == DONE[:2]
        assert path.read_bytes() == whole[:-last]
    begin(path, DONE[2])
    assert path.read_bytes() == whole


def test_half_of_the_terms_is_a_manifest_that_was_not_begun(tmp_path: Path) -> None:
    path = begin(tmp_path / "manifest.jsonl")
    path.write_bytes(path.read_bytes()[:20])
    assert done_of(path) == []
    assert done_of(begin(path, DONE[0])) == DONE[:1]


def test_other_terms_are_refused_by_name_and_change_nothing(tmp_path: Path) -> None:
    path = begin(tmp_path / "manifest.jsonl", *DONE)
    before = path.read_bytes()
    with pytest.raises(ScreeningRefused, match="another policy_version, list_above"):
        open_manifest(path, replace(TERMS, policy_version="2", list_above=0.25))
    assert path.read_bytes() == before


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest = open_manifest(path, TERMS)
    with pytest.raises(ScreeningRefused, match="another guard screen"):
        open_manifest(path, TERMS)
    manifest.close()
    assert done_of(path) == []
