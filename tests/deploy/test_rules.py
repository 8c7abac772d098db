"""The alert rules and the systemd unit, as the programs that take them see them, where they are."""

import re
import shutil
import subprocess
from pathlib import Path

from services import missing

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"


def run(program: str, *arguments: str | Path) -> str:
    if not shutil.which(program):
        missing(f"needs {program} on the path")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_the_alert_rules() -> None:
    assert "SUCCESS" in run("promtool", "check", "rules", RULES)


def test_alerts_fire_when_they_should_and_not_before() -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", Path(__file__).parent / "alerts_test.yml")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """But for the program and the user, which are not of this machine."""
    text = (DEPLOY / "systemd" / "guard.service").read_text()
    text = re.sub("(?m)^ExecStart=/opt/guard/bin/guard", f"ExecStart={shutil.which('true')}", text)
    unit = tmp_path / "guard.service"
    unit.write_text(re.sub("(?m)^User=guard$", "User=root", text))
    assert run("systemd-analyze", "verify", unit) == ""
