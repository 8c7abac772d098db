"""All numbers of a training run but the teachers' own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    context: int = 1024
    text_tokens: int = 256
    rank: int = 16  # of each fit
    num_fits: int = 2
    distances: tuple[int, ...] = (1, 2)
    gain: float = 16.0
    epochs: int = 2
    batch_rows: int = 256
    learning_rate: float = 1e-2
    weight_decay: float = 0.3
    smoothing: float = 0.03
    max_false_alarms: float = 0.04
    seed: int = 7
    threads: int = 2
