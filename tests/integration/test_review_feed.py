"""From a moderation call to a consumer of a broker, and to who reads the feed in a terminal."""

import json
import subprocess
import sys
from pathlib import Path

from brokers import broker_of
from consumers import consuming, wait_for
from known import HARM
from serving import serving

from guard_service.client import GuardClient


def guard(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "guard_service", "review", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


async def test_a_decision_reaches_the_broker_and_the_terminal_without_its_text(
    tmp_path: Path,
) -> None:
    inbox = tmp_path / "inbox.db"
    async with broker_of("redis") as broker:
        environment = {"GUARD_FEED_URL": broker.url, "GUARD_FEED_TOPIC": broker.topic}
        with serving(tmp_path, **environment) as served, consuming(inbox, *broker.example):
            with GuardClient(served.target, timeout=60) as client:
                item_id = client.moderate(HARM).review_item_id
            (published,) = wait_for(inbox, 1)
            read = guard("feed", "--server", served.target)
            assert read.returncode == 0, read.stderr
            assert json.loads(read.stdout) == published
            assert published["subject"] == item_id
            assert HARM not in read.stdout
            rest = guard("feed", "--server", served.target, "--from", published["cursor"])
            assert (rest.returncode, rest.stdout) == (0, "")
            beyond = guard("feed", "--server", served.target, "--from", "99")
            assert (beyond.returncode, beyond.stdout) == (1, "")
            where = "--database-url", f"sqlite:///{tmp_path / 'guard.db'}"
            assert guard("republish", "redis", "--from", "0", *where).returncode == 0
            assert guard("republish", "kafka", "--from", "0", *where).returncode == 1
