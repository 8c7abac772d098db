"""A JSON file that is one array of objects."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guard_service.exchange.task import broken


@contextmanager
def writing_array(path: Path) -> Iterator[Callable[[Any], None]]:
    """Takes the objects one by one; none stays in memory."""
    with path.open("w", encoding="ascii") as file:
        before = "["

        def add(value: Any) -> None:
            nonlocal before
            file.write(before + json.dumps(value))
            before = ",\n"

        yield add
        file.write("[]\n" if before == "[" else "]\n")


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
