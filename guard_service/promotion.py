"""Exchanges a policy of a folder for another version, and back; every version is kept.

policies/default.toml               in force
policies/history/default@1.toml     each version that was, byte for byte
policies/history/journal.jsonl      who exchanged what, and when
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from guard_service.errors import InvalidRequest, Violation
from guard_service.policy import read_policy

_PROMOTED, _ROLLED_BACK = "promoted", "rolled_back"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the journal."""

    at: str
    act: str
    policy: str
    before: str  # versions; empty: there was none
    after: str
    digest: str
    by: str


def promote(folder: Path, file: Path, by: str) -> Change:
    """Put the file's policy in force; InvalidRequest where its version is, or was another one."""
    policy = read_policy(file)
    with _locked(folder):
        place = _place_of(folder, policy.id)
        before = read_policy(place).version if place.exists() else ""
        if before == policy.version:
            raise _refused("version", f"{before} is in force: raise it")
        if before:
            _keep(folder, policy.id, before, place.read_bytes())
        _keep(folder, policy.id, policy.version, file.read_bytes())
        return _exchange(
            folder,
            place,
            Change(_now(), _PROMOTED, policy.id, before, policy.version, policy.digest, by),
        )


def roll_back(folder: Path, policy_id: str, by: str, to: str = "") -> Change:
    """Put the version in force again that the one in force replaced, or a named one."""
    with _locked(folder):
        place = _place_of(folder, policy_id)
        if not place.exists():
            raise _refused("policy", "none of this id is in force")
        before, after = read_policy(place).version, to or _replaced(folder, policy_id)
        kept = _kept(folder, policy_id, after)
        if not after or not kept.exists() or after == before:
            raise _refused("to", "no such earlier version")
        digest = read_policy(kept).digest
        return _exchange(
            folder, place, Change(_now(), _ROLLED_BACK, policy_id, before, after, digest, by)
        )


def read_journal(folder: Path) -> Iterator[Change]:
    """Oldest first."""
    path = _journal(folder)
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        yield Change(**json.loads(line))


def _replaced(folder: Path, policy_id: str) -> str:
    """What is under the version in force: promotions lie on each other, and roll-backs take off."""
    stack: list[str] = []
    for change in read_journal(folder):
        if change.policy != policy_id:
            continue
        if change.act == _PROMOTED:
            stack.append(change.before)
        else:
            while stack and stack.pop() != change.after:
                pass
    return stack[-1] if stack else ""


def _exchange(folder: Path, place: Path, change: Change) -> Change:
    """The journal first: who reads it after a crash sees what was meant, and the file what is."""
    line = json.dumps(asdict(change)) + "\n"
    with _journal(folder).open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    _write(place, _kept(folder, change.policy, change.after).read_bytes())
    return change


def _keep(folder: Path, policy_id: str, version: str, content: bytes) -> None:
    kept = _kept(folder, policy_id, version)
    if not kept.exists():
        _write(kept, content)
    elif kept.read_bytes() != content:
        raise _refused("version", f"{version} was another policy before: versions are not reused")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and on disk."""
    partly = path.with_name(f".{path.name}.new")
    with partly.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partly.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _place_of(folder: Path, policy_id: str) -> Path:
    """The file that defines the policy, or the one that would."""
    named = (path for path in folder.glob("*.toml") if read_policy(path).id == policy_id)
    return next(named, folder / f"{policy_id}.toml")


def _kept(folder: Path, policy_id: str, version: str) -> Path:
    return folder / "history" / f"{policy_id}@{version}.toml"


def _journal(folder: Path) -> Path:
    return folder / "history" / "journal.jsonl"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One exchange at a time."""
    (folder / "history").mkdir(exist_ok=True)
    with (folder / "history" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _refused(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(field, problem),))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
