import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checkpoints import save_random_llama
from conversations import conversation, policy

from guard_service.engine import elementwise
from guard_service.engine.elementwise import pays
from guard_service.engine.message import Load
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.engine.worker import load_guard

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LARGE = 8_000_000_000
START = """
import sys
from pathlib import Path
from guard_service.engine import elementwise
from guard_service.engine.message import Load
from guard_service.engine.worker import load_guard
elementwise.MIN_CPU_WEIGHTS = 0
load_guard(Load(Path(sys.argv[1]), "cpu", "float32", None))
print("loaded")
"""


def test_compiling_pays_on_a_gpu_and_for_a_large_model_on_a_cpu_with_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", sys.executable)  # any program that is there
    assert pays(CUDA, 1) and pays(CPU, LARGE) and not pays(CPU, 18_000_000)
    monkeypatch.setenv("CXX", "/no/such/compiler")
    assert pays(CUDA, 1) and not pays(CPU, LARGE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its own parts
@pytest.mark.skipif(not pays(CPU, LARGE), reason="needs a C++ compiler")
def test_a_compiled_model_reads_what_a_plain_one_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_random_llama(tmp_path)
    tokenizer = GuardTokenizer.from_folder(folder)
    judged = [conversation("word " * num) for num in (1, 40, 7)]
    prompts = [tokenizer.prompts(one, policy())[0][0] for one in judged]
    load = Load(folder, "cpu", "float32", None)
    plain = load_guard(load)[0].read(prompts)
    monkeypatch.setattr(elementwise, "MIN_CPU_WEIGHTS", 0)
    compiled = load_guard(load)[0].read(prompts)
    assert [reading.unsafe_score for reading in compiled] == pytest.approx(
        [reading.unsafe_score for reading in plain], abs=1e-5
    )


def test_a_compiler_that_fails_leaves_a_model_that_reads(guard_tiny: Path, tmp_path: Path) -> None:
    broken = {"CXX": "/bin/false", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    started = subprocess.run(
        (sys.executable, "-c", START, str(guard_tiny)),
        env=os.environ | broken,
        capture_output=True,
        text=True,
    )
    assert started.stdout == "loaded\n"
    assert "InductorError" in started.stderr
