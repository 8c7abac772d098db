"""Puts the service's threshold of 0.5 where it belongs, by changing two rows of the output layer.

The margin of `unsafe` over `safe` becomes `scale * margin + shift`, fitted on validation rows.
"""

from dataclasses import dataclass

import numpy as np
import torch
from encoding import Encoder
from reading import read
from rows import Row
from sklearn.linear_model import LogisticRegression
from transformers import LlamaForCausalLM


@dataclass(frozen=True, slots=True)
class Calibration:
    scale: float
    shift: float


def fit_calibration(
    margins: np.ndarray, unsafe: np.ndarray, *, max_false_alarms: float
) -> Calibration:
    """Platt's scaling, then as much shift as keeps false alarms on validation rows rare."""
    regression = LogisticRegression(C=1e3).fit(margins[:, None], unsafe)
    scale, shift = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    edge = float(np.quantile(margins[~unsafe], 1 - max_false_alarms))
    return Calibration(scale, min(shift, -scale * edge))


def bake_calibration(
    model: LlamaForCausalLM, encoder: Encoder, rows: list[Row], *, max_false_alarms: float
) -> Calibration:
    """Changes the model's output rows of `safe` and `unsafe` in place."""
    readings = read(model, encoder, rows)
    hidden = np.stack([reading.hidden for reading in readings])
    unsafe = np.array([row.unsafe for row in rows])
    safe_id, unsafe_id = encoder.verdicts
    weight = model.lm_head.weight.detach()
    gap = weight[unsafe_id] - weight[safe_id]
    found = fit_calibration(hidden @ gap.numpy(), unsafe, max_false_alarms=max_false_alarms)
    # A direction along which every verdict state measures 1, as good as a bias.
    ridge = hidden.T @ hidden + 1e-3 * len(hidden) * np.eye(hidden.shape[1])
    ones = torch.from_numpy(np.linalg.solve(ridge, hidden.sum(0)).astype(np.float32))
    change = ((found.scale - 1) * gap + found.shift * ones) / 2
    weight[unsafe_id] += change
    weight[safe_id] -= change
    return found
