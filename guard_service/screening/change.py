"""What changes from one decision of the same rows to another, counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from guard_service.screening.replay import Flags


@dataclass(frozen=True, slots=True)
class Decided:
    blocks: Flags
    flagged: Flags  # one line per category, one column per row


@dataclass(slots=True)
class Change:
    num_rows: int = 0
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)  # before, after
    gained: Counter[str] = field(default_factory=Counter)  # by category
    lost: Counter[str] = field(default_factory=Counter)

    def add(self, before: Decided, after: Decided, codes: Sequence[str]) -> None:
        self.num_rows += len(before.blocks)
        for was, was_rows in (("allow", ~before.blocks), ("block", before.blocks)):
            for now, now_rows in (("allow", ~after.blocks), ("block", after.blocks)):
                self.actions[was, now] += int(np.count_nonzero(was_rows & now_rows))
        for code, was_rows, now_rows in zip(codes, before.flagged, after.flagged, strict=True):
            self.gained[code] += int(np.count_nonzero(now_rows & ~was_rows))
            self.lost[code] += int(np.count_nonzero(was_rows & ~now_rows))
