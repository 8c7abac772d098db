"""The queue worked from a terminal, on a server that keeps texts."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from known import HARM
from serving import serving

from guard_service.client import GuardClient, ReviewClient

_POLICY = """
id = "default"
version = "2"

[review]
keep_text_days = 1

[categories]
"""


def guard(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "guard_service", "review", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_an_item_is_claimed_and_resolved_once_and_its_text_is_sealed(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    rows = "".join(f"S{number} = {{}}\n" for number in range(1, 15))
    (tmp_path / "policies" / "default.toml").write_text(_POLICY + rows)
    key = base64.b64encode(os.urandom(32)).decode()
    flags = "--policies", str(tmp_path / "policies")
    with serving(tmp_path, *flags, GUARD_REVIEW_KEYS=key) as served:
        with GuardClient(served.target, timeout=60) as client:
            item_id = client.moderate(HARM).review_item_id
        with ReviewClient(served.target, reviewer="ben") as ben:
            claim = ben.claim()
            assert claim is not None
            assert claim.messages[-1].content == HARM
            ben.release(item_id, claim.token)
        where = "--server", served.target, "--as", "ann"
        claimed = guard("claim", *where)
        assert claimed.returncode == 0, claimed.stderr
        printed = json.loads(claimed.stdout)
        assert (printed["item"]["id"], printed["messages"]) == (item_id, 1)
        assert HARM not in claimed.stdout
        assert guard("claim", *where).returncode == 4
        token = str(printed["token"])
        assert guard("resolve", item_id, token, "overturned", *where).returncode == 0
        again = guard("resolve", item_id, token, "upheld", *where)
        assert again.returncode == 1
        assert "lease" in again.stderr
    assert HARM.encode() not in (tmp_path / "guard.db").read_bytes()
