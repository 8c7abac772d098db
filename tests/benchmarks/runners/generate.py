"""transformers' own: `generate` one by one or in static batches, and continuous batching."""

from typing import Any

import torch
import transformers
from protocol import MAX_ANSWER_TOKENS, Peer, Work, serve, until_stop
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

Answers = list[list[int]]


def load(work: Work) -> Peer:
    if work.num_threads:
        torch.set_num_threads(work.num_threads)
    model = AutoModelForCausalLM.from_pretrained(
        work.folder, dtype=getattr(torch, work.dtype), device_map={"": work.device}
    ).eval()
    version = f"transformers {transformers.__version__}"
    if work.options.get("continuous"):
        return Peer(version, lambda: continuous(model, work))
    return Peer(version, lambda: batches(model, work, work.options["batch"]))


@torch.inference_mode()
def batches(model: PreTrainedModel, work: Work, size: int) -> Answers:
    """Sorted by length, padded on the left."""
    order = sorted(range(len(work.prompts)), key=lambda place: len(work.prompts[place]))
    answers: dict[int, list[int]] = {}
    for at in range(0, len(order), size):
        places = order[at : at + size]
        texts = [work.prompts[place] for place in places]
        longest = max(map(len, texts))
        ids = torch.tensor([[0] * (longest - len(text)) + text for text in texts])
        mask = torch.tensor([[0] * (longest - len(t)) + [1] * len(t) for t in texts])
        written = model.generate(
            ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=MAX_ANSWER_TOKENS,
            do_sample=False,
            eos_token_id=work.stop_ids,
            pad_token_id=work.stop_ids[0],
        )
        for place, row in zip(places, written[:, longest:].tolist(), strict=True):
            answers[place] = until_stop(row, work.stop_ids)
    return [answers[place] for place in range(len(order))]


def continuous(model: PreTrainedModel, work: Work) -> Answers:
    config = GenerationConfig(
        max_new_tokens=MAX_ANSWER_TOKENS,
        do_sample=False,
        eos_token_id=work.stop_ids,
        pad_token_id=work.stop_ids[0],
    )
    options: dict[str, Any] = {}
    if work.device == "cpu":  # it cannot look how much memory a CPU has
        options = {"num_blocks": 2048, "max_batch_tokens": 2048, "page_size": 32}
    outputs = model.generate_batch(
        inputs=work.prompts,
        generation_config=config,
        continuous_batching_config=transformers.ContinuousBatchingConfig(**options),
        progress_bar=False,
    )
    done = sorted(outputs.values(), key=lambda output: int(output.request_id.split("_")[-1]))
    return [until_stop(output.generated_tokens, work.stop_ids) for output in done]


if __name__ == "__main__":
    serve(load)
