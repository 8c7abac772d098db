"""`guard serve` with scripted engine processes: starts in a second, judges by nothing."""

import sys
from pathlib import Path

from guard_service.__main__ import main
from guard_service.supervision import process

process.WORKER = (sys.executable, str(Path(__file__).parent / "worker.py"))

if __name__ == "__main__":
    main()
