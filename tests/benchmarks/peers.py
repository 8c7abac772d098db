"""Ours against what a user would pick instead, in turn, on the same prompts (`make bench`).

    PYTHONPATH=tests python -m benchmarks.peers --model FOLDER [--rows FILE.jsonl | --workload W100]

Leaves one JSON and one Markdown file. Exit status 1 if a peer's verdict differs from ours by more
than rounding explains, or if ours did not run.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.racing import Answer, Compared, Entry, Result, Runner, compare, race, rate
from benchmarks.readout import default_policy, stop_ids
from benchmarks.runners.protocol import Work

from guard_service.benchmark.measure import Plan, judged_of
from guard_service.conversation import Conversation
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.verdict import listed_codes
from guard_service.weights.checkpoint import models_folder

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("ours", "ours.py", "", {"batch": 64}),
        Entry("ours over gRPC", "service.py", "", {"in_flight": 128}),
        Entry("generate, one by one", "generate.py", "", {"batch": 1}),
        Entry("generate, static batch", "generate.py", "", {"batch": 32}),
        Entry("transformers continuous batching", "generate.py", "", {"continuous": True}),
        Entry("llama.cpp, prefix kept", "llama_cpp_kept.py", "llama_cpp", {}),
        Entry("vLLM CPU, prefix cache", "vllm_cpu.py", "vllm", {}),
    )
}
HEADINGS = (
    *("", "req/s, median", "slowest to fastest round", "against the card's loop"),
    *("ours is faster by", "verdicts equal", "answers equal", "loaded in"),
)
OURS, CARD = "ours", "generate, one by one"

# How far from the threshold rounding may tip a verdict: of weights that mean nothing in bfloat16
# much further than of a trained model. There transformers' own logit of "unsafe" is off by 0.44
# (root mean square of 59 prompts, 67m) from its float32, as is ours; the band is three times that.
BANDS = {"float32": 0.02, "bfloat16": 0.28}


def main() -> None:
    wanted = _arguments()
    work, tokenizer = work_of(wanted)
    wanted.out.mkdir(parents=True, exist_ok=True)
    runners = [
        Runner(ENTRIES[name], work, wanted.out / "peers.log") for name in wanted.peers or ENTRIES
    ]
    try:
        race(runners, wanted.rounds)
    finally:
        for runner in runners:
            runner.close()
    results = [runner.result(read_answers(runner.raw, tokenizer, work)) for runner in runners]
    compared = compare_all(results, BANDS[wanted.dtype])
    text = markdown(results, compared, _title(wanted, work))
    print(text)
    (wanted.out / "peers.md").write_text(text)
    (wanted.out / "peers.json").write_text(json.dumps(_figures(results, compared), indent=2))
    sys.exit(status(results, compared))


def work_of(wanted: argparse.Namespace) -> tuple[Work, GuardTokenizer]:
    tokenizer, policy = GuardTokenizer.from_folder(wanted.model), default_policy()
    plan = Plan(
        workloads=() if wanted.rows else (wanted.workload,),
        rows=wanted.rows,
        num_requests=wanted.prompts,
        seed=wanted.seed,
    )
    ((_, judged),) = judged_of(plan, wanted.model)
    prompts = [tokenizer.prompts(one, policy)[0][0] for one in judged]
    work = Work(
        folder=str(wanted.model),
        dtype=wanted.dtype,
        device=wanted.device,
        num_threads=wanted.threads,
        prompts=[[*prompt.prefix.ids, *prompt.ids] for prompt in prompts],
        num_prefix=[len(prompt.prefix.ids) for prompt in prompts],
        codes=[category.code for category in policy.categories],
        messages=[_messages(one) for one in judged],
        stop_ids=stop_ids(tokenizer),
        options={},
    )
    return work, tokenizer


def read_answers(raw: Sequence[Any], tokenizer: GuardTokenizer, work: Work) -> list[Answer]:
    """Scores and codes as ours tells them, or the ids that a peer wrote."""
    answers = []
    for one in raw:
        if isinstance(one, dict):
            is_unsafe, codes = one["score"] >= 0.5, one["codes"]
            answers.append(Answer(is_unsafe, frozenset(codes), one["score"]))
        else:
            codes = listed_codes(tokenizer.decode(one), work.codes)
            answers.append(Answer(one[:1] == [tokenizer.answer.unsafe], frozenset(codes)))
    return answers


def compare_all(results: Sequence[Result], band: float) -> dict[str, Compared]:
    """Every peer that ran against ours."""
    ours = next((r.answers for r in results if r.entry.name == OURS and not r.problem), ())
    return {
        result.entry.name: compare(result.answers, ours, band)
        for result in results
        if ours and not result.problem
    }


def status(results: Sequence[Result], compared: dict[str, Compared]) -> int:
    """1 where an answer is wrong or ours is missing; a peer that cannot run here is no failure."""
    has_ours = OURS in compared
    return int(not has_ours or any(one.num_verdicts_outside for one in compared.values()))


def markdown(results: Sequence[Result], compared: dict[str, Compared], title: str) -> str:
    by_name = {result.entry.name: result for result in results if not result.problem}
    card = rate(by_name[CARD]) if CARD in by_name else None
    lines = [title, "", f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    for result in results:
        lines.append(_row(result, compared, card, by_name.get(OURS)))
    return "\n".join(lines) + "\n"


def _row(
    result: Result, compared: dict[str, Compared], card: float | None, ours: Result | None
) -> str:
    if result.problem:
        return f"| {result.entry.name} | not measured: {result.problem} | | | | | | |"
    rates = sorted(len(result.answers) / seconds for seconds in result.seconds)
    same = compared.get(result.entry.name)
    cells = [
        f"{result.entry.name} ({result.version})",
        f"{rate(result):.2f}",
        f"{rates[0]:.2f} to {rates[-1]:.2f}",
        f"{rate(result) / card:.2f}x" if card else "",
        f"{rate(ours) / rate(result):.2f}x" if ours else "",
        f"{same.num_verdicts_equal}/{same.num} ({same.num_verdicts_outside} wrong)" if same else "",
        f"{same.num_answers_equal}/{same.num}" if same else "",
        f"{result.load_s:.1f} s",
    ]
    return f"| {' | '.join(cells)} |"


def _figures(results: Sequence[Result], compared: dict[str, Compared]) -> list[dict[str, Any]]:
    return [
        {
            "peer": result.entry.name,
            "version": result.version,
            "problem": result.problem,
            "load_s": result.load_s,
            "seconds": result.seconds,
            "num_prompts": len(result.answers),
            "answers": asdict(compared[result.entry.name])
            if result.entry.name in compared
            else None,
        }
        for result in results
    ]


def _title(wanted: argparse.Namespace, work: Work) -> str:
    tokens = sum(map(len, work.prompts))
    source = wanted.rows.name if wanted.rows else wanted.workload
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.processor() or platform.machine()}, "
        f"{wanted.model.name}, {wanted.dtype} on {wanted.device}: {len(work.prompts)} prompts of "
        f"{source}, {tokens} tokens, {wanted.rounds} rounds in turn"
    )


def _messages(judged: Conversation) -> list[dict[str, str]]:
    return [{"role": one.role.value, "content": one.content} for one in judged.messages]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=models_folder() / "guard-tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=BANDS, default="float32")
    parser.add_argument("--threads", type=int, default=0, help="0: each engine's own choice")
    parser.add_argument("--workload", default="W100")
    parser.add_argument("--rows", type=Path, help="labelled rows (JSON lines) instead")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="+", choices=ENTRIES)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
