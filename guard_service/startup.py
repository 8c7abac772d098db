"""Checks before serving what can be refused, and tells all problems in one message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from guard_service.access.access import Access
from guard_service.config import Settings
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.errors import SettingsInvalid, StartupRefused
from guard_service.evidence import unanswerable
from guard_service.language import load_languages
from guard_service.policy import Policy, read_policies, read_policy
from guard_service.review.cipher import Sealer, read_keys
from guard_service.review.database import database_problem
from guard_service.review.store import ReviewStore
from guard_service.weights.checkpoint import Checkpoint, find_checkpoint

T = TypeVar("T")

_EMBEDDED_POLICIES = Path(__file__).parent / "policies"


@dataclass(slots=True)
class Refusals:
    """What was refused so far; nothing is built on it."""

    errors: list[StartupRefused] = field(default_factory=list)

    def attempt(self, step: Callable[[], T]) -> T | None:
        """What the step gives; None, and its error kept, where it refuses."""
        try:
            return step()
        except StartupRefused as error:
            self.errors.append(error)
            return None

    def tell(self) -> None:
        """Raise if anything was refused: the one error, or all of them in one."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise StartupRefused("; ".join(map(str, self.errors)))


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the settings name, found sound."""

    checkpoint: Checkpoint
    policies: dict[str, Policy]
    tokenizer: GuardTokenizer
    store: ReviewStore
    max_window_tokens: int
    shadow: Policy | None = None


def prepare(settings: Settings, refusals: Refusals, access: Access | None = None) -> Prepared:
    """All that can be known without loading the model; StartupRefused with every problem."""
    checkpoint = refusals.attempt(lambda: find_checkpoint(settings.model))
    policies = refusals.attempt(lambda: load_policies(settings))
    store = refusals.attempt(lambda: _open_store(settings))
    window = window_tokens(settings, checkpoint) if checkpoint else 0
    tokenizer = checkpoint and refusals.attempt(
        lambda: GuardTokenizer.from_folder(checkpoint.folder, window)
    )
    if policies and tokenizer:
        refusals.attempt(lambda: check_policies(policies, tokenizer))
    if policies:
        refusals.attempt(lambda: check_texts(policies, settings))
    shadow = policies and refusals.attempt(lambda: load_shadow(settings, policies))
    if policies and access:
        refusals.attempt(lambda: access.check_policies(policies))
    refusals.tell()
    assert checkpoint and policies and tokenizer and store, "This is a bug: a refusal was lost."
    load_languages()
    return Prepared(checkpoint, policies, tokenizer, store, window, shadow or None)


def load_policies(settings: Settings) -> dict[str, Policy]:
    policies = read_policies(settings.policies or _EMBEDDED_POLICIES)
    if settings.default_policy not in policies:
        raise SettingsInvalid(f"default_policy: no policy {settings.default_policy}")
    return policies


def load_shadow(settings: Settings, policies: Mapping[str, Policy]) -> Policy | None:
    """SettingsInvalid if it is no policy's namesake, or the same readings cannot answer it."""
    if settings.shadow_policy is None:
        return None
    shadow = read_policy(settings.shadow_policy)
    if shadow.id not in policies:
        raise SettingsInvalid(f"shadow_policy: no policy {shadow.id} is in force")
    if problem := unanswerable(shadow, policies[shadow.id]):
        raise SettingsInvalid(f"shadow_policy: {problem}")
    return shadow


def check_policies(policies: dict[str, Policy], tokenizer: GuardTokenizer) -> None:
    """PolicyInvalid if the model cannot read one of them."""
    for policy in policies.values():
        tokenizer.check_policy(policy)


def check_texts(policies: dict[str, Policy], settings: Settings) -> None:
    """SettingsInvalid if texts are to be kept and could not be opened after a restart."""
    keeping = [policy.id for policy in policies.values() if policy.review.keep_text_days]
    has_keys = settings.review_keys or settings.review_keys_file
    if keeping and not has_keys and settings.database_url != "sqlite://":
        raise SettingsInvalid(f"review_keys_file: policy {keeping[0]} keeps texts, without a key")


def window_tokens(settings: Settings, checkpoint: Checkpoint) -> int:
    return min(settings.max_window_tokens or checkpoint.context, checkpoint.context)


def _open_store(settings: Settings) -> ReviewStore:
    url, keys_url = settings.database_url, settings.review_keys_url
    store = ReviewStore(url, open_sealer(settings), keys_url)
    for setting, each in ("database_url", url), ("review_keys_url", keys_url):
        if each and (problem := database_problem(each)):
            raise SettingsInvalid(f"{setting}: {problem}")
    return store


def open_sealer(settings: Settings) -> Sealer:
    """What opens kept texts; SettingsInvalid if the keys cannot be read."""
    text, path = settings.review_keys, settings.review_keys_file
    if path is not None:
        try:
            text += "\n" + path.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            problem = f"review_keys_file: {path}: {type(error).__name__}"
            raise SettingsInvalid(problem) from None
    return Sealer(read_keys(text))
