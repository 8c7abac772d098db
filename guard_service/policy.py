"""What the operator enforces on top of the model: categories, thresholds, actions, review.

Policies are TOML files, read once and checked whole: an unknown key or an impossible value is
refused with its line. Knows nothing of how a score comes about.
"""

import hashlib
import json
import re
import tomllib
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from guard_service.errors import PolicyInvalid
from guard_service.sign import TextSign
from guard_service.taxonomy import TAXONOMY, HazardCategory

Share = Annotated[float, Field(ge=0, le=1)]
# In the model's prompt these would be read as part of the template, so they are kept plain.
_PLAIN_LINE = r"^[^\x00-\x1f<>|]+$"
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Code = Annotated[str, StringConstraints(pattern=r"^S[1-9][0-9]?$")]
CategoryName = Annotated[str, StringConstraints(max_length=80, pattern=_PLAIN_LINE)]
CategoryText = Annotated[str, StringConstraints(max_length=500, pattern=_PLAIN_LINE)]


class Action(Enum):
    ALLOW = "allow"
    BLOCK = "block"


class OnUnavailable(Enum):
    ALLOW = "allow"
    BLOCK = "block"
    ERROR = "error"


class SignRule(Enum):
    """What a sign of the text does; without a rule it is told and does nothing."""

    REVIEW = "review"
    BLOCK = "block"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReviewRule(_Strict):
    """Which decisions people look at."""

    band: Share = 0.1  # as far as this from the threshold on either side
    sample: Share = 0.0  # share of all other decisions
    blocked: bool = True
    unavailable: bool = False  # each use of the fallback
    second_look: tuple[Code, ...] = ()  # categories at which two people look
    severity: dict[Code, Annotated[int, Field(ge=1, le=10)]] = Field(default_factory=dict)
    keep_text_days: Annotated[int, Field(ge=0, le=3650)] = 0  # sealed; 0: text is not stored


class CategoryRule(_Strict):
    """One enforced category; without a threshold it follows the base decision."""

    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    action: Action = Action.BLOCK
    name: CategoryName | None = None  # only for categories beyond S14
    description: CategoryText | None = None


class Policy(_Strict):
    id: Identifier
    version: Identifier
    description: Annotated[str, StringConstraints(max_length=500)] = ""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    on_unavailable: OnUnavailable = OnUnavailable.ERROR
    review: ReviewRule = ReviewRule()
    signs: dict[TextSign, SignRule] = Field(default_factory=dict)
    rules: Annotated[
        dict[str, CategoryRule], Field(alias="categories", min_length=1, max_length=30)
    ]

    @property
    def categories(self) -> tuple[HazardCategory, ...]:
        """The enforced categories in the order of the prompt."""
        codes = sorted(self.rules, key=lambda code: int(code[1:]))
        return tuple(TAXONOMY.get(code) or _added(code, self.rules[code]) for code in codes)

    @property
    def list_above(self) -> float:
        """The score from which the model's whole list of categories matters."""
        return min(0.5, self.threshold)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides: equal digests decide equally."""
        deciding = self.model_dump(mode="json", exclude={"id", "version", "description"})
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file, or PolicyInvalid with every problem and its line."""
    text = path.read_text(encoding="utf-8")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyInvalid(f"{path.name}: {error}") from None
    try:
        policy = Policy.model_validate(values)
    except ValidationError as error:
        raise PolicyInvalid(_problems(path, text, error)) from None
    _check_codes(path, text, policy)
    return policy


def read_policies(folder: Path) -> dict[str, Policy]:
    """All policies of a folder by id."""
    policies: dict[str, Policy] = {}
    for path in sorted(folder.glob("*.toml")):
        policy = read_policy(path)
        if policy.id in policies:
            raise PolicyInvalid(f"{path.name}: another file already defines policy {policy.id}")
        policies[policy.id] = policy
    if not policies:
        raise PolicyInvalid(f"{folder}: no policy files (*.toml)")
    return policies


def _added(code: str, rule: CategoryRule) -> HazardCategory:
    name, description = rule.name or code, rule.description or ""
    return HazardCategory(code, name, name, description, description)


def _check_codes(path: Path, text: str, policy: Policy) -> None:
    problems = []
    for code, rule in policy.rules.items():
        is_ours = code in TAXONOMY
        if not re.fullmatch(r"S[1-9][0-9]?", code):
            problem = "a category is S1 to S99"
        elif is_ours and (rule.name or rule.description):
            problem = f"{code} has its name from the model's training; added ones start at S15"
        elif not is_ours and not (rule.name and rule.description):
            problem = "an added category needs a name and a description"
        else:
            continue
        problems.append(
            f"line {_line_of(text, ('categories', code))}: categories.{code}: {problem}"
        )
    if problems:
        raise PolicyInvalid(f"{path.name}: " + "; ".join(problems))


def _problems(path: Path, text: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        loc = tuple(str(part) for part in problem["loc"])
        lines.append(f"line {_line_of(text, loc)}: {'.'.join(loc)}: {problem['msg']}")
    return f"{path.name}: " + "; ".join(lines)


def _line_of(text: str, loc: tuple[Any, ...]) -> int:
    """The line of the longest part of `loc` that the file names (tomllib keeps no positions)."""
    table: tuple[str, ...] = ()
    best_line, best_length = 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = path = tuple(header[1].split("."))
        elif key := re.match(r"\s*([\w.-]+)\s*=", line):
            path = (*table, *key[1].split("."))
        else:
            continue
        if path == loc[: len(path)] and len(path) > best_length:
            best_line, best_length = number, len(path)
    return best_line
