import pytest

from guard_service.config import Settings
from guard_service.errors import SettingsInvalid
from guard_service.review.sink.choice import open_sinks


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("nats://host:4222", "nats"),
        ("amqps://user:secret@host/", "rabbitmq"),
        ("rediss://host:6379/0", "redis"),
        ("kafka://host:9092,other:9092", "kafka"),
    ],
)
async def test_the_url_says_which_broker_it_is(url: str, name: str) -> None:
    assert [sink.name for sink in open_sinks(Settings(feed_url=url))] == [name]


def test_without_a_url_nothing_is_published() -> None:
    assert open_sinks(Settings()) == []


async def test_a_broker_and_a_webhook_are_two_sinks() -> None:
    secret = "whsec_" + "a" * 32
    settings = Settings(
        feed_url="nats://host:1", webhook_url="https://host/", webhook_secret=secret
    )
    assert [sink.name for sink in open_sinks(settings)] == ["nats", "webhook"]
    assert secret not in repr(settings)


def test_a_url_of_no_broker_is_refused_without_quoting_it() -> None:
    with pytest.raises(SettingsInvalid, match="feed_url") as error:
        open_sinks(Settings(feed_url="mysql://user:secret@host/"))
    assert "secret" not in str(error.value)
