"""Plants defects, one at a time, in a copy of the tree, and demands that the named test fails.

python tests/faults/planted.py [words of a defect]
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 600
NUM_AT_ONCE = 4


@dataclass(frozen=True)
class Defect:
    """What goes wrong where `right`, which stands in the file once, becomes `wrong`."""

    what: str
    file: str  # in guard_service
    right: str
    wrong: str
    test: str  # in tests
    conftest: bool = False  # the test needs fixtures of tests/conftest.py, which imports torch


DEFECTS = (
    Defect(
        "an API key is good after it has expired",
        "access/book.py",
        "or not is_right or key.is_expired",
        "or not is_right",
        "access/test_book.py::test_an_expired_key_is_refused_and_one_that_will_expire_is_not",
    ),
    Defect(
        "an unknown key is good",
        "access/key.py",
        ") and sha256 is not None",
        ") or sha256 is None",
        "access/test_key.py::test_without_a_hash_nothing_matches",
    ),
    Defect(
        "a token of another audience is good",
        "access/token.py",
        "            audience=self._expected.audience,\n            leeway=_LEEWAY_S,\n"
        '            options={"require"',
        '            leeway=_LEEWAY_S,\n            options={"verify_aud": False, "require"',
        "access/test_token.py::test_a_claim_that_is_missing_or_wrong_refuses_the_token",
    ),
    Defect(
        "one method is open to anyone",
        "api/gate.py",
        "method.startswith(_OPEN)",
        'method.startswith((_OPEN, "/guard_service.v1.ReviewService/"))',
        "api/test_gate.py::test_every_rpc_answers_every_wrong_credential_in_the_same_words",
    ),
    Defect(
        "a stream goes on after its key is revoked",
        "api/gate.py",
        "if await self._access.authenticate(credentials) != principal:",
        "if principal is None:",
        "api/test_gate.py::test_a_stream_ends_with_its_next_message_once_its_key_is_revoked",
    ),
    Defect(
        "a caller sees the review items of other tenants",
        "review/store.py",
        "        if tenant is not None:\n",
        "        if tenant is None:\n",
        "api/test_moderation.py::test_review_items_are_of_a_tenant_and_listed_to_it_alone",
    ),
    Defect(
        "a refused call is charged",
        "quota/limiter.py",
        "        if refused := tuple(",
        "        self._keep(tenant, used.plus(cost))\n        if refused := tuple(",
        "quota/test_limiter.py::test_what_is_refused_is_not_charged",
    ),
    Defect(
        "a clock that goes back gives quota away",
        "quota/budget.py",
        "max(now_s - self.at_s, 0.0) / _MINUTE_S",
        "abs(now_s - self.at_s) / _MINUTE_S",
        "quota/test_budget.py::test_a_clock_that_goes_back_gives_nothing_away",
    ),
    Defect(
        "what ends in an error of ours costs tokens",
        "quota/meter.py",
        "            await charge.settle(0)\n",
        "",
        "quota/test_meter.py::test_what_ends_in_an_error_of_ours_costs_a_request_and_no_tokens",
    ),
    Defect(
        "bytes inside are not counted",
        "api/admission.py",
        "        self._num_bytes += num_bytes\n",
        "        self._num_bytes += 0 * num_bytes\n",
        "api/test_admission.py::test_bytes_are_counted_and_one_request_alone_always_fits",
    ),
    Defect(
        "answers of a pass go to the wrong callers",
        "engine/batcher.py",
        "readings = iter(read.readings)",
        "readings = iter(read.readings[::-1])",
        "engine/test_batcher.py::test_everyone_gets_their_own_answer",
    ),
    Defect(
        "a kept reading is found by another tenant",
        "engine/reuse.py",
        "caller.name.encode(), array",
        'b"", array',
        "engine/test_reuse.py::test_a_kept_reading_is_found_again_by_its_caller_alone",
    ),
    Defect(
        "windows of a long text do not overlap",
        "engine/window.py",
        "1), size - overlap)",
        "1), size)",
        "engine/test_window.py::test_a_needle_at_every_place_of_a_long_message_is_in_some_window",
    ),
    Defect(
        "an engine that answers other rows is believed",
        "engine/watchdog.py",
        "read.keys != asked or ",
        "",
        "engine/test_watchdog.py::test_rows_that_were_not_asked_for_kill_the_engine",
    ),
    Defect(
        "an engine serves before its known prompts read right",
        "engine/supervisor.py",
        "            await self._check(engine)\n",
        "            pass\n",
        "engine/test_supervisor.py::test_an_engine_that_misreads_a_known_prompt_never_serves",
    ),
    Defect(
        "control tokens in a message are control tokens",
        "engine/tokenizer.py",
        "encode_special_tokens = True",
        "encode_special_tokens = False",
        "engine/test_tokenizer.py::test_hostile_strings_make_no_control_token_and_close_nothing",
        conftest=True,
    ),
    Defect(
        "a message can begin a turn of its own",
        "prompt.py",
        " | dict.fromkeys(roles, _HARMLESS_COLON)",
        "",
        "test_prompt.py::test_a_line_that_begins_like_a_turn_is_neutralised_and_told",
    ),
    Defect(
        "disguised text is read as written alone",
        "view.py",
        "    if cleaned != view.conversation:\n        yield",
        "    if not cleaned:\n        yield",
        "test_view.py::test_disguised_text_is_read_as_written_and_cleaned",
    ),
    Defect(
        "a NaN of the engine is a score",
        "verdict.py",
        "all(math.isfinite(number) and 0 <= number <= 1.001 for",
        "all(not (number < 0 or number > 1.001) for",
        "test_verdict.py::test_a_reading_that_no_healthy_model_gives_is_rejected",
    ),
    Defect(
        "the first window decides, not the worst",
        "verdict.py",
        "ranks.index(max(ranks))",
        "0",
        "test_verdict.py::test_the_worst_window_is_the_verdict_and_every_windows_flags_count",
    ),
    Defect(
        "unsafe without a category is allowed",
        "decision.py",
        " or (verdict.is_unsafe and not actions)",
        "",
        "test_decision.py::test_unsafe_without_any_category_is_blocked",
    ),
    Defect(
        "a request opens what its policy keeps closed",
        "pipeline.py",
        "if wants_allow and policy.on_unavailable is not OnUnavailable.ALLOW:",
        "if wants_allow and policy is None:",
        "test_pipeline.py::test_a_request_cannot_ask_for_allow_where_the_policy_does_not",
    ),
    Defect(
        "a verdict to block is allowed when it cannot be recorded",
        "pipeline.py",
        "choice is OnUnavailable.ALLOW and not is_blocked",
        "choice is OnUnavailable.ALLOW",
        "test_pipeline.py::test_what_was_found_unsafe_is_not_allowed_because_the_store_is_away",
    ),
    Defect(
        "the answer leaves before its review item is on disk",
        "pipeline.py",
        "        return await self.feed.add(item)",
        "        asyncio.ensure_future(self.feed.add(item))\n        return item.id",
        "test_pipeline.py::test_a_decision_that_cannot_be_recorded_is_withheld",
    ),
    Defect(
        "acknowledged items may be lost with the power",
        "review/store.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        "review/test_store.py::test_sqlite_writes_through_to_the_disk_without_a_write_ahead_log",
    ),
    Defect(
        "the text of an internal error reaches the caller",
        "api/status.py",
        '"INTERNAL", "internal error")',
        '"INTERNAL", str(error))',
        "api/test_status.py::test_a_bug_is_internal_and_its_text_stays_here",
    ),
    Defect(
        "an engine that comes back reopens a server that drains",
        "api/health.py",
        "is_serving and not self._is_stopping",
        "is_serving",
        "api/test_health.py::test_a_server_that_stops_never_serves_again",
    ),
    Defect(
        "the client takes the answer to another request",
        "client/wire.py",
        "if wire.request_id != request_id:",
        "if not wire.request_id:",
        "client/test_wire.py::test_an_answer_that_means_nothing_is_an_error",
    ),
    Defect(
        "the client sends a key in the clear",
        "client/connection.py",
        "or is_local(self.target)",
        "or self.target",
        "client/test_connection.py::test_a_secret_does_not_travel_in_the_clear_unless_told_to",
    ),
    Defect(
        "the client allows offline what the server withheld",
        "client/attempt.py",
        " or error.reason == _WITHHELD",
        "",
        "client/test_attempt.py::test_a_verdict_that_the_server_withheld_is_not_made_up_for",
    ),
)


def main() -> int:
    chosen = [defect for defect in DEFECTS if " ".join(sys.argv[1:]) in defect.what]
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        caught = list(pool.map(_is_caught, chosen))
    print(f"{sum(caught)} of {len(chosen)} planted defects caught")
    return 0 if chosen and all(caught) else 1


def _is_caught(defect: Defect) -> bool:
    """Whether the test passes without the defect and fails, not merely breaks, with it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy(Path(folder))
        path = copy / "guard_service" / defect.file
        text = path.read_text(encoding="utf-8")
        before = _run(defect, copy)
        path.write_text(text.replace(defect.right, defect.wrong), encoding="utf-8")
        after = _run(defect, copy)
    is_caught = (before, after) == (0, 1)
    print(f"{'caught' if is_caught else f'NOT CAUGHT {before} {after}'}: {defect.what}", flush=True)
    return is_caught


def _copy(folder: Path) -> Path:
    for name in ("guard_service", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc"))
    (folder / "models").symlink_to(ROOT / "models")  # large, and never written
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def _run(defect: Defect, copy: Path) -> int:
    """pytest's exit status: 0 passed, 1 failed, anything else is neither."""
    test = f"tests/{defect.test}"
    folder = str(Path(test.partition("::")[0]).parent)
    fixtures = f"--confcutdir={'tests' if defect.conftest else folder}"
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [fixtures] if defect.conftest or folder != "tests" else ["--noconftest"]
    environment = os.environ | {"PYTHONPATH": str(copy)}
    try:
        return subprocess.run(
            [*command, test], cwd=copy, env=environment, capture_output=True, timeout=LIMIT_S
        ).returncode
    except subprocess.TimeoutExpired:
        return -1


if __name__ == "__main__":
    sys.exit(main())
