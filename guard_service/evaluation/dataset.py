"""Moderation data sets as their authors publish them, recognised by their columns.

A data set's own categories are not our hazard categories: they stay the data set's words, as tags.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from guard_service.errors import InvalidRequest, Violation

Values = Mapping[str, Any]

_OPENAI = ("S", "H", "V", "HR", "SH", "S3", "H2", "V2")
_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
_HARM = {"harmful": True, "unsafe": True, "unharmful": False, "safe": False}
_NO_LABEL = ("", "none", "nan", "null")


@dataclass(frozen=True, slots=True)
class Example:
    """One thing that a row labels; a row with a prompt and a response may hold two."""

    messages: Any = field(repr=False)
    unsafe: bool | None  # None: the row has no label for it
    role: object = None
    tags: tuple[str, ...] = ()
    categories: object = None
    id: object = None
    source: object = None
    lang: object = None
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """How one data set writes its rows: it has all of `columns`, and one of `any_of` if given."""

    dataset: str
    columns: frozenset[str]
    read: Callable[[Values], Iterator[Example]]
    any_of: frozenset[str] = frozenset()

    def fits(self, names: frozenset[str]) -> bool:
        return self.columns <= names and (not self.any_of or bool(self.any_of & names))


def read_examples(values: Values) -> Iterator[Example]:
    """What the row labels; InvalidRequest where no layout fits, or a label is not one."""
    names = frozenset(values)
    layout = next((layout for layout in LAYOUTS if layout.fits(names)), None)
    if layout is None:
        raise _invalid("columns", "are those of no data set that is known here")
    for example in layout.read(values):
        yield replace(example, dataset=layout.dataset)


def _own(row: Values) -> Iterator[Example]:
    unsafe = row["unsafe"] if isinstance(row["unsafe"], bool) else _flag(row, "unsafe")
    if unsafe is None:
        raise _invalid("unsafe", "must be true or false")
    if ("text" in row) == ("messages" in row):
        raise _invalid("row", "must have either text or messages")
    role = row.get("role")
    messages = row["messages"] if "messages" in row else [{"role": role, "content": row["text"]}]
    yield Example(
        messages,
        unsafe,
        role=role,
        categories=row.get("categories"),
        id=row.get("id"),
        source=row.get("source"),
        lang=row.get("lang"),
    )


def _openai(row: Values) -> Iterator[Example]:
    # A category that is absent was not looked at; none of those looked at makes the row safe.
    tags = tuple(name for name in _OPENAI if _flag(row, name))
    yield _prompt(row["prompt"], bool(tags), *tags)


def _toxic_chat(row: Values) -> Iterator[Example]:
    tags = [name for name in ("human_annotation", "jailbreaking") if _flag(row, name)]
    yield _prompt(row["user_input"], _flag(row, "toxicity"), *tags)


def _xstest(row: Values) -> Iterator[Example]:
    kind = str(row["type"])
    # Editions without a label name the unsafe ones by their type.
    unsafe = _harm(row, "label") if "label" in row else kind.startswith("contrast")
    yield _prompt(row["prompt"], unsafe, kind)


def _xstest_response(row: Values) -> Iterator[Example]:
    yield _response(row["prompt"], row["response"], _harm(row, "label"), str(row["prompt_type"]))


def _beaver_tails(row: Values) -> Iterator[Example]:
    category = row.get("category")
    tags = [name for name, is_it in category.items() if is_it] if category else []
    yield _response(row["prompt"], row["response"], _not(_flag(row, "is_safe")), *tags)


def _safe_rlhf(row: Values) -> Iterator[Example]:
    for number in (0, 1):
        unsafe = _not(_flag(row, f"is_response_{number}_safe"))
        yield _response(row["prompt"], row[f"response_{number}"], unsafe)


def _harm_bench(row: Values) -> Iterator[Example]:
    context = row.get("ContextString")
    text = f"{context}\n\n---\n\n{row['Behavior']}" if context else row["Behavior"]
    kinds = [row.get("FunctionalCategory"), row["SemanticCategory"]]
    yield _prompt(text, True, "context" if context else "no context", *filter(None, kinds))


def _simple_safety_tests(row: Values) -> Iterator[Example]:
    yield _prompt(row["prompt"], True, str(row["harm_area"]))


def _wild_guard(row: Values) -> Iterator[Example]:
    tags = ["adversarial" if _flag(row, "adversarial") else "vanilla"]
    tags += [row["subcategory"]] if row.get("subcategory") else []
    lang = row.get("language")
    yield replace(_prompt(row["prompt"], _harm(row, "prompt_harm_label"), *tags), lang=lang)
    if row.get("response"):
        unsafe = _harm(row, "response_harm_label")
        yield replace(_response(row["prompt"], row["response"], unsafe, *tags), lang=lang)


def _aegis_2(row: Values) -> Iterator[Example]:
    if row["prompt"] == "REDACTED":
        raise _invalid("prompt", "is redacted by the publisher")
    tags = [tag.strip() for tag in (row["violated_categories"] or "").split(",") if tag.strip()]
    yield _prompt(row["prompt"], _harm(row, "prompt_label"), *tags)
    if row.get("response"):
        yield _response(row["prompt"], row["response"], _harm(row, "response_label"), *tags)


def _aegis_1(row: Values) -> Iterator[Example]:
    votes = [str(row[name]) for name in row if name.startswith("labels_") and row[name]]
    num_safe = sum(vote.strip().lower() == "safe" for vote in votes)
    unsafe = num_safe * 2 < len(votes) if votes else None
    roles = {"user_message": "user", "llm_response": "assistant"}
    if row["text_type"] not in roles:
        raise _invalid("text_type", "holds both sides in one text")
    yield Example([{"role": roles[row["text_type"]], "content": row["text"]}], unsafe)


def _prompt(text: object, unsafe: bool | None, *tags: str) -> Example:
    return Example([{"role": "user", "content": text}], unsafe, tags=tags)


def _response(prompt: object, text: object, unsafe: bool | None, *tags: str) -> Example:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
    return Example(messages, unsafe, tags=tags)


def _flag(row: Values, name: str) -> bool | None:
    """True, False, 1 and 0 as JSON, CSV and Parquet write them; None where nothing is written."""
    text = str(row.get(name, "")).strip().lower()
    if text in _NO_LABEL:
        return None
    if text not in _TRUE + _FALSE:
        raise _invalid(name, "must be true or false")
    return text in _TRUE


def _harm(row: Values, name: str) -> bool | None:
    text = str(row.get(name, "")).strip().lower()
    if text in _NO_LABEL:
        return None
    if text not in _HARM:
        raise _invalid(name, "is not a label of harm")
    return _HARM[text]


def _not(flag: bool | None) -> bool | None:
    return None if flag is None else not flag


def _invalid(field_name: str, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(field_name, problem),))


def _layout(dataset: str, read: Callable[[Values], Iterator[Example]], *columns: str) -> Layout:
    return Layout(dataset, frozenset(columns), read)


# The first that fits: those that share columns with another come before it.
LAYOUTS = (
    _layout("guard-service", _own, "unsafe"),
    _layout("toxic-chat", _toxic_chat, "user_input", "toxicity"),
    _layout("safe-rlhf", _safe_rlhf, "prompt", "response_0", "is_response_0_safe"),
    _layout("beaver-tails", _beaver_tails, "prompt", "response", "is_safe"),
    _layout("wildguard-test", _wild_guard, "prompt", "prompt_harm_label"),
    _layout("aegis-2", _aegis_2, "prompt", "prompt_label", "violated_categories"),
    _layout("aegis-1", _aegis_1, "text", "text_type", "labels_0"),
    _layout("xstest-response", _xstest_response, "prompt", "response", "label", "prompt_type"),
    _layout("xstest", _xstest, "prompt", "type", "focus"),
    _layout("harm-bench", _harm_bench, "Behavior", "SemanticCategory"),
    _layout("simple-safety-tests", _simple_safety_tests, "prompt", "harm_area"),
    Layout("openai-moderation", frozenset(("prompt",)), _openai, frozenset(_OPENAI)),
)
