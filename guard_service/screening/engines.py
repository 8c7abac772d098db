"""Engines on a cluster: how many, and what of it each of them takes. Knows nothing of Ray."""

from dataclasses import dataclass
from pathlib import Path

from guard_service.config import Settings


@dataclass(frozen=True, slots=True)
class Engines:
    num: int | None = None  # None: as many as there is room for, also when the cluster grows
    num_cpus: float = 1.0  # of each
    num_gpus: float | None = None  # of each; None: one, if the cluster has any

    def settings(self, settings: Settings) -> Settings:
        """Those of one engine in a worker, which sees no GPU but what Ray gave it."""
        told = {
            "devices": "auto" if self.num_gpus else "cpu",
            "num_threads": settings.num_threads or max(1, int(self.num_cpus)),
            "model": _absolute(settings.model),
            "policies": settings.policies and settings.policies.absolute(),
        }
        return settings.model_copy(update=told)


def _absolute(model: str) -> str:
    """A worker's current folder is another one."""
    return str(Path(model).absolute()) if Path(model).is_dir() else model
