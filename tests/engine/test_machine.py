import json
import sys
from pathlib import Path

from guard_service.engine.machine import Gpu, available_memory, cpu_flags, look


def probe(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_this_machine_is_seen_from_another_process() -> None:
    machine = look()
    assert machine.error == ""
    assert machine.packages["torch"] is not None


def test_what_the_probe_says_is_read_off_its_last_line() -> None:
    gpu = {"name": "H200", "free_bytes": 2, "total_bytes": 3, "has_bfloat16": True}
    said = json.dumps({"packages": {"torch": "2.11.0"}, "cuda": "13.0", "gpus": [gpu]})
    machine = look(probe(f"print('a word before'); print({said!r})"))
    assert (machine.cuda, machine.gpus) == ("13.0", (Gpu("H200", 2, 3, True),))


def test_a_warning_of_torch_is_kept_to_its_first_line() -> None:
    said = json.dumps({"warning": "The driver is too old\nGet another"})
    assert look(probe(f"print({said!r})")).warning == "The driver is too old"


def test_a_probe_that_dies_leaves_its_last_words() -> None:
    machine = look(probe("import sys; print('libcuda: broken', file=sys.stderr); sys.exit(7)"))
    assert machine.error == "the probe ended with 7: libcuda: broken"


def test_a_probe_that_hangs_is_given_up() -> None:
    machine = look(probe("import time; time.sleep(60)"), timeout_s=0.2)
    assert machine.error.startswith("torch did not answer")


def test_a_probe_that_cannot_be_started_is_an_error() -> None:
    assert look(("/no/such/python",)).error == "/no/such/python: No such file or directory"


def test_available_memory_is_the_lesser_of_machine_and_container(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    write(tmp_path, "proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   8 kB\n")
    assert available_memory(tmp_path) == 8192
    write(tmp_path, "sys/fs/cgroup/memory.max", "5000\n")
    write(tmp_path, "sys/fs/cgroup/memory.current", "1000\n")
    assert available_memory(tmp_path) == 4000
    write(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    assert available_memory(tmp_path) == 8192


def test_cpu_flags_are_those_of_the_first_core(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path) == frozenset()
    write(tmp_path, "proc/cpuinfo", "model name\t: X\nflags\t\t: fpu avx512_bf16\n\nflags\t: fpu\n")
    assert cpu_flags(tmp_path) == {"fpu", "avx512_bf16"}
