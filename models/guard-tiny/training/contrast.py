"""Writes contrast.jsonl: our own training texts, from the word lists in `texts/`.

    python models/guard-tiny/training/contrast.py --out models/guard-tiny/contrast.jsonl

A file holds sections "@kind arguments" with one entry on each line; `(a|b)` stands for one of its
choices, a trailing "| S1,S2" names the categories, "{}" in a frame is where an entry goes.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

TEXTS = Path(__file__).parent / "texts"
CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
CODES = re.compile(r"\s*\|\s*(S\d+(?:,S\d+)*)$")
FRAMES_FOR_ENTRY = {"safe": 3, "unsafe": 4}
FRAMES_FOR_SECURITY = 7
REPLIES_FOR_ENTRY = 2
REPEATED_LINES = 3


@dataclass(frozen=True, slots=True)
class Entry:
    text: str
    unsafe: bool
    categories: tuple[str, ...]
    lang: str


@dataclass(frozen=True, slots=True)
class Section:
    kind: str
    arguments: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def lang(self) -> str:
        return next((word for word in self.arguments if len(word) == 2), "en")


def read_sections(folder: Path) -> Iterator[Section]:
    for path in sorted(folder.rglob("*.txt")):
        for block in ("\n" + path.read_text(encoding="utf-8")).split("\n@")[1:]:
            head, *lines = block.splitlines()
            kind, *arguments = head.split()
            kept = tuple(line for line in lines if line and not line.startswith("#"))
            yield Section(kind, tuple(arguments), kept)


def entries_of(section: Section) -> Iterator[Entry]:
    for line in section.lines:
        found = CODES.search(line)
        categories = tuple(found.group(1).split(",")) if found else ()
        text = CODES.sub("", line).replace("\\n", "\n")
        yield Entry(text, "unsafe" in section.arguments, categories, section.lang)


def expand(text: str, rng: random.Random) -> str:
    return CHOICE.sub(lambda found: rng.choice(found.group(1).split("|")), text)


def num_choices(text: str) -> int:
    total = 1
    for found in CHOICE.finditer(text):
        total *= found.group(1).count("|") + 1
    return total


class Writer:
    """Fills the frames and dialogues with entries; the same seed gives the same rows."""

    def __init__(self, sections: list[Section], seed: int) -> None:
        self._rng = random.Random(seed)
        self._sections = sections
        self._frames = {(s.arguments[0], s.lang): s.lines for s in sections if s.kind == "frames"}
        self._refusals = {s.lang: s.lines for s in sections if s.kind == "refusals"}
        self._asks: dict[tuple[bool, str], list[Entry]] = defaultdict(list)

    def records(self) -> Iterator[dict[str, Any]]:
        """All rows without repeats, numbered."""
        seen: set[str] = set()
        for section in self._sections:
            for turns, entry in self._rows_of(section):
                key = json.dumps(turns)
                if key not in seen:
                    seen.add(key)
                    yield {**record(len(seen), turns, entry), "source": f"contrast:{section.kind}"}

    def _rows_of(self, section: Section) -> Iterator[tuple[list[str], Entry]]:
        if section.kind in ("frames", "refusals"):
            return
        for entry in entries_of(section):
            if (section.kind, entry.lang) in self._frames:
                yield from self._framed(section.kind, entry)
            elif section.kind == "lines":
                yield from self._lines(entry)
            elif section.kind in ("refused", "answered", "complied"):
                yield from self._answers(section.kind, entry)
            else:
                yield expand(entry.text, self._rng).split(" >> "), entry

    def _framed(self, kind: str, entry: Entry) -> Iterator[tuple[list[str], Entry]]:
        frames = self._frames[kind, entry.lang]
        wanted = FRAMES_FOR_ENTRY["unsafe" if entry.unsafe else "safe"]
        if kind == "security":
            frames, wanted = frames * 2, FRAMES_FOR_SECURITY
        for frame in self._rng.sample(frames, min(wanted, len(frames))):
            text = expand(frame.replace("{}", entry.text), self._rng)
            self._asks[entry.unsafe, entry.lang].append(replace(entry, text=text))
            yield [text], entry

    def _lines(self, entry: Entry) -> Iterator[tuple[list[str], Entry]]:
        for _ in range(min(num_choices(entry.text), REPEATED_LINES * 2)):
            yield [expand(entry.text, self._rng)], entry

    def _answers(self, kind: str, entry: Entry) -> Iterator[tuple[list[str], Entry]]:
        asks = self._asks[kind != "answered", entry.lang]
        times = 150 if kind == "refused" else 14
        for ask in self._rng.sample(asks, min(times, len(asks))):
            refusal = self._rng.choice(self._refusals[entry.lang])
            text = entry.text.replace("{refusal}", refusal)
            codes = ask.categories if kind == "complied" else ()
            judged = Entry(text, kind == "complied", codes, entry.lang)
            yield [part.replace("{ask}", ask.text) for part in text.split(" >> ")], judged


def record(number: int, turns: list[str], entry: Entry) -> dict[str, Any]:
    roles = ["user" if index % 2 == 0 else "assistant" for index in range(len(turns))]
    messages = [{"role": r, "content": t} for r, t in zip(roles, turns, strict=True)]
    spoken: dict[str, Any] = {"text": turns[0]} if len(turns) == 1 else {"messages": messages}
    return {
        "id": f"contrast-{number:05d}",
        **spoken,
        "role": roles[-1],
        "unsafe": entry.unsafe,
        "categories": list(entry.categories),
        "lang": entry.lang,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    records = list(Writer(list(read_sections(TEXTS)), options.seed).records())
    lines = (json.dumps(item, ensure_ascii=False) + "\n" for item in records)
    options.out.write_text("".join(lines), encoding="utf-8")
    num_unsafe = sum(item["unsafe"] for item in records)
    print(f"{len(records)} rows, {num_unsafe} unsafe")


if __name__ == "__main__":
    main()
