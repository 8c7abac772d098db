"""A whole screening over engine processes that die of some conversations."""

import json
from pathlib import Path

import pytest
from conversations import policy
from faults.test_engine import Stand
from faults.worker import DEATHS, FIRST_MARK
from screened import READER, TERMS
from scripted_judge import CODES

from guard_service.conversation import Conversation, Limits
from guard_service.encoding.window import Coverage
from guard_service.pipeline import Pipeline
from guard_service.policy import Policy
from guard_service.prompt import Prefix, Prompt
from guard_service.screening import culprit
from guard_service.screening.culprit import CulpritFinder
from guard_service.screening.judge import LocalJudge, NoReview
from guard_service.screening.output import Output
from guard_service.screening.run import Screening
from guard_service.screening.source import find_sources
from guard_service.supervision import supervisor

NUM_LINES = 300
DEADLY = {50 * (number + 1): fault for number, fault in enumerate(DEATHS[::2])}  # by line


class MarkingTokenizer:
    """One id for each character; "deadly N" has the mark of fault N."""

    def prompts(self, conversation: Conversation, _: Policy) -> tuple[tuple[Prompt, ...], Coverage]:
        text = conversation.judged.content
        ids = tuple(map(ord, text))
        if text.startswith("deadly "):
            ids += (FIRST_MARK + int(text[7:]),)
        prompt = Prompt(Prefix((1, 2), CODES), ids)
        return (prompt,), Coverage(len(text), len(text), 1)


def write_log(path: Path) -> Path:
    texts = [f"line {number}" for number in range(1, NUM_LINES + 1)]
    for line, fault in DEADLY.items():
        texts[line - 1] = f"deadly {DEATHS.index(fault)}"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


async def test_a_conversation_that_kills_engines_is_a_reject_and_all_others_are_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_MIN_BACKOFF_S", 0.001)
    monkeypatch.setattr(supervisor, "_MAX_BACKOFF_S", 0.01)
    monkeypatch.setattr(culprit, "_POLL_S", 0.01)
    log, stand, policies = write_log(tmp_path / "log.jsonl"), Stand(), {"test": policy()}
    await stand.pool.start()
    stand.batcher.start()
    pipeline = Pipeline(
        MarkingTokenizer(), stand.batcher, NoReview(), policies, "test", Limits(), "scripted", 0.5
    )
    judge = CulpritFinder(LocalJudge(pipeline, "test", "digest", num_workers=8), patience_s=60)
    with Output(tmp_path / "out", TERMS) as output:
        await Screening(READER, judge, output).run(find_sources([str(log)]))
    await stand.batcher.stop()
    await stand.pool.stop()
    rejects = (tmp_path / "out/_screening/rejects.jsonl").read_bytes().splitlines()
    told = {entry["line"]: entry["reason"] for entry in map(json.loads, rejects)}
    assert told == dict.fromkeys(DEADLY, "the engine died over it")
    rows = (tmp_path / "out/part-000000.jsonl").read_bytes().splitlines()
    lines = [json.loads(row)["line"] for row in rows]
    assert lines == [number for number in range(1, NUM_LINES + 1) if number not in DEADLY]
