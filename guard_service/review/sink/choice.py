"""Which sinks the settings ask for. A broker's client is imported only where it is used."""

from functools import partial

from guard_service.config import Settings
from guard_service.errors import SettingsInvalid
from guard_service.review.relay import Sink
from guard_service.review.sink.connection import Broker
from guard_service.review.sink.webhook import Webhook


def open_sinks(settings: Settings) -> list[Sink]:
    """Nothing is connected yet; SettingsInvalid, quoting no URL, where one means nothing."""
    sinks: list[Sink] = []
    if settings.feed_url:
        sinks.append(_broker(settings.feed_url, settings.feed_topic, settings.feed_days * 86400))
    if settings.webhook_url:
        sinks.append(Webhook(settings.webhook_url, settings.webhook_secret))
    return sinks


def _broker(url: str, topic: str, kept_s: float) -> Broker:
    match url.partition("://")[0]:
        case "nats" | "tls":
            from guard_service.review.sink import nats

            return Broker("nats", partial(nats.connect, url, topic, kept_s))
        case "amqp" | "amqps":
            from guard_service.review.sink import rabbitmq

            return Broker("rabbitmq", partial(rabbitmq.connect, url, topic))
        case "redis" | "rediss":
            from guard_service.review.sink import redis

            return Broker("redis", partial(redis.connect, url, topic, kept_s))
        case "kafka" | "kafkas":
            from guard_service.review.sink import kafka

            return Broker("kafka", partial(kafka.connect, url, topic))
    raise SettingsInvalid("feed_url: begins with nats, amqp(s), redis(s) or kafka(s)://")
