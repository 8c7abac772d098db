import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from credentials import entry, write_access

from guard_service.access.access import Access
from guard_service.access.key import make_key
from guard_service.config import Settings
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.errors import SettingsInvalid
from guard_service.reload import Reloader
from guard_service.startup import load_policies

POLICY = 'id = "{id}"\nversion = "{version}"\n[categories.S1]\n[categories.S{last}]\n'


class Desk:
    """A folder of policies, and what the service has taken of it."""

    def __init__(self, folder: Path, tokenizer: GuardTokenizer) -> None:
        self.folder = folder
        self.write("default", 1)
        self.key = make_key()
        self.access_file = write_access(folder / "access.json", entry(self.key))
        self.settings = Settings(policies=folder, access_file=self.access_file)
        self.given = self.settings
        self.policies = load_policies(self.settings)
        self.access = Access(self.settings)
        self.reloader = Reloader(
            self.settings, lambda: self.given, self.policies, tokenizer, self.access
        )

    def write(self, name: str, version: int, last: int = 10) -> None:
        text = POLICY.format(id=name, version=version, last=last)
        (self.folder / f"{name}.toml").write_text(text)


@pytest.fixture
def desk(tmp_path: Path, tiny_tokenizer: GuardTokenizer) -> Iterator[Desk]:
    level = logging.getLogger().level
    yield Desk(tmp_path, tiny_tokenizer)
    logging.getLogger().setLevel(level)


def last(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    return caplog.records[-1]


def test_changed_policies_are_taken_and_reported(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk.write("default", 2, last=11)
    desk.write("kids", 1)
    desk.given = desk.settings.model_copy(update={"port": 1, "log_level": "INFO"})
    desk.reloader.reload()
    record = vars(last(caplog))
    assert record["action"] == "reloaded"
    assert (record["added"], record["changed"], record["removed"]) == ("kids@1", "default@2", "-")
    assert record["restart_for"] == "port"
    assert desk.policies["default"].version == "2"
    assert "kids" in desk.policies


@pytest.mark.parametrize(
    "text",
    ["not toml", 'id = "default"\nversion = "2"\n', POLICY.format(id="x", version=1, last=2)],
)
def test_of_a_folder_with_a_mistake_nothing_is_taken(
    desk: Desk, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    before = dict(desk.policies)
    desk.write("kids", 1)
    (desk.folder / "default.toml").write_text(text)
    desk.reloader.reload()
    assert vars(last(caplog))["action"] == "reload_refused"
    assert "default" in vars(last(caplog))["problem"]
    assert desk.policies == before


def test_settings_that_cannot_be_read_change_nothing(
    tmp_path: Path, tiny_tokenizer: GuardTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    def read() -> Settings:
        raise SettingsInvalid("port: no number")

    desk = Desk(tmp_path, tiny_tokenizer)
    Reloader(desk.settings, read, desk.policies, tiny_tokenizer, desk.access).reload()
    assert vars(last(caplog))["problem"] == "port: no number"
    assert list(desk.policies) == ["default"]


def test_keys_come_and_go_and_the_log_names_their_ids_alone(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key = make_key()
    write_access(desk.access_file, entry(key))
    desk.reloader.reload()
    record = vars(last(caplog))
    assert (record["keys_added"], record["keys_removed"]) == (key.id, desk.key.id)
    assert key.sha256 not in str(record)


@pytest.mark.parametrize("policies", [["defualt"], []])
def test_an_access_file_with_a_mistake_changes_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture, policies: list[str]
) -> None:
    desk.write("kids", 1)
    write_access(desk.access_file, entry(make_key(), policies=policies))
    desk.reloader.reload()
    assert vars(last(caplog))["action"] == "reload_refused"
    assert list(desk.policies) == ["default"]
