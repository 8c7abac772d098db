"""llama.cpp, one prompt after the other, the keys and values of the preamble kept."""

import llama_cpp
import numpy as np
from gguf_writer import write_gguf
from protocol import MAX_ANSWER_TOKENS, Peer, Work, serve


def load(work: Work) -> Peer:
    path = work.cache.with_name(f"{work.cache.name}.gguf")
    if not path.exists():
        write_gguf(work.folder, path, work.dtype)
    longest = max(map(len, work.prompts)) + MAX_ANSWER_TOKENS
    model = llama_cpp.Llama(
        str(path),
        n_ctx=longest,
        n_batch=longest,
        n_ubatch=longest,
        n_threads=work.num_threads or None,
        n_threads_batch=work.num_threads or None,
        verbose=False,
    )
    # One preamble after the other, so that each is computed once.
    order = sorted(range(len(work.prompts)), key=lambda n: work.prompts[n][: work.num_prefix[n]])

    def answer(ids: list[int], num_prefix: int, held: list[int]) -> list[int]:
        if ids[:num_prefix] != held:
            model.reset()
            model.eval(ids[:num_prefix])
        model.n_tokens = num_prefix  # the rest is overwritten
        model.eval(ids[num_prefix:])
        written: list[int] = []
        while (token := next_token(model)) not in work.stop_ids:
            written.append(token)
            if len(written) == MAX_ANSWER_TOKENS:
                break
            model.eval([token])
        return written

    def run() -> list[list[int]]:
        answers: dict[int, list[int]] = {}
        held: list[int] = []
        for place in order:
            ids, num = work.prompts[place], work.num_prefix[place]
            answers[place] = answer(ids, num, held)
            held = ids[:num]
        return [answers[place] for place in range(len(order))]

    return Peer(f"llama-cpp-python {llama_cpp.__version__}", run)


def next_token(model: llama_cpp.Llama) -> int:
    logits = llama_cpp.llama_get_logits_ith(model._ctx.ctx, -1)
    return int(np.ctypeslib.as_array(logits, (model.n_vocab(),)).argmax())


if __name__ == "__main__":
    serve(load)
