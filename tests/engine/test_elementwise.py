import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import save_random_llama
from conversations import conversation, policy

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine import kernels
from guard_service.engine.kernels import has_compiler
from guard_service.engine.message import Load
from guard_service.engine.worker import load_guard

START = """
import sys
from pathlib import Path
from guard_service.engine import kernels
from guard_service.engine.message import Load
from guard_service.engine.worker import load_guard
kernels.MIN_COMPILED_WEIGHTS = 0
load_guard(Load(Path(sys.argv[1]), "cpu", "float32", None))
print("loaded")
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its own parts
@pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler")
def test_a_compiled_model_reads_what_a_plain_one_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_random_llama(tmp_path)
    tokenizer = GuardTokenizer.from_folder(folder)
    judged = [conversation("word " * num) for num in (1, 40, 7)]
    prompts = [tokenizer.prompts(one, policy())[0][0] for one in judged]
    load = Load(folder, "cpu", "float32", None)
    plain = load_guard(load)[0].read(prompts)
    monkeypatch.setattr(kernels, "MIN_COMPILED_WEIGHTS", 0)
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
