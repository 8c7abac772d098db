"""The gRPC server in the test's own loop, with its real rooms but for a scripted model."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from conversations import policy
from scripted import SAFE, UNSAFE, prompt

from guard_service.access.access import Access
from guard_service.api.admission import Door
from guard_service.api.moderation import ModerationService
from guard_service.api.reply import ServerInfo
from guard_service.api.review import ReviewService
from guard_service.api.server import GuardServer
from guard_service.batching.entry import Answer, Caller
from guard_service.conversation import Conversation, Limits
from guard_service.encoding.window import Coverage
from guard_service.errors import GuardError
from guard_service.pipeline import Pipeline
from guard_service.policy import Policy
from guard_service.prompt import Prompt
from guard_service.quota.limiter import Limiter, LocalLimiter
from guard_service.quota.meter import Meter
from guard_service.review.feed import Feed
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore

INFO = ServerInfo("scripted", "", "none", "none", True, Limits(), 0, 0)


class Tokenizer:
    """One id for each character; a message with "harm" in it is unsafe."""

    def prompts(self, conversation: Conversation, _: Policy) -> tuple[tuple[Prompt, ...], Coverage]:
        text = conversation.judged.content
        ids = [666] if "harm" in text else [1]
        return (prompt(*ids * len(text)),), Coverage(len(text), len(text), 1)


@dataclass
class Reader:
    """Keeps who asked; fails where a test says so."""

    callers: list[Caller] = field(default_factory=list)
    error: GuardError | None = None

    async def read(self, prompts: Sequence[Prompt], caller: Caller) -> list[Answer]:
        self.callers.append(caller)
        if self.error:
            raise self.error
        return [Answer(UNSAFE if 666 in each.ids else SAFE, 1.0, 2.0, 1) for each in prompts]


@dataclass(frozen=True)
class Running:
    port: int
    access: Access
    reader: Reader
    server: GuardServer

    @property
    def target(self) -> str:
        return f"localhost:{self.port}"


@asynccontextmanager
async def running(
    access: Access, limiter: Limiter | None = None, restricted: tuple[str, ...] = ()
) -> AsyncIterator[Running]:
    store, reader, server = (
        ReviewStore("sqlite://"),
        Reader(),
        GuardServer("127.0.0.1:0", Limits(), access),
    )
    policies = {name: policy(id=name, categories={"S1": {}}) for name in ("test", "other")}
    pipeline = Pipeline(Tokenizer(), reader, store, policies, "test", Limits(), "scripted", 0.5)
    meter = Meter(limiter or LocalLimiter(), access.quota_of)
    moderating = ModerationService(pipeline, Door(64), meter, lambda: INFO)
    await store.start()
    feed = Feed(store.database, kept_s=60.0, poll_s=0.01)
    queue = ReviewQueue(store, draw=lambda: 0.9)
    reviewing = ReviewService(store, queue, feed, restricted=restricted)
    await server.start(moderating, reviewing)
    await server.set_serving(True)
    try:
        async with feed.running():
            yield Running(server.port, access, reader, server)
    finally:
        await server.stop(0.0, 0.0)
        await store.stop()
