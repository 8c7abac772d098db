"""Fetches a model from the Hugging Face Hub: only what we load, and checked before it is used.

The hub's own library does the transfer: it takes the token from HF_TOKEN or `hf auth login`, never
prints it, and goes on with a file where it was interrupted.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub import errors as hub
from huggingface_hub.hf_api import RepoSibling

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.errors import CheckpointRefused, DownloadFailed
from guard_service.weights.checkpoint import (
    PICKLES,
    Checkpoint,
    check_config,
    find_checkpoint,
    models_folder,
)
from guard_service.weights.integrity import file_digest, write_digests
from guard_service.weights.manifest import Manifest, parse_manifest, read_manifest

_GIB = 2**30
_Files = list[RepoSibling]


def pull(
    model: str, folder: Path, *, revision: str | None = None, endpoint: str | None = None
) -> Checkpoint:
    """Fetch a known model or any OWNER/REPO; files that are there already are only checked."""
    manifest, api = find_manifest(model), HfApi(endpoint=endpoint)
    revision = revision or manifest.revision
    # 1) what is there, and whether we want it
    with _explained(api, manifest.repo, revision):
        found = api.model_info(manifest.repo, revision=revision, files_metadata=True)
    small, weights = _wanted(found.siblings or [], manifest)
    _check_room(folder, small + weights)
    # 2) the small files, which can tell that the gigabytes are of no use
    commit = found.sha or revision
    _fetch(api, manifest.repo, commit, small, folder)
    check_config(folder)
    GuardTokenizer.from_folder(folder)
    # 3) the weights
    _fetch(api, manifest.repo, commit, weights, folder)
    text = re.sub("(?m)^revision = .*", f'revision = "{commit}"', manifest.text)
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    write_digests(folder)
    return find_checkpoint(str(folder))


def find_manifest(model: str) -> Manifest:
    """The manifest of a known name or repository, or a plain one for any other repository."""
    known = [read_manifest(path) for path in sorted(models_folder().glob("*.toml"))]
    for manifest in known:
        if model in (manifest.name, manifest.repo):
            return manifest
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        names = ", ".join(manifest.name for manifest in known)
        raise DownloadFailed(f"{model}: no such model; known are {names}, or give OWNER/REPO")
    text = f'name = "{model}"\nrepo = "{model}"\nrevision = "main"\n'
    return parse_manifest(text, Path("manifest.toml"))


def _wanted(files: _Files, manifest: Manifest) -> tuple[_Files, _Files]:
    """Of the top folder the small files and the weights; CheckpointRefused if there are none."""
    in_top = [file for file in files if "/" not in file.rfilename]
    wanted = [f for f in in_top if any(fnmatchcase(f.rfilename, p) for p in manifest.files)]
    weights = [file for file in wanted if file.rfilename.endswith(".safetensors")]
    if weights:
        return [file for file in wanted if file not in weights], weights
    if pickles := [file.rfilename for file in files if file.rfilename.endswith(PICKLES)]:
        problem = f"its weights are pickles ({pickles[0]}), which can run code and are never loaded"
        raise CheckpointRefused(f"{manifest.repo}: {problem}")
    raise CheckpointRefused(f"{manifest.repo}: has no model*.safetensors files")


def _check_room(folder: Path, files: _Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    missing = (file for file in files if not (folder / file.rfilename).exists())
    needed, free = sum(file.size or 0 for file in missing), shutil.disk_usage(folder).free
    if needed > free:
        problem = f"{needed / _GIB:.1f} GiB are still to fetch, {free / _GIB:.1f} GiB are free"
        raise DownloadFailed(f"{folder}: {problem}")


def _fetch(api: HfApi, repo: str, commit: str, files: _Files, folder: Path) -> None:
    """Fetch what is not there; the library checks sizes, we the digests."""
    for file in files:
        with _explained(api, repo, commit):
            path = Path(
                api.hf_hub_download(repo, file.rfilename, revision=commit, local_dir=folder)
            )
        if file.lfs is not None and file_digest(path) != file.lfs.sha256:
            problem = "is not the file that the hub has"
            raise CheckpointRefused(f"{path}: {problem}; delete it and pull again")


@contextmanager
def _explained(api: HfApi, repo: str, revision: str) -> Iterator[None]:
    """Turn what the hub's library raises into one line that says what to do."""
    try:
        yield
    except Exception as error:  # its network errors are httpx's or httpx2's, by its version
        cause = error.__cause__ if isinstance(error, hub.LocalEntryNotFoundError) else error
        problem = _advice(cause or error, revision)
        raise DownloadFailed(f"{api.endpoint}/{repo}: {problem}") from None


def _advice(error: BaseException, revision: str) -> str:
    """Never the error's own text: it can quote headers or signed addresses."""
    status = error.response.status_code if isinstance(error, hub.HfHubHTTPError) else None
    if isinstance(error, hub.GatedRepoError) or status == 403:
        return (
            "gated: accept its licence there, wait for approval, and set HF_TOKEN to a token of "
            "that account that may read gated repositories (huggingface.co/settings/tokens)"
        )
    if isinstance(error, hub.RepositoryNotFoundError):
        return "no such repository, or one that HF_TOKEN may not read"
    if isinstance(error, hub.RevisionNotFoundError):
        return f"has no revision {revision}"
    if status == 401:
        return "the hub does not know the token in HF_TOKEN"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the disk'}: {error.strerror}"
    return f"failed ({status or type(error).__name__}): pull again later, complete files are kept"
