from pathlib import Path

import pytest
from conversations import policy
from credentials import entry, write_access

from guard_service.access.access import Access
from guard_service.access.key import make_key
from guard_service.config import Settings
from guard_service.errors import CheckpointRefused, SettingsInvalid, StartupRefused
from guard_service.startup import Refusals, check_texts, prepare


def settings(**given: object) -> Settings:
    return Settings(database_url="sqlite://", **given)  # type: ignore[arg-type]


def test_what_is_sound_is_handed_over() -> None:
    prepared = prepare(settings(), Refusals())
    assert prepared.checkpoint.name == "guard-tiny"
    assert list(prepared.policies) == ["default"]
    assert prepared.max_window_tokens == 1024


def test_every_problem_is_told_in_one_message(tmp_path: Path) -> None:
    broken = Settings(
        model=str(tmp_path / "nowhere"),
        policies=tmp_path,
        database_url=f"sqlite:///{tmp_path / 'no' / 'guard.db'}",
    )
    refusals = Refusals()
    refusals.attempt(lambda: raise_(SettingsInvalid("port: taken")))
    with pytest.raises(StartupRefused) as error:
        prepare(broken, refusals)
    for part in ("port: taken", "no such folder", "no policy files", "database_url"):
        assert part in str(error.value)


def test_a_single_problem_keeps_its_kind(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused):
        prepare(settings(model=str(tmp_path / "nowhere")), Refusals())


def test_a_key_for_a_policy_that_is_not_there_is_told_with_the_rest(tmp_path: Path) -> None:
    file = write_access(tmp_path / "access.json", entry(make_key(), policies=["kids"]))
    access = Access(settings(access_file=file))
    with pytest.raises(StartupRefused, match=r"no such folder.*chat: no policy kids"):
        prepare(settings(model=str(tmp_path / "nowhere")), Refusals(), access)


def raise_(error: Exception) -> None:
    raise error


def test_texts_that_a_restart_could_not_open_are_not_kept(tmp_path: Path) -> None:
    keeping = {"test": policy(id="test", review={"keep_text_days": 1})}
    disk = f"sqlite:///{tmp_path / 'guard.db'}"
    with pytest.raises(SettingsInvalid, match="review_keys_file"):
        check_texts(keeping, Settings(database_url=disk))
    check_texts(keeping, Settings(database_url=disk, review_keys="key"))
    check_texts(keeping, Settings(database_url="sqlite://"))


def test_a_file_of_keys_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="review_keys_file"):
        prepare(settings(review_keys_file=tmp_path / "none"), Refusals())


CATEGORIES = "".join(f"[categories.S{number}]\n" for number in range(1, 15))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'id = "other"\nversion = "1"\n{CATEGORIES}', "no policy other is in force"),
        ('id = "default"\nversion = "2"\n[categories.S1]\n', "asked for S10, S11"),
    ],
)
def test_a_shadow_that_live_readings_cannot_answer_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "shadow.toml").write_text(text)
    with pytest.raises(SettingsInvalid, match=f"shadow_policy: .*{problem}"):
        prepare(settings(shadow_policy=tmp_path / "shadow.toml"), Refusals())


def test_a_shadow_that_they_can_answer_is_handed_over(tmp_path: Path) -> None:
    assert prepare(settings(), Refusals()).shadow is None
    (tmp_path / "shadow.toml").write_text(f'id = "default"\nversion = "2"\n{CATEGORIES}')
    shadow = prepare(settings(shadow_policy=tmp_path / "shadow.toml"), Refusals()).shadow
    assert shadow
    assert shadow.version == "2"
