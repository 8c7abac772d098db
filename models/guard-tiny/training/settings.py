"""All numbers of a training run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    hidden: int = 192
    layers: int = 3
    heads: int = 6
    kv_heads: int = 2
    feed_forward: int = 512
    context: int = 1024
    reading_epochs: float = 2.0
    reading_tokens: int = 160
    epochs: float = 4.0
    num_made: int = 5000
    short_text: int = 256
    short_share: float = 0.85
    batch_tokens: int = 5000
    reading_batch_tokens: int = 3500
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.05
    warmup: float = 0.04
    averaging: float = 0.99
    smoothing: float = 0.02
    language_weight: float = 0.5
    language_share: float = 0.1
    category_weight: float = 0.3
    vector_weight: float = 1.0
    hint_weight: float = 0.5
    piece_dropout: float = 0.05
    token_noise: float = 0.02
    fewer_categories: float = 0.25
    max_false_alarms: float = 0.015
    snapshot_every: int = 400
    seed: int = 7
    threads: int = 2
