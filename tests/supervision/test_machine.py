import json
import os
import sys
from pathlib import Path

import torch

from guard_service.supervision.machine import Gpu, Machine, available_memory, look


def probe(code: str) -> Machine:
    return look((sys.executable, "-c", code))


def test_this_machine_is_seen_from_another_process() -> None:
    machine = look()
    assert (machine.torch, machine.error) == (torch.__version__, "")
    assert len(machine.gpus) == torch.cuda.device_count()
    assert machine.ram_bytes > 0


def test_what_the_probe_says_is_read_off_its_last_line() -> None:
    gpu = {"name": "H200", "free_bytes": 2, "total_bytes": 3}
    said = json.dumps({"torch": "2.11.0", "gpus": [gpu]})
    machine = probe(f"print('a word before'); print({said!r})")
    assert (machine.torch, machine.gpus) == ("2.11.0", (Gpu("H200", 2, 3),))


def test_a_torch_that_cannot_be_imported_is_an_error() -> None:
    hidden = "import sys; sys.modules['torch'] = None; from guard_service.engine import probe as p;"
    assert probe(f"{hidden} p.main()").error.startswith("ModuleNotFoundError: import of torch")


def test_a_probe_that_dies_is_an_error() -> None:
    assert probe("import os; os.abort()").error.endswith("ended with status -6")


def test_available_memory_is_the_lesser_of_machine_and_container(tmp_path: Path) -> None:
    meminfo, limit = tmp_path / "proc/meminfo", tmp_path / "sys/fs/cgroup/memory.max"
    for path in (meminfo, limit):
        path.parent.mkdir(parents=True)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert available_memory(tmp_path) == total
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:   8 kB\n")
    assert available_memory(tmp_path) == 8192
    limit.write_text("4000\n")
    assert available_memory(tmp_path) == 4000
    limit.write_text("max\n")
    assert available_memory(tmp_path) == 8192
