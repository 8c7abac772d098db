"""Fetches a model from the Hugging Face Hub: only what we load, and checked before it is used.

The hub's own library does the transfer: files that are there already are not fetched again, and
its progress bars show on a terminal. It never prints the token, and neither do we.
"""

import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from guard_service.engine.checkpoint import (
    Checkpoint,
    _read_config,
    find_checkpoint,
    models_folder,
)
from guard_service.engine.tokenizer import DEFAULT_WINDOW_TOKENS, GuardTokenizer
from guard_service.errors import CheckpointRefused

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_TOKENS_PAGE = "https://huggingface.co/settings/tokens"
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model on the hub: where it is, what of it we want, and what we know of it."""

    name: str
    repo: str
    files: tuple[str, ...]  # shell patterns for the repository's top folder
    revision: str = "main"
    context: int = DEFAULT_WINDOW_TOKENS
    licence: str = ""
    canaries: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class _RemoteFile:
    name: str
    num_bytes: int
    sha256: str | None  # None for files that git itself keeps: small ones

    @property
    def is_weights(self) -> bool:
        return self.name.endswith(".safetensors")


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The files that we want of one commit."""

    commit: str
    files: tuple[_RemoteFile, ...]


def known_models() -> dict[str, Manifest]:
    """The manifests that we ship, by name."""
    manifests = map(read_manifest, sorted(models_folder().glob("*.toml")))
    return {manifest.name: manifest for manifest in manifests}


def read_manifest(path: Path) -> Manifest:
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    return Manifest(
        name=values["name"],
        repo=values["repo"],
        files=tuple(values["files"]),
        revision=values["revision"],
        context=values["context"],
        licence=values["licence"].strip(),
        canaries=tuple(values.get("canary", ())),
    )


def find_manifest(model: str) -> Manifest:
    """The manifest of a known name or repository, or a plain one for any other repository."""
    known = known_models()
    for manifest in known.values():
        if model in (manifest.name, manifest.repo):
            return manifest
    if model.count("/") != 1:
        names = ", ".join(known)
        raise CheckpointRefused(f"{model}: no such model; known are {names}, or give OWNER/REPO")
    files = next(iter(known.values())).files
    return Manifest(name=model.partition("/")[2].lower(), repo=model, files=files)


def pull(
    manifest: Manifest,
    folder: Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> Checkpoint:
    """Fetch a model into a folder; CheckpointRefused says what is wrong and what to do.

    Run again after an interruption, it fetches only the files that are not complete. Without a
    token the one of HF_TOKEN or of `hf auth login` is used.
    """
    manifest = replace(manifest, revision=revision or manifest.revision)
    hub = endpoint or constants.ENDPOINT
    with _explained(manifest, hub):
        # 1) what is there, and whether we want it
        snapshot = _list(HfApi(endpoint=endpoint, token=token), manifest)
        _check_folder(folder, snapshot)
        # 2) the small files first: they can tell that the gigabytes are of no use
        small = [file for file in snapshot.files if not file.is_weights]
        _fetch(manifest, snapshot.commit, small, folder, token, endpoint)
        _read_config(folder)
        GuardTokenizer.from_folder(folder)
        _fetch(manifest, snapshot.commit, snapshot.files, folder, token, endpoint)
    # 3) that it is what the hub has, and that we would load it
    _check_digests(folder, snapshot.files)
    find_checkpoint(str(folder))
    _write_manifest(folder, manifest, snapshot.commit)
    return find_checkpoint(str(folder))


def _list(api: HfApi, manifest: Manifest) -> _Snapshot:
    found = api.model_info(manifest.repo, revision=manifest.revision, files_metadata=True)
    siblings = found.siblings or []
    files = tuple(
        _RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in siblings
        if _is_wanted(file.rfilename, manifest.files)
    )
    if not any(file.is_weights for file in files):
        raise _no_weights(manifest, [file.rfilename for file in siblings])
    if found.sha is None:
        raise CheckpointRefused(f"{manifest.repo}: the hub names no commit")
    return _Snapshot(found.sha, files)


def _is_wanted(name: str, patterns: Iterable[str]) -> bool:
    """Whether a file is ours: in the top folder, of a wanted name, and never a pickle."""
    is_pickle = name.endswith(_PICKLES)
    in_top = "/" not in name and "\\" not in name
    return in_top and not is_pickle and any(fnmatchcase(name, pattern) for pattern in patterns)


def _no_weights(manifest: Manifest, names: Sequence[str]) -> CheckpointRefused:
    pickles = sorted(name for name in names if name.endswith(_PICKLES))
    if not pickles:
        return CheckpointRefused(f"{manifest.repo}: no model*.safetensors files")
    listed = ", ".join(pickles[:3]) + (", …" if len(pickles) > 3 else "")
    problem = f"its weights are pickles ({listed}), which can run code and are never loaded"
    return CheckpointRefused(f"{manifest.repo}: {problem}; it needs safetensors")


def _check_folder(folder: Path, snapshot: _Snapshot) -> None:
    """Refuse a folder that holds other weights already, or a disk without the room."""
    folder.mkdir(parents=True, exist_ok=True)
    present = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    wanted = {file.name for file in snapshot.files}
    if others := sorted(n for n in present if n.endswith(".safetensors") and n not in wanted):
        problem = f"holds weights of another model or revision ({others[0]})"
        raise CheckpointRefused(f"{folder}: {problem}; pull into an empty folder")
    needed = sum(f.num_bytes for f in snapshot.files if present.get(f.name) != f.num_bytes)
    free = shutil.disk_usage(folder).free
    if needed > free:
        problem = f"{needed / _GIB:.1f} GiB are still to fetch, {free / _GIB:.1f} GiB are free"
        raise CheckpointRefused(f"{folder}: {problem}; make room or choose another folder")


def _fetch(
    manifest: Manifest,
    commit: str,
    files: Sequence[_RemoteFile],
    folder: Path,
    token: str | None,
    endpoint: str | None,
) -> None:
    snapshot_download(
        manifest.repo,
        revision=commit,
        local_dir=folder,
        allow_patterns=[escape(file.name) for file in files],
        token=token,
        endpoint=endpoint,
    )


def _check_digests(folder: Path, files: Iterable[_RemoteFile]) -> None:
    """The library checks sizes alone; a flipped bit in a weight shows only here."""
    for file in files:
        path = folder / file.name
        if not path.is_file():
            raise CheckpointRefused(f"{path}: was not fetched; pull again")
        if file.sha256 is not None and _sha256(path) != file.sha256:
            problem = "is not the file that the hub has"
            raise CheckpointRefused(f"{path}: {problem}; delete it and pull again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(folder: Path, manifest: Manifest, commit: str) -> None:
    """What the service is to know of the model; in place at once or not at all."""
    lines = ["# Written by `guard pull`."]
    lines += _assignments(name=manifest.name, repo=manifest.repo, revision=commit)
    lines += _assignments(context=manifest.context, licence=manifest.licence)
    for canary in manifest.canaries:
        lines += ["", "[[canary]]", *_assignments(**canary)]
    temporary = folder / "manifest.toml.new"
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(folder / "manifest.toml")


def _assignments(**values: str | int | bool) -> list[str]:
    # JSON writes strings, whole numbers and booleans exactly as TOML does.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


@contextmanager
def _explained(manifest: Manifest, hub: str) -> Iterator[None]:
    """Turn what the hub's library raises into one line that says what to do."""
    try:
        yield
    except CheckpointRefused:
        raise
    except Exception as error:  # its network errors are httpx's or httpx2's, by its version
        raise CheckpointRefused(f"{manifest.repo}: {_advice(error, manifest, hub)}") from None


def _advice(error: Exception, manifest: Manifest, hub: str) -> str:
    """Never the error's own text: it can quote headers or signed addresses."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    match error:
        case GatedRepoError() if status == 401:
            return (
                f"gated: accept the licence at {hub}/{manifest.repo}, then set HF_TOKEN to a "
                f"token of that account ({_TOKENS_PAGE})"
            )
        case GatedRepoError():
            return (
                f"gated, and the account of HF_TOKEN has no access: accept the licence at "
                f"{hub}/{manifest.repo} and wait for approval; a fine-grained token must also be "
                "allowed to read gated repositories"
            )
        case RepositoryNotFoundError():
            return f"no such repository on {hub}, or a private one that HF_TOKEN may not read"
        case RevisionNotFoundError():
            return f"has no revision {manifest.revision}"
        case HFValidationError():
            return "not the name of a repository: write OWNER/REPO"
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set: unset it to fetch anything"
    if status == 401:
        return f"{hub} does not know the token in HF_TOKEN: make one at {_TOKENS_PAGE}"
    if status is not None:
        return f"{hub} answered {status}: try again later; what is complete is kept"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"{hub} cannot be reached ({type(error).__name__}): check the network and pull again"
