"""The service at work, in one minute: `make demo`.

Starts a server on the embedded model, asks it before and after a generation, screens a piece of a
chat log there, and lists what reached the review queue. Only public parts are used: the `guard`
command and the client.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from guard_service import show
from guard_service.client import GuardClient, Moderation

HERE = Path(__file__).parent
out = Console(width=110)


def main() -> None:
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder)) as target,
        GuardClient(target) as client,
    ):
        client.wait_until_ready(120)
        info = client.server_info()
        out.print(f"{info.model} on {info.device} answers at {target}\n", style="bold")
        check_conversations(client, started)
        screen_chatlog(target, Path(folder))
        list_review(client)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server on a free port, with its database in `folder`; drained at the end."""
    command = [sys.executable, "-m", "guard_service", "serve", "--port", "0"]
    command += ["--database-url", f"sqlite:///{folder / 'guard.db'}"]
    command += ["--metrics-port", "off", "--log-format", "text"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            port = next(
                found[1] for line in server.stderr if (found := re.search(r"port=(\d+)", line))
            )
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.communicate()


def check_conversations(client: GuardClient, started: float) -> None:
    """Ask before the generation about the user's message, and after it about the reply."""
    table = Table(title="Before and after a generation", title_justify="left", expand=True)
    for heading in ("", "conversation", "before", "after"):
        table.add_column(heading, no_wrap=heading in ("before", "after"))
    for row in read_lines(HERE / "conversations.jsonl"):
        messages = [{"role": "user", "content": row["user"]}]
        before = client.moderate(messages, labels={"conversation": row["id"]})
        if not table.rows:
            out.print(f"first verdict after {time.monotonic() - started:.1f} s")
        messages.append({"role": "assistant", "content": row["assistant"]})
        after = client.moderate(messages, labels={"conversation": row["id"]})
        text = (
            f"[bold]User:[/] {escape(row['user'])}\n[bold]Assistant:[/] {escape(row['assistant'])}"
        )
        table.add_row(row["about"], text, mark(before), mark(after), end_section=True)
    out.print(table)


def screen_chatlog(target: str, folder: Path) -> None:
    """Judge the last user turn and every response of each line, on the server that runs."""
    verdicts, started = folder / "verdicts.jsonl", time.monotonic()
    command = [sys.executable, "-m", "guard_service", "screen", HERE / "chatlog.jsonl", verdicts]
    subprocess.run([*command, "--server", target], check=True, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    rows = [row for part in sorted(verdicts.glob("part-*")) for row in read_lines(part)]
    out.print(f"\nScreened chatlog.jsonl: {len(rows)} messages in {seconds:.1f} s", style="bold")
    out.print(f"  {dict(Counter(row['action'] for row in rows))}")
    for gap in read_lines(verdicts / "_screening" / "rejects.jsonl"):
        out.print(f"  not judged: line {gap['line']}: {gap['reason']}")
    out.print()


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def list_review(client: GuardClient) -> None:
    show.review_items(out, list(client.list_review_items()))


def mark(moderation: Moderation) -> str:
    assert moderation.verdict is not None
    color = "red" if moderation.is_blocked else "green"
    codes = " ".join(category.code for category in moderation.verdict.flagged)
    review = "\n[yellow]to review[/]" if moderation.review else ""
    score = f"{moderation.verdict.unsafe_score:.2f}"
    return f"[{color}]{moderation.action.value.upper()}[/] {score}\n{codes}{review}".strip()


if __name__ == "__main__":
    main()
