from collections.abc import Iterator

import pytest
from serving import Served, serving

from guard_service.client import GuardClient


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server on guard-tiny for all tests that do no harm to it."""
    with serving(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[GuardClient]:
    with GuardClient(served.target, timeout=60) as client:
        yield client
