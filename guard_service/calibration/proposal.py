"""A policy file with other thresholds and a raised version; the old one is never written over."""

import re
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path

import tomlkit

from guard_service.calibration.calibration import BASE, Row
from guard_service.errors import InvalidRequest, Violation


def propose(text: str, rows: Sequence[Row]) -> str:
    """The TOML text with what the rows propose; the same text where they propose nothing."""
    changes = {row.what: row.proposed for row in rows if row.proposed is not None}
    if not changes:
        return text
    document = tomlkit.parse(text)
    document["version"] = raised(str(document["version"]))
    for what, threshold in changes.items():
        table = document if what == BASE else document["categories"][what]
        table["threshold"] = threshold
    return tomlkit.dumps(document)


def raised(version: str) -> str:
    """The next version: its last number plus one, as wide as it was."""
    if found := re.search(r"\d+$", version):
        number = found[0]
        return f"{version[: found.start()]}{int(number) + 1:0{len(number)}}"
    return f"{version}-2"


def diff(path: Path, old: str, new: str) -> str:
    lines = unified_diff(old.splitlines(True), new.splitlines(True), path.name, "proposed")
    return "".join(lines)


def write_new(path: Path, text: str) -> None:
    """InvalidRequest where there is such a file."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidRequest((Violation("to", "is there already"),)) from None
