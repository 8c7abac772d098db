"""All numbers of a training run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    hidden: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    feed_forward: int = 704
    context: int = 1024
    minutes: float = 36.0
    reading_share: float = 0.55
    reading_tokens: int = 160
    short_text: int = 256
    short_share: float = 0.9
    made_share: float = 0.35
    batch_tokens: int = 5000
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.03
    averaging: float = 0.99
    smoothing: float = 0.02
    category_weight: float = 0.3
    vector_weight: float = 1.0
    piece_dropout: float = 0.05
    token_noise: float = 0.02
    fewer_categories: float = 0.25
    max_false_alarms: float = 0.03
    seed: int = 7
    threads: int = 2
