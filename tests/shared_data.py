"""Reference vectors and labelled rows that lie beside a checkout and are not ours to ship."""

from pathlib import Path

from services import missing

SHARED = Path(__file__).parent.parent.parent / "shared"


def shared_file(name: str) -> Path:
    """The file, or a skip that GUARD_TEST_REQUIRE_SERVICES turns into a failure."""
    path = SHARED / name
    if not path.is_file():
        missing(f"needs {name} in a folder `shared` beside the checkout")
    return path
