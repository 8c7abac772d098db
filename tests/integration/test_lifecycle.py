"""A server that is reloaded, stopped, given a hung engine or a damaged model."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from known import HARMLESS
from serving import Served, serving, until_logged

from guard_service.client import GuardClient, Unavailable

POLICY = 'id = "default"\nversion = "{}"\n[categories.S1]\n'


def test_sighup_takes_policies_that_are_right_and_no_others(tmp_path: Path) -> None:
    file = tmp_path / "default.toml"
    file.write_text(POLICY.format(1))
    with (
        serving(tmp_path, "--policies", str(tmp_path)) as served,
        GuardClient(served.target, timeout=60) as client,
    ):
        file.write_text("no policy")
        served.process.send_signal(signal.SIGHUP)
        assert "default.toml" in until_logged(served, "reload_refused")
        assert client.moderate(HARMLESS).policy_version == "1"
        file.write_text(POLICY.format(2))
        served.process.send_signal(signal.SIGHUP)
        assert "changed=default@2" in until_logged(served, "reloaded")
        assert client.moderate(HARMLESS).policy_version == "2"


def test_an_engine_that_stops_is_killed_and_replaced_and_its_callers_are_told(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, GUARD_MAX_PASS_S="2", GUARD_HEARTBEAT_S="1") as served:
        options = {"grpc.enable_retries": 0}
        with GuardClient(served.target, timeout=20, options=options) as client:
            client.moderate(HARMLESS)
            hung = served.engine_pid
            os.kill(hung, signal.SIGSTOP)
            started = time.monotonic()
            with pytest.raises(Unavailable):
                client.moderate(f"{HARMLESS} And of Spain?")
            assert time.monotonic() - started < 10
            until_logged(served, "engine_died")
            client.wait_until_ready(60)
            assert client.moderate(HARMLESS).is_allowed
            assert served.engine_pid != hung
    assert any("action=engine_hung" in line for line in served.log)


def test_a_second_signal_ends_at_once_without_success(tmp_path: Path) -> None:
    with serving(tmp_path, GUARD_LAME_DUCK_S="60") as served:
        served.process.send_signal(signal.SIGTERM)
        until_logged(served, "draining")
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(5) == 128 + signal.SIGINT


def test_a_damaged_model_is_refused_with_the_name_of_the_file(
    guard_tiny: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(guard_tiny, tmp_path / "model"))
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    command = [sys.executable, "-m", "guard_service", "serve", "--port", "0"]
    command += ["--metrics-port", "off", "--model", str(folder), "--database-url", "sqlite://"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "damaged or exchanged: model.safetensors" in refused.stderr.splitlines()[-1]


def test_all_problems_of_a_start_are_told_at_once(served: Served, tmp_path: Path) -> None:
    port = served.target.rpartition(":")[2]
    command = [sys.executable, "-m", "guard_service", "serve", "--port", port]
    command += ["--metrics-port", served.metrics.rpartition(":")[2]]
    command += ["--model", "nowhere", "--policies", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    taken = ("host, port: cannot listen on", "metrics_port: cannot listen on")
    for part in (*taken, "nowhere: no such folder", "no policy files"):
        assert part in last
