"""A JSON file that is one array of objects."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guard_service.exchange.task import broken


def read_array(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object with its place; InvalidRequest with the line where it is not JSON."""
    try:
        document = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise broken(f"line {error.lineno}", "is not JSON") from None
    except ValueError:
        raise broken(path.name, "is not UTF-8") from None
    if not isinstance(document, list):
        raise broken(path.name, "must be a list")
    for number, each in enumerate(document):
        if not isinstance(each, dict):
            raise broken(f"[{number}]", "must be an object")
        yield f"[{number}]", each
