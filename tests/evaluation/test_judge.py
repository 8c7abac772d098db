import pytest
from conversations import policy
from in_process import Reader, Tokenizer
from judged_rows import judged

from guard_service.conversation import Conversation, Limits, Message, Role
from guard_service.errors import EngineUnavailable
from guard_service.evaluation.judge import Judge
from guard_service.pipeline import Pipeline


def judge(reader: Reader) -> Judge:
    given = policy(categories={"S1": {}}, review={"blocked": False, "band": 0})
    pipeline = Pipeline(
        tokenizer=Tokenizer(),
        reader=reader,
        feed=None,  # type: ignore[arg-type]  # no policy here has anything reviewed
        policies={given.id: given},
        default_policy=given.id,
        limits=Limits(max_conversation_bytes=100),
        model="scripted",
        min_label_mass=0.5,
    )
    return Judge(pipeline, num_places=2)


def user(text: str) -> Conversation:
    return Conversation((Message(Role.USER, text),))


async def test_equal_conversations_are_judged_once() -> None:
    reader, told = Reader(), []
    harm, hello = user("harm"), user("hello")
    found = await judge(reader).read([harm, hello, harm], "", told.append)
    assert len(reader.callers) == 2
    assert told == [2, 2]
    assert found.judgements[harm.digest()].is_unsafe
    assert found.judgements[harm.digest()].codes == ("S1",)
    assert found.judgements[harm.digest()].category_scores == {"S1": 0.99}
    assert not found.judgements[hello.digest()].is_unsafe
    assert found.model == "scripted"


async def test_a_conversation_that_is_refused_has_its_reason_and_the_others_their_verdict() -> None:
    long = user("x" * 200)
    found = await judge(Reader()).read([long, user("hello")], "")
    assert len(found.judgements) == 1
    assert "at most 100 are judged" in found.refusals[long.digest()]


async def test_an_engine_that_fails_ends_the_evaluation() -> None:
    with pytest.raises(EngineUnavailable):
        await judge(Reader(error=EngineUnavailable())).read([judged(True, 1).row.conversation], "")
