"""Fetches a model from the Hugging Face Hub: only what we load, and checked before it is used.

The hub's own library does the transfer: files that are there already are not fetched again, and
its progress bars show on a terminal. It never prints the token, and neither do we.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling

from guard_service.engine.checkpoint import Checkpoint, check_config, find_checkpoint
from guard_service.engine.manifest import Manifest, find_manifest, write_manifest
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.errors import CheckpointRefused

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_TOKENS_PAGE = "https://huggingface.co/settings/tokens"
_GIB = 2**30


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


@dataclass(frozen=True, slots=True)
class _Hub:
    """A repository on a hub, and who asks for it."""

    manifest: Manifest
    endpoint: str
    token: str | None = field(repr=False)

    def list(self) -> _Snapshot:
        """The files that we want of the revision's commit, or CheckpointRefused."""
        manifest = self.manifest
        api = HfApi(endpoint=self.endpoint, token=self.token)
        with _explained(self):
            found = api.model_info(manifest.repo, revision=manifest.revision, files_metadata=True)
        files = tuple(map(_remote_file, found.siblings or ()))
        wanted = tuple(file for file in files if _is_wanted(file.name, manifest.files))
        if not any(file.is_weights for file in wanted):
            raise _no_weights(manifest.repo, [file.name for file in files])
        if found.sha is None:
            raise CheckpointRefused(f"{manifest.repo}: the hub names no commit")
        return _Snapshot(found.sha, wanted)

    def fetch(self, commit: str, files: Iterable[_RemoteFile], folder: Path) -> None:
        with _explained(self):
            snapshot_download(
                self.manifest.repo,
                revision=commit,
                local_dir=folder,
                allow_patterns=[escape(file.name) for file in files],
                token=self.token,
                endpoint=self.endpoint,
            )


def pull(
    model: str,
    folder: Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> Checkpoint:
    """Fetch a known model or any OWNER/REPO; CheckpointRefused says what is wrong and what to do.

    Run again after an interruption, it fetches only the files that are not complete. Without a
    token the one of HF_TOKEN or of `hf auth login` is used.
    """
    manifest = find_manifest(model)
    manifest = replace(manifest, revision=revision or manifest.revision)
    hub = _Hub(manifest, endpoint or constants.ENDPOINT, token)
    # 1) what is there, and whether we want it
    snapshot = hub.list()
    _check_folder(folder, snapshot)
    # 2) the small files first: they can tell that the gigabytes are of no use
    hub.fetch(snapshot.commit, (f for f in snapshot.files if not f.is_weights), folder)
    check_config(folder)
    GuardTokenizer.from_folder(folder)
    hub.fetch(snapshot.commit, snapshot.files, folder)
    # 3) that it is what the hub has, and that we would load it
    _check_digests(folder, snapshot.files)
    find_checkpoint(str(folder))
    write_manifest(folder, manifest, snapshot.commit)
    return find_checkpoint(str(folder))


def _remote_file(file: RepoSibling) -> _RemoteFile:
    return _RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)


def _is_wanted(name: str, patterns: Iterable[str]) -> bool:
    """Whether a file is ours: in the top folder, of a wanted name, and never a pickle."""
    is_pickle = name.endswith(_PICKLES)
    in_top = "/" not in name and "\\" not in name
    return in_top and not is_pickle and any(fnmatchcase(name, pattern) for pattern in patterns)


def _no_weights(repo: str, names: Sequence[str]) -> CheckpointRefused:
    pickles = sorted(name for name in names if name.endswith(_PICKLES))
    if not pickles:
        return CheckpointRefused(f"{repo}: has no model*.safetensors files")
    listed = ", ".join(pickles[:3]) + (", …" if len(pickles) > 3 else "")
    problem = f"its weights are pickles ({listed}), which can run code and are never loaded"
    return CheckpointRefused(f"{repo}: {problem}; it needs safetensors")


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


@contextmanager
def _explained(hub: _Hub) -> Iterator[None]:
    """Turn what the hub's library raises into one line that says what to do."""
    try:
        yield
    except Exception as error:  # its network errors are httpx's or httpx2's, by its version
        raise CheckpointRefused(f"{hub.manifest.repo}: {_advice(error, hub)}") from None


def _advice(error: Exception, hub: _Hub) -> str:
    """Never the error's own text: it can quote headers or signed addresses."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    page = f"{hub.endpoint}/{hub.manifest.repo}"
    match error:
        case GatedRepoError() if status == 401:
            return (
                f"gated: accept the licence at {page}, then set HF_TOKEN to a token of that "
                f"account ({_TOKENS_PAGE})"
            )
        case GatedRepoError():
            return (
                "gated, and the account of HF_TOKEN has no access: accept the licence at "
                f"{page} and wait for approval; a fine-grained token must also be allowed to "
                "read gated repositories"
            )
        case RepositoryNotFoundError():
            return f"no such repository on {hub.endpoint}, or one that HF_TOKEN may not read"
        case RevisionNotFoundError():
            return f"has no revision {hub.manifest.revision}"
        case HFValidationError():
            return "not the name of a repository: write OWNER/REPO"
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set: unset it to fetch anything"
    if status == 401:
        return f"{hub.endpoint} does not know the token in HF_TOKEN: make one at {_TOKENS_PAGE}"
    if status is not None:
        return f"{hub.endpoint} answered {status}: pull again later; complete files are kept"
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{error.filename or 'the disk'}: {error.strerror}"
    return f"{hub.endpoint} cannot be reached ({type(error).__name__}): pull again once it can be"
