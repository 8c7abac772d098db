"""The network before training: token embeddings from a multilingual sentence encoder's words."""

import numpy as np
import torch
from encoders import UniversalSentenceEncoder
from encoding import Encoder
from settings import Settings
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from vocabulary import VOCABULARY

EMBEDDING_SCALE = 0.25
SPECIAL_SCALE = 0.05


def build_model(settings: Settings, encoder: Encoder) -> LlamaForCausalLM:
    stops = [encoder.control(name) for name in ("end_of_text", "eom_id", "eot_id")]
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=settings.hidden,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        max_position_embeddings=settings.context,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=encoder.control("begin_of_text"),
        eos_token_id=stops,
        pad_token_id=encoder.control("finetune_right_pad_id"),
    )
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=stops,
        pad_token_id=config.pad_token_id,
        do_sample=False,
    )
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(word_directions(encoder, settings.hidden))
        for name, matrix in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                matrix.mul_((2 * settings.layers) ** -0.5)
    return model


def word_directions(encoder: Encoder, width: int) -> torch.Tensor:
    """[vocabulary, width]: principal components of the encoder's mean word vector of each token."""
    teacher = UniversalSentenceEncoder()
    texts = [encoder.tokenizer.decode([token]) for token in range(VOCABULARY)]
    vectors = np.zeros((VOCABULARY, teacher.width), np.float32)
    for token, ids in enumerate(teacher.ids(texts)):
        inner = [piece for piece in ids[1:-1] if piece]
        if inner:
            vectors[token] = teacher.words[inner].float().mean(0).numpy()
    known = np.abs(vectors).sum(1) > 0
    mean = vectors[known].mean(0)
    _, _, axes = np.linalg.svd(vectors[known] - mean, full_matrices=False)
    found = (vectors - mean) @ axes[:width].T
    found /= np.sqrt((found[known] ** 2).mean())
    rng = np.random.default_rng(0)
    noise = rng.normal(size=found.shape) * SPECIAL_SCALE
    found = np.where(known[:, None], found, 0.0) * EMBEDDING_SCALE + noise
    return torch.from_numpy(found.astype(np.float32))
