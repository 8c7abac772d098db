"""How long a test goes on that could go on forever."""

import os


def length(name: str, short: int, full: int) -> int:
    """GUARD_TEST_NAME; where that is not set `short`, or with GUARD_TEST_FULL=1 `full`."""
    is_full = os.environ.get("GUARD_TEST_FULL", "0") != "0"
    return int(os.environ.get(f"GUARD_TEST_{name}", full if is_full else short))
