"""The RayJob of deploy/ asks for what `guard screen` takes and for places that its pods have."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from guard_service.cli import commands

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kuberay/screen.yaml").read_text())
    return loaded


def container(group: dict[str, Any]) -> dict[str, Any]:
    (only,) = group["template"]["spec"]["containers"]
    return dict(only)


def groups(job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Head and workers."""
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    return cluster["headGroupSpec"], workers


def asked(job: dict[str, Any]) -> dict[str, Any]:
    """What the entrypoint says, as the command itself reads it."""
    program, name, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert program == "guard"
    command = get_command(commands).commands[name]  # type: ignore[attr-defined]
    return dict(command.make_context(name, arguments).params)


def test_the_entrypoint_is_a_command_for_the_cluster_it_runs_in(job: dict[str, Any]) -> None:
    parameters = asked(job)
    assert parameters["ray"] == "auto"
    (_, workers) = groups(job)
    gpus = float(container(workers)["resources"]["limits"]["nvidia.com/gpu"])
    assert parameters["gpus_per_engine"] <= gpus
    assert parameters["cpus_per_engine"] <= float(container(workers)["resources"]["limits"]["cpu"])


def test_each_pod_has_the_places_that_its_part_reads_and_writes(job: dict[str, Any]) -> None:
    parameters, (head, workers) = asked(job), groups(job)
    needed = {"head": [*parameters["inputs"], parameters["folder"], parameters["model"]]}
    needed["workers"] = [parameters["model"]]
    for group, paths in ((head, needed["head"]), (workers, needed["workers"])):
        mounted = {mount["name"]: mount for mount in container(group)["volumeMounts"]}
        assert mounted.keys() == {each["name"] for each in group["template"]["spec"]["volumes"]}
        for path in paths:
            assert any(str(path).startswith(each["mountPath"] + "/") for each in mounted.values())
    output = next(m for m in container(head)["volumeMounts"] if m["mountPath"] == "/data")
    assert not output.get("readOnly")


def test_head_and_workers_are_of_one_image_and_of_the_ray_that_ci_runs(job: dict[str, Any]) -> None:
    head, workers = groups(job)
    assert container(head)["image"] == container(workers)["image"]
    tested = re.search(r"^ray==(.+)$", (ROOT / ".ci/constraints.txt").read_text(), re.MULTILINE)
    assert tested
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == tested[1]
    assert head["rayStartParams"]["num-cpus"] == "0"  # no engine beside the one that publishes
