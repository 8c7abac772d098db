"""What the README tells people to run and read exists."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from guard_service.cli import commands

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_make_target_is_in_the_makefile() -> None:
    named = set(re.findall(r"`?make ([a-z-]+)", README))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_guard_command_exists() -> None:
    named = set(re.findall(r"(?:`|\s)guard ([a-z]+)", README))
    assert {"serve", "check", "pull", "doctor", "eval", "prompt", "review"} <= named
    assert named <= set(get_command(commands).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", README))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_file_of_the_map_exists() -> None:
    start = README.index("    protos/guard_service/v1/")
    block = README[start : README.index("Imports point down")]
    names = re.findall(r"[a-z_0-9]+\.py", block)
    files = {path.name for path in (ROOT / "guard_service").rglob("*.py")}
    assert len(names) > 20
    assert set(names) <= files


def test_the_example_uses_what_the_client_offers() -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    compile(code, "README.md", "exec")
    from guard_service.client import GuardClient, Moderation

    assert hasattr(GuardClient, "moderate")
    assert hasattr(GuardClient, "moderate_batch")
    assert hasattr(Moderation, "is_allowed")
