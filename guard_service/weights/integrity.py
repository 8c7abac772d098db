"""Whether the files of a model are the ones that its manifest knows, byte for byte."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from guard_service.errors import CheckpointRefused

# All that loading reads; the manifest, which holds the digests, is the operator's to trust.
_PATTERNS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "*.safetensors",
    "model.safetensors.index.json",
)


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that loading reads; reads every byte of them."""
    names = sorted({path.name for pattern in _PATTERNS for path in folder.glob(pattern)})
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda name: file_digest(folder / name), names)
        return dict(zip(names, found, strict=True))


def check_digests(folder: Path, found: Mapping[str, str], known: Mapping[str, str]) -> None:
    """CheckpointRefused names every file that differs; nothing is known: nothing is refused."""
    if not known:
        return
    problems = [
        *_say("damaged or exchanged", (n for n in found if n in known and found[n] != known[n])),
        *_say("missing", known.keys() - found.keys()),
        *_say("not in manifest.toml", found.keys() - known.keys()),
    ]
    if problems:
        raise CheckpointRefused(f"{folder}: {'; '.join(problems)}")


def write_digests(folder: Path) -> int:
    """Write what is there now into the folder's manifest; how many files that are."""
    path, digests = folder / "manifest.toml", read_digests(folder)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    table = "".join(f'"{name}" = "{digest}"\n' for name, digest in digests.items())
    kept = re.sub(r"(?m)^\[sha256\]\n(?:(?!\[).*\n?)*", "", text).rstrip()
    path.write_text(f"{kept}\n\n[sha256]\n{table}".lstrip(), encoding="utf-8")
    return len(digests)


def _say(problem: str, names: Iterable[str]) -> list[str]:
    listed = ", ".join(sorted(names))
    return [f"{problem}: {listed}"] if listed else []
