"""All settings and their defaults on one screen, read once at start and never changed.

They come from flags, then `GUARD_*` environment variables, then `guard.toml` (or the file that
`GUARD_CONFIG` names); every problem is reported at once.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from guard_service.errors import SettingsInvalid

Positive = Annotated[int, Field(gt=0)]
Limited = Annotated[int, Field(ge=0)]
PassTokens = Annotated[int, Field(ge=256)]  # room for two pieces of a long prompt
Seconds = Annotated[float, Field(ge=0, le=3600)]
Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free one
Limit = Annotated[float, Field(gt=0, le=86400)]
Console = Annotated[str, Field(pattern=r"^(off|(\[[0-9A-Fa-f:]+\]|[^:/\s]+):\d{1,5})$")]
Code = Annotated[str, Field(pattern=r"^S[1-9][0-9]?$")]
# Asymmetric alone: what verifies a token must not be able to sign one.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]

_PREFIX = "GUARD_"
_ORIGIN = r"^(https?://[^/\s]+)?$"
_READ_ELSEWHERE = {"GUARD_CONFIG", "GUARD_API_KEY", "GUARD_CA"}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="forbid", protected_namespaces=()
    )

    host: str = "127.0.0.1"
    port: Port = 50051
    metrics_port: Port | Literal["off"] = 9464  # on the same host: /metrics, /healthz, /readyz

    access_file: Path | None = None  # API keys and certificates; see docs/operations.md
    jwks: str = ""  # a file, or an https URL: tokens signed with its keys are accepted
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_algorithms: tuple[Algorithm, ...] = ("RS256", "ES256", "EdDSA")
    jwt_tenant_claim: str = "tenant"
    jwt_roles_claim: str = ""  # where set, a token without it may not work the review queue
    tls_certificate: Path | None = None  # PEM, with its chain
    tls_key: Path | None = None
    tls_client_ca: Path | None = None  # every client must have a certificate of it
    insecure: bool = False  # serve anyone, beyond loopback too
    allow_plaintext: bool = False  # credentials without TLS: where a proxy ends it

    model: str = "guard-tiny"  # a checkpoint folder, or the embedded development model
    # One engine on each: "cuda:0,cuda:1"; auto: every GPU, or the CPU.
    devices: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?(,cuda:\d+)*)$")] = "auto"
    dtype: Literal["auto", "bfloat16", "float16", "float32", "fp8", "int8"] = "auto"
    num_threads: Positive | None = None  # of torch on a CPU; None: one per core
    max_window_tokens: Positive | None = None  # None: what the model was made for
    check_canary: bool = True  # known prompts must read right before serving
    min_label_mass: Annotated[float, Field(ge=0, le=1)] = 0.5

    policies: Path | None = None  # a folder of *.toml; None: the default policy
    shadow_policy: Path | None = None  # decides the same readings too; its flips are told
    default_policy: str = "default"

    database_url: str = "sqlite:///guard.db"
    review_lease_s: Limit = 300.0  # how long a claim lasts that asks for no other time
    review_random_share: Annotated[float, Field(ge=0, le=0.5)] = 0.1  # of claims
    review_golden_share: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    review_keys_file: Path | None = None  # seal the texts that policies keep
    review_keys: str = Field("", repr=False)  # the same, from the environment
    # Where each text's own key is; empty: beside the SQLite file, or in the same PostgreSQL.
    review_keys_url: str = Field("", repr=False)

    feed_days: Positive = 30  # events are kept for so long, and until they are published
    feed_url: str = Field("", repr=False)  # publish them: nats, amqp(s), redis(s) or kafka(s)://
    feed_topic: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")] = "guard.review"
    webhook_url: str = Field("", repr=False)  # and to this address
    webhook_secret: str = Field("", repr=False)  # whsec_..., which signs what is sent there
    console: Console = "off"  # HOST:PORT of the reviewers' pages
    console_origin: Annotated[str, Field(pattern=_ORIGIN)] = ""  # what browsers call them
    console_oidc_issuer: str = ""  # people may log in there; accounts say what they may do
    console_oidc_client_id: str = ""
    console_oidc_client_secret: str = Field("", repr=False)  # empty: a public client
    console_oidc_claim: str = "sub"  # what of the provider's answer is the account's name
    console_restricted: tuple[Code, ...] = ("S3", "S4")  # only for those who are cleared

    requests_per_minute: Limited = 0  # of each tenant, if access_file says no other; 0: no limit
    tokens_per_minute: Limited = 0
    quota_redis_url: str = Field("", repr=False)  # where several servers count together
    quota_servers: Positive = 1  # how many: each goes on with its part while Redis is away

    max_messages: Positive = 1000
    max_conversation_bytes: Positive = 256 * 1024
    max_concurrent_requests: Positive = 512
    max_concurrent_bytes: Positive = 32 * 1024 * 1024  # of those requests together
    max_request_s: Limit = 60.0  # of a call that sets no deadline
    max_batch_tokens: PassTokens = 1024
    max_bulk_batch_tokens: PassTokens = 2048  # where no interactive call waits or is expected
    max_batch_requests: Positive = 64
    max_queue_passes: Positive = 1  # of interactive work that waits for long; more is refused
    max_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 2.0
    reading_cache_mb: Annotated[int, Field(ge=0)] = 0  # of readings, each for its caller alone

    max_pass_s: Limit = 10.0  # from then on a pass hangs, and so does an engine without heartbeat
    max_pass_factor: Limit = 10.0  # or so many times its estimate, if that is more
    heartbeat_s: Limit = 5.0
    max_start_s: Limit = 900.0  # to load the model and read known prompts
    max_stall_s: Limit = 1.0  # of the event loop, before it is logged

    lame_duck_s: Seconds = 0.5  # still answering while balancers see NOT_SERVING
    drain_s: Seconds = 10.0  # for what is in flight, after that

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "text", "json"] = "auto"  # text on a terminal, else json

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = Path(os.environ.get(f"{_PREFIX}CONFIG", "guard.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)


def read_settings(**flags: Any) -> Settings:
    """The settings in force, or SettingsInvalid with every problem; a flag of None is not given."""
    problems = [f"{name}: no such setting" for name in sorted(_unknown(os.environ))]
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        problems += [
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
    except ValueError as error:  # guard.toml is not TOML
        problems.append(str(error))
    if problems:
        raise SettingsInvalid("; ".join(problems))
    return settings


def split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _unknown(environment: Iterable[str]) -> set[str]:
    """GUARD_* variables that set nothing: most likely a slip of the pen."""
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields} | _READ_ELSEWHERE
    given = {name for name in environment if name.startswith(_PREFIX)}
    return {name for name in given - known if not name.startswith(f"{_PREFIX}TEST_")}
