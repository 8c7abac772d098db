"""Reference vectors and labelled rows that lie beside a checkout and are not ours to ship."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parent.parent.parent / "shared"


def shared_file(name: str) -> Path:
    """The file, or a skip that GUARD_TEST_REQUIRE_SERVICES turns into a failure."""
    path = SHARED / name
    if not path.is_file():
        reason = f"needs {name} in a folder `shared` beside the checkout"
        if os.environ.get("GUARD_TEST_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
