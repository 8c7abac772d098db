"""vLLM in this process, its prefix cache on: each measured run finds the two preambles only."""

import os

from protocol import MAX_ANSWER_TOKENS, Peer, Work, serve, until_stop

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")

import vllm


def load(work: Work) -> Peer:
    cores = sorted(os.sched_getaffinity(0))[: work.num_threads or None]
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))
    engine = vllm.LLM(
        model=work.folder,
        dtype=work.dtype,
        skip_tokenizer_init=True,
        enable_prefix_caching=True,
        block_size=32,  # its default of 128 on a CPU shares less of the preamble
        max_model_len=max(map(len, work.prompts)) + MAX_ANSWER_TOKENS,
        enforce_eager=work.options.get("eager", False),
    )
    prefixes = {tuple(p[:n]) for p, n in zip(work.prompts, work.num_prefix, strict=True)}

    def write(prompts: list[list[int]], max_tokens: int) -> list[list[int]]:
        sampling = vllm.SamplingParams(
            temperature=0,
            max_tokens=max_tokens,
            stop_token_ids=work.stop_ids,
            detokenize=False,
        )
        wanted = [{"prompt_token_ids": ids} for ids in prompts]
        written = engine.generate(wanted, sampling, use_tqdm=False)
        return [until_stop(list(one.outputs[0].token_ids), work.stop_ids) for one in written]

    def prepare() -> None:
        engine.reset_prefix_cache()
        write([list(prefix) for prefix in prefixes], 1)

    version = f"vllm {vllm.__version__}"
    return Peer(version, lambda: write(work.prompts, MAX_ANSWER_TOKENS), prepare)


if __name__ == "__main__":
    serve(load)
