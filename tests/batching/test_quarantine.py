import logging

import pytest

from guard_service.batching.quarantine import Quarantine


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_what_was_there_when_an_engine_died_is_suspect_until_it_is_read() -> None:
    quarantine = Quarantine()
    quarantine.saw_death([b"a", b"b"])
    assert quarantine.is_suspect(b"a") and not quarantine.is_culprit(b"a")
    assert not quarantine.is_suspect(b"c")
    quarantine.saw_read(b"a")
    assert not quarantine.is_suspect(b"a")


def test_what_engines_die_over_twice_is_the_culprit_for_an_hour_and_said_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    quarantine = Quarantine(clock)
    quarantine.saw_death([b"a", b"b"])
    with caplog.at_level(logging.ERROR):
        quarantine.saw_death([b"a"])
    assert [vars(record)["action"] for record in caplog.records] == ["prompt_quarantined"]
    assert quarantine.is_culprit(b"a") and not quarantine.is_culprit(b"b")
    clock.now_s = 3599.0
    assert quarantine.is_culprit(b"a")
    clock.now_s = 3600.0
    assert not quarantine.is_suspect(b"a")


def test_only_so_many_are_kept_and_the_latest() -> None:
    quarantine = Quarantine()
    quarantine.saw_death(n.to_bytes(4) for n in range(5000))
    assert not quarantine.is_suspect((0).to_bytes(4))
    assert quarantine.is_suspect((4999).to_bytes(4))
