"""A server with a shadow: one answer, two decisions, and the flip in the feed."""

import asyncio
import json
from pathlib import Path

from conversations import conversation
from typer.testing import CliRunner

from guard_service.app import open_guard
from guard_service.cli import commands
from guard_service.config import Settings
from guard_service.pipeline import Check
from guard_service.policy import Action

SHADOW = 'id = "default"\nversion = "2"\n' + "".join(
    f"[categories.S{number}]\nthreshold = 0.0001\n" for number in range(1, 15)
)
LIVE = 'id = "default"\nversion = "1"\nthreshold = 0.9999\n[review]\nband = 0.0\n' + "".join(
    f"[categories.S{number}]\n" for number in range(1, 15)
)


async def moderate(settings: Settings) -> str:
    async with open_guard(settings) as guard:
        await guard.engine.start()
        outcome = await guard.pipeline.moderate(Check(conversation("how are you?")))
        assert outcome.decision.action is Action.ALLOW
        assert outcome.policy.version == "1"
        return outcome.request_id


async def test_what_a_shadow_would_have_blocked_is_listed(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "default.toml").write_text(LIVE)
    (tmp_path / "next.toml").write_text(SHADOW)
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    given = {"policies": tmp_path / "live", "shadow_policy": tmp_path / "next.toml"}
    request_id = await moderate(Settings(database_url=url, check_canary=False, **given))  # type: ignore[arg-type]
    listed = await asyncio.to_thread(run, url, tmp_path / "next.toml")
    (flip,) = map(json.loads, listed.splitlines())
    assert (flip["request_id"], flip["before"], flip["after"]) == (request_id, "allow", "block")


def run(url: str, shadow: Path) -> str:
    asked = ["review", "shadow", "--policy", str(shadow), "--database-url", url]
    result = CliRunner().invoke(commands, asked, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout
