"""Our whole service: `guard serve` in a process of its own, asked over gRPC."""

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from protocol import Peer, Work, serve

from guard_service.client import AsyncGuardClient

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from serving import serving


def load(work: Work) -> Peer:
    stack = ExitStack()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    flags = ("--model", work.folder, "--devices", work.device)
    # Its callers would rather wait than be refused.
    limits = {"GUARD_DTYPE": work.dtype, "GUARD_MAX_QUEUE_PASSES": "1000"}
    if work.num_threads:
        limits["GUARD_NUM_THREADS"] = str(work.num_threads)
    served = stack.enter_context(serving(folder, *flags, **limits))

    async def ask() -> list[Any]:
        async with AsyncGuardClient(served.target, timeout=600) as client:
            places = asyncio.Semaphore(work.options["in_flight"])

            async def one(messages: list[dict[str, str]]) -> Any:
                async with places:
                    verdict = (await client.moderate(messages)).verdict
                assert verdict is not None
                codes = [category.code for category in verdict.flagged]
                return {"score": verdict.unsafe_score, "codes": codes}

            return list(await asyncio.gather(*map(one, work.messages)))

    return Peer("gRPC", lambda: asyncio.run(ask()), close=stack.close)


if __name__ == "__main__":
    serve(load)
