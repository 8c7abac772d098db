"""Labelled rows: reading the data folder and splitting it by whole sources.

Knows nothing about tokens or models.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HELD_OUT_SOURCES = {
    "hatecheck": "hatecheck-data",
    "cyberseceval_frr": "mitre_frr/mitre_frr.json",
    "frr_multilingual": "mitre_frr/frr_multilingual",
    "jailbreakbench": "JailbreakBench",
    "harmbench": "HarmBench",
    "strongreject": "StrongREJECT",
    "dangerousqa": "dangerousqa",
    "open_assistant": "LAION-AI/Open-Assistant",
    "self_instruct_user": "user_oriented_instructions",
}
SPOKEN = frozenset(("en", "fr", "de", "hi", "it", "pt", "es", "th"))
UNSPOKEN_SHARE = 0.2
TEMPLATED = "contrast:security"
GPTFUZZ = "gptfuzz_responses"
HELD_OUT_QUESTIONS = 0.3
VALIDATION_SHARE = 0.07
NEAR_DUPLICATE = 0.6
SHINGLE = 3


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    messages: tuple[Message, ...]
    unsafe: bool
    categories: tuple[str, ...]
    source: str
    lang: str = "en"

    @property
    def role(self) -> str:
        return self.messages[-1].role

    @property
    def judged(self) -> str:
        return self.messages[-1].content


@dataclass(frozen=True, slots=True)
class Split:
    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    held_out: dict[str, tuple[Row, ...]]
    unlabelled: tuple[str, ...]


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def row_from_record(record: dict[str, Any]) -> Row:
    if "messages" in record:
        messages = tuple(Message(m["role"], m["content"]) for m in record["messages"])
    else:
        messages = (Message(record["role"], record["text"]),)
    return Row(
        id=record["id"],
        messages=messages,
        unsafe=bool(record["unsafe"]),
        categories=tuple(record["categories"]),
        source=record.get("source", "contrast"),
        lang=record.get("lang", "en"),
    )


def read_labelled(folder: Path) -> list[Row]:
    """All labelled files, without the chat log."""
    paths = (p for p in sorted(folder.glob("*.jsonl")) if not p.name.startswith("chatlog"))
    return [row_from_record(record) for path in paths for record in read_jsonl(path)]


def chat_log_rows(folder: Path) -> tuple[list[Row], list[str]]:
    """The chat log's last user messages and replies with a label; the texts without one."""
    labels = {record["id"]: record for record in read_jsonl(folder / "chatlog_sample.labels.jsonl")}
    rows: list[Row] = []
    unlabelled: list[str] = []
    for record in read_jsonl(folder / "chatlog_sample.jsonl"):
        label = labels[record["id"]]
        messages = _plain_messages(record["request"]["messages"])
        if not messages or messages[-1].role != "user" or "+repeat" in label["kind"]:
            continue
        if label["last_user_unsafe"] is None:
            unlabelled += [m.content for m in messages]
            continue
        rows += _labelled_turns(record, label, messages)
    return rows, unlabelled


def _plain_messages(records: list[dict[str, Any]]) -> tuple[Message, ...]:
    """User and assistant turns; empty if the dialogue uses tools or has empty turns."""
    spoken = [m for m in records if m["role"] in ("user", "assistant", "tool")]
    if any(m["role"] == "tool" or not isinstance(m.get("content"), str) for m in spoken):
        return ()
    return tuple(Message(m["role"], m["content"]) for m in spoken)


def _labelled_turns(
    record: dict[str, Any], label: dict[str, Any], messages: tuple[Message, ...]
) -> Iterator[Row]:
    origin = "chatlog:" + "+".join(label["sources"])
    unsafe = bool(label["last_user_unsafe"])
    categories = tuple(label["categories"]) if unsafe else ()
    yield Row(record["id"] + "-u", messages, unsafe, categories, origin)
    choices = record.get("response", {}).get("choices") or [{}]
    reply = choices[0].get("message", {}).get("content")
    if reply and label["response_unsafe"] is not None:
        answered = (*messages, Message("assistant", reply))
        yield Row(record["id"] + "-a", answered, bool(label["response_unsafe"]), (), origin)


def normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def shingles(text: str) -> frozenset[str]:
    words = normalised(text).split()
    if len(words) <= SHINGLE:
        return frozenset([" ".join(words)])
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))


class NearDuplicates:
    """Finds texts that contain most of a kept text, or repeat most of it (whole)."""

    def __init__(self, texts: Iterable[str], *, whole: bool) -> None:
        self._size = max if whole else min
        self._sets = [shingles(text) for text in texts]
        self._where: dict[str, list[int]] = {}
        for index, pieces in enumerate(self._sets):
            for piece in pieces:
                self._where.setdefault(piece, []).append(index)

    def has(self, text: str) -> bool:
        pieces = shingles(text)
        shared: dict[int, int] = {}
        for piece in pieces:
            for index in self._where.get(piece, ()):
                shared[index] = shared.get(index, 0) + 1
        return any(
            count >= NEAR_DUPLICATE * self._size(len(pieces), len(self._sets[index]))
            for index, count in shared.items()
        )


def split_rows(folder: Path, contrast: list[Row], *, seed: int) -> Split:
    """Hold out whole sources; drop training rows that repeat a held-out text."""
    labelled = read_labelled(folder)
    chat, unlabelled = chat_log_rows(folder)
    held_out = _held_out_sources(labelled, seed)
    taken = {row.id for rows in held_out.values() for row in rows}
    rows = [row for group in held_out.values() for row in group]
    prompts = NearDuplicates((r.judged for r in rows if r.role == "user"), whole=False)
    answers = NearDuplicates((r.judged for r in rows if r.role == "assistant"), whole=True)

    def is_held_out(message: Message) -> bool:
        return (prompts if message.role == "user" else answers).has(message.content)

    kept, replies = [], []
    for row in [*(r for r in labelled if r.id not in taken), *chat]:
        if "GPTFuzz" in row.source and row.source.startswith("chatlog"):
            continue
        if not any(is_held_out(message) for message in row.messages):
            kept.append(row)
        elif row.id.endswith("-a") and not row.unsafe and "refusal" not in row.source:
            replies.append(row)
    held_out["chatlog_replies"] = tuple(replies)
    unlabelled = [text for text in unlabelled if not prompts.has(text)]
    own = [row for row in contrast if not is_held_out(row.messages[-1])]
    kept += [row for row in own if row.source != TEMPLATED]
    rng = random.Random(seed)
    kept = [row for row in kept if row.lang in SPOKEN or rng.random() < UNSPOKEN_SHARE]
    rng.shuffle(kept)
    num_validation = int(len(kept) * VALIDATION_SHARE)
    train, validation = kept[num_validation:], kept[:num_validation]
    # These differ so little from each other that they would say nothing in validation.
    train += [row for row in own if row.source == TEMPLATED]
    return Split(tuple(train), tuple(validation), held_out, tuple(unlabelled))


def _held_out_sources(labelled: list[Row], seed: int) -> dict[str, tuple[Row, ...]]:
    held_out = {
        name: tuple(row for row in labelled if mark in row.source)
        for name, mark in HELD_OUT_SOURCES.items()
    }
    replies = [row for row in labelled if row.id.startswith(GPTFUZZ)]
    questions = sorted({row.messages[0].content for row in replies})
    random.Random(seed).shuffle(questions)
    chosen = set(questions[: int(len(questions) * HELD_OUT_QUESTIONS)])
    held_out["gptfuzz"] = tuple(row for row in replies if row.messages[0].content in chosen)
    return held_out
