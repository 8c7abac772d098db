"""What a check of the doctor says."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    OK = "ok"
    WARN = "warn"  # it will serve, but read this
    FAIL = "fail"  # it will not serve


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    name: str
    detail: str
    advice: str = ""  # what to do; empty where all is well


def ok(name: str, detail: str) -> Finding:
    return Finding(Level.OK, name, detail)


def warn(name: str, detail: str, advice: str) -> Finding:
    return Finding(Level.WARN, name, detail, advice)


def fail(name: str, detail: str, advice: str) -> Finding:
    return Finding(Level.FAIL, name, detail, advice)
