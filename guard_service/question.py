"""What is put to the model for one check: the prompts of every view of its conversation."""

from dataclasses import dataclass, replace
from typing import Protocol

from guard_service.conversation import Conversation, Judge
from guard_service.encoding.window import Coverage
from guard_service.policy import Policy
from guard_service.prompt import Prompt
from guard_service.sign import TextSign
from guard_service.view import View, read_views


class PromptBuilder(Protocol):
    def prompts(
        self, conversation: Conversation, policy: Policy
    ) -> tuple[tuple[Prompt, ...], Coverage]: ...


@dataclass(frozen=True, slots=True)
class Question:
    """Prompts, the view that each is of, what they cover together, and what was noticed."""

    prompts: tuple[Prompt, ...]
    views: tuple[View, ...]
    coverage: Coverage
    signs: frozenset[TextSign]


def build_question(
    builder: PromptBuilder, conversation: Conversation, judge: Judge, policy: Policy
) -> Question:
    views = read_views(conversation, judge)
    built = [builder.prompts(view.conversation, policy) for view in views]
    coverage = replace(built[0][1], windows=sum(len(prompts) for prompts, _ in built))
    if judge is Judge.ALL:  # what did not fit as context is judged for itself
        coverage = replace(coverage, judged_chars=coverage.total_chars)
    return Question(
        prompts=tuple(prompt for prompts, _ in built for prompt in prompts),
        views=tuple(v for v, (prompts, _) in zip(views, built, strict=True) for _ in prompts),
        coverage=coverage,
        signs=frozenset(sign for view in views for sign in view.signs),
    )
