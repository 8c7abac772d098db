from pathlib import Path

import pytest

from guard_service.config import read_settings
from guard_service.errors import SettingsInvalid


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_flags_beat_the_environment_which_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guard.toml").write_text('port = 1\nhost = "file"\nmodel = "file"\n')
    monkeypatch.setenv("GUARD_PORT", "2")
    monkeypatch.setenv("GUARD_HOST", "environment")
    settings = read_settings(port=3, host=None)
    assert (settings.port, settings.host, settings.model) == (3, "environment", "file")


def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text("port = 7\n")
    monkeypatch.setenv("GUARD_CONFIG", str(tmp_path / "other.toml"))
    assert read_settings().port == 7


def test_every_problem_is_reported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guard.toml").write_text('prot = 1\ndevices = "tpu"\n')
    monkeypatch.setenv("GUARD_PORT", "70000")
    monkeypatch.setenv("GUARD_MODLE", "x")
    with pytest.raises(SettingsInvalid) as error:
        read_settings(max_messages=0)
    for name in ("prot", "devices", "port", "GUARD_MODLE", "max_messages"):
        assert name in str(error.value)


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_text("port =\n")
    with pytest.raises(SettingsInvalid):
        read_settings()


def test_settings_cannot_be_changed() -> None:
    settings = read_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_variables_of_the_tests_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_TEST_REQUIRE_SERVICES", "1")
    assert read_settings().port == 50051


def test_metrics_have_a_port_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().metrics_port == 9464
    monkeypatch.setenv("GUARD_METRICS_PORT", "off")
    assert read_settings().metrics_port == "off"
    assert read_settings(metrics_port="0").metrics_port == 0
    for wrong in ("on", "70000", "-1"):
        with pytest.raises(SettingsInvalid, match="metrics_port"):
            read_settings(metrics_port=wrong)
