"""`guard bench` as a shell runs it, on guard-tiny and against a running service."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from serving import serving


def bench(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    quick = ("--requests", "6", "--load-share", "0.5", "--duration-s", "0.3")
    command = (sys.executable, "-m", "guard_service", "bench", *quick, *arguments)
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)


def test_everything_of_one_measurement_is_in_the_report(tmp_path: Path) -> None:
    flags = ("--agreement", "bfloat16", "--price-per-hour", "1", "--plot", "load.svg")
    flags += ("--devices", "cpu")
    done = bench("--json", "report.json", *flags, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Saturated" in done.stdout and "Poisson" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    (saturated,) = report["throughput"]
    assert (saturated["num_requests"], saturated["num_failed"]) == (6, 0)
    assert saturated["mfu"] > 0 and saturated["cost_per_million_tokens"] > 0
    assert report["load_s"] > 0 and report["peak_ram_bytes"] > 1e7
    assert report["agreement"][0]["num_prompts"] == 6
    assert report["latency"][0]["share"] == 0.5
    ET.parse(tmp_path / "load.svg")


def test_a_running_service_is_measured_through_its_port(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        done = bench("--target", served.target, "--json", "report.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["target"], report["dtype"]) == (served.target, "float32")
    assert report["throughput"][0]["num_failed"] == 0
    assert report["load_s"] is None


def test_a_workload_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    done = bench("--workload", "W7", folder=tmp_path)
    assert done.returncode == 1
    assert "W7 is none of W100" in done.stderr
