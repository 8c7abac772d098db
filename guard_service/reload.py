"""Takes over changed policies, access files and settings while serving, whole or not at all.

Checks under way finish with the policy that they began with, which they hold.
"""

import logging
from collections.abc import Callable, Mapping

from guard_service.access.access import Access
from guard_service.config import Settings
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.errors import GuardError
from guard_service.policy import Policy
from guard_service.startup import check_policies, check_texts, load_policies

log = logging.getLogger(__name__)

_RELOADED = {"policies", "log_level"}


class Reloader:
    """Changes `policies` in place, between two turns of the event loop."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        policies: dict[str, Policy],
        tokenizer: GuardTokenizer,
        access: Access,
    ) -> None:
        self._settings = settings
        self._read = read
        self._policies = policies
        self._tokenizer = tokenizer
        self._access = access

    def reload(self) -> None:
        """Read all again; one line in the log says what changed, or why nothing was taken."""
        try:
            settings = self._read()
            taken = self._settings.model_copy(update={n: getattr(settings, n) for n in _RELOADED})
            policies = load_policies(taken)
            check_policies(policies, self._tokenizer)
            check_texts(policies, self._settings)
            contents = self._access.read_again(policies)
        except (GuardError, OSError, ValueError) as error:
            problem = str(error) if isinstance(error, GuardError) else type(error).__name__
            extra = {"action": "reload_refused", "problem": problem}
            log.error("nothing was taken: all stays as it was", extra=extra)
            return
        changes = _changes(self._policies, policies) | self._access.take(contents)
        changes["restart_for"] = _others(self._settings, settings)
        self._take(taken, policies)
        log.info(
            "policies, access and settings were read again", extra={"action": "reloaded", **changes}
        )

    def _take(self, settings: Settings, policies: dict[str, Policy]) -> None:
        self._settings = settings
        self._policies.clear()
        self._policies.update(policies)
        logging.getLogger().setLevel(settings.log_level)


def _changes(old: Mapping[str, Policy], new: Mapping[str, Policy]) -> dict[str, str]:
    """Policies by what happened to them, as id@version."""
    kept = old.keys() & new.keys()
    changed = [name for name in kept if old[name] != new[name]]
    return {
        "added": _names(new, new.keys() - old.keys()),
        "removed": _names(old, old.keys() - new.keys()),
        "changed": _names(new, changed),
    }


def _names(policies: Mapping[str, Policy], ids: "set[str] | list[str]") -> str:
    return ",".join(f"{name}@{policies[name].version}" for name in sorted(ids)) or "-"


def _others(old: Settings, new: Settings) -> str:
    """Settings that changed too but need a new process."""
    names = (n for n in Settings.model_fields if getattr(old, n) != getattr(new, n))
    return ",".join(name for name in names if name not in _RELOADED) or "-"
