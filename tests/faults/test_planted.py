"""That the list of planted defects is of today's code; planted.py, which takes longer, runs it."""

import re

import pytest
from faults.planted import ROOT, Defect, read_defects


@pytest.mark.parametrize("defect", read_defects(), ids=lambda defect: defect.what)
def test_a_planted_defect_has_its_place_its_test_and_its_line_in_the_documentation(
    defect: Defect,
) -> None:
    code = (ROOT / "guard_service" / defect.file).read_text(encoding="utf-8")
    assert code.count(defect.right) == 1
    file, _, test = defect.test.partition("[")[0].partition("::")
    assert re.search(rf"def {test}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"))
    told = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert f"| {defect.what} | `{file}`: {test[5:].replace('_', ' ')} |" in told
