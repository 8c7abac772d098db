"""A server that asks who calls, started, reloaded and called as operators and users do."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from credentials import Pki
from known import HARM, HARMLESS
from serving import Served, serving, until_logged

from guard_service.client import GuardClient, QuotaExceeded, Tls, Unauthenticated


def guard(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "guard_service", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | environment
    )


def new_key(tenant: str) -> tuple[str, str]:
    made = guard("keys", "new", "--name", "chat", "--tenant", tenant)
    return made.stderr.split()[-1], made.stdout


def test_keys_are_revoked_and_certificates_exchanged_while_calls_go_on(tmp_path: Path) -> None:
    pki, file = Pki(tmp_path), tmp_path / "access.toml"
    certificate, key = pki.server()
    (ours, entry), (other, other_entry) = new_key("acme"), new_key("beta")
    file.write_text(entry)
    flags = ["--access-file", str(file), "--tls-certificate", str(certificate)]
    tls = Tls(ca=pki.ca)
    with serving(tmp_path, *flags, "--tls-key", str(key), tls=tls) as served:
        assert not any("open_to_anyone" in line for line in served.log)
        with GuardClient(served.target, api_key=ours, tls=tls, timeout=60) as client:
            blocked = client.moderate(HARM)
            assert blocked.is_blocked and blocked.review_item_id
            file.write_text(other_entry)
            pki.server()
            served.process.send_signal(signal.SIGHUP)
            line = until_logged(served, "reloaded")
            assert f"keys_added={other.split('_')[1]} keys_removed={ours.split('_')[1]}" in line
            with pytest.raises(Unauthenticated):
                client.moderate(HARMLESS)
        shown = {"GUARD_API_KEY": other, "GUARD_CA": str(pki.ca)}
        assert guard("check", HARMLESS, "--server", served.target, **shown).returncode == 0
        listed = guard("review", "list", "--server", served.target, "--json", **shown)
        # Their own check may have been sampled; the blocked one is acme's.
        assert blocked.review_item_id not in [item["id"] for item in json.loads(listed.stdout)]
    for secret in (ours, other):
        assert not any(secret.split("_", 2)[2] in line for line in served.log)


def test_a_key_in_the_environment_does_not_close_the_server_of_one_command(tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text(new_key("acme")[1])
    checked = guard("check", HARMLESS, GUARD_ACCESS_FILE=str(tmp_path / "access.toml"))
    assert checked.returncode == 0, checked.stderr


def test_a_server_that_would_be_open_to_strangers_does_not_start(tmp_path: Path) -> None:
    refused = guard("serve", "--host", "0.0.0.0", "--port", "0", "--database-url", "sqlite://")
    assert refused.returncode == 1
    assert "--insecure" in refused.stderr.splitlines()[-1]


def test_a_quota_holds_on_a_server_that_knows_nobody(tmp_path: Path) -> None:
    with (
        serving(tmp_path, GUARD_REQUESTS_PER_MINUTE="2") as served,
        GuardClient(served.target, timeout=60) as client,
    ):
        client.moderate(HARMLESS)
        client.moderate(HARMLESS)
        with pytest.raises(QuotaExceeded, match="requests_per_minute: 2 are used up"):
            client.moderate(HARMLESS)


def test_a_server_on_loopback_says_that_it_is_open(served: Served) -> None:
    assert any("action=open_to_anyone" in line for line in served.log)
