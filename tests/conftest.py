"""Fixtures that more than one room's tests need."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoints import meta_tokenizer, save_random_llama

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.weights.checkpoint import models_folder


@pytest.fixture(scope="session")
def guard_tiny() -> Path:
    return models_folder() / "guard-tiny"


@pytest.fixture(scope="session")
def tiny_tokenizer(guard_tiny: Path) -> GuardTokenizer:
    return GuardTokenizer.from_folder(guard_tiny, 1024)


@pytest.fixture(scope="session")
def llama_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardTokenizer]:
    """Meta's Llama 3 tokenizer, as a Hugging Face checkpoint carries it."""
    folder = tmp_path_factory.mktemp("llama-3")
    meta_tokenizer().save(str(folder / "tokenizer.json"))
    yield GuardTokenizer.from_folder(folder)


@pytest.fixture(scope="session")
def random_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights with Meta's tokenizer."""
    return save_random_llama(tmp_path_factory.mktemp("random"))
