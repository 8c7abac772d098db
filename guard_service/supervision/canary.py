"""Known prompts that a model must read right before it may answer anyone."""

import math

from guard_service.conversation import Conversation, Message
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.message import Batch, Engine, Piece
from guard_service.errors import CanaryFailed, ReadingRejected
from guard_service.policy import Policy
from guard_service.supervision.watchdog import check_rows, read_watched
from guard_service.verdict import check_reading
from guard_service.weights.checkpoint import Checkpoint


async def check_canaries(
    engine: Engine,
    tokenizer: GuardTokenizer,
    checkpoint: Checkpoint,
    policy: Policy,
    min_label_mass: float,
) -> None:
    """Read the checkpoint's canaries; CanaryFailed names the first that reads wrongly."""
    conversations = [Conversation((Message(c.role, c.text),)) for c in checkpoint.canaries]
    prompts = [tokenizer.prompts(conversation, policy)[0][0] for conversation in conversations]
    # Numbers from 0 on belong to the prompts of callers.
    pieces = [
        Piece(-number, prompt.prefix, prompt.ids, list_above=prompt.list_above)
        for number, prompt in enumerate(prompts, 1)
    ]
    read = await read_watched(engine, Batch(tuple(pieces), is_alone=True), math.inf)
    check_rows(engine, read, [piece.key for piece in pieces], may_owe_more=False)
    readings = dict(zip(read.keys, read.readings, strict=True))
    for number, canary in enumerate(checkpoint.canaries, 1):
        try:
            score = check_reading(readings[-number], min_label_mass).unsafe_score
        except ReadingRejected as error:
            raise CanaryFailed(f"{checkpoint.name}: canary {number}: {error}") from None
        if (score >= 0.5) != canary.is_unsafe:
            expected = "unsafe" if canary.is_unsafe else "safe"
            problem = f"canary {number} reads {score:.3f} unsafe, but it is {expected}"
            raise CanaryFailed(f"{checkpoint.name}: {problem}")
