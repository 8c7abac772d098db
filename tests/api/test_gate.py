"""Every RPC of every service behind every kind of credential, and streams that outlive theirs.

The walk is made from the descriptors: an RPC that is added later cannot be forgotten.
"""

import base64
import pkgutil
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import grpc
import pytest
from credentials import AUDIENCE, ISSUER, Signer, entry, write_access, write_jwks
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from in_process import Running, running

from guard_service import v1
from guard_service.access.access import Access
from guard_service.access.key import NewKey, make_key
from guard_service.api.gate import current_principal
from guard_service.config import Settings
from guard_service.errors import Unauthenticated
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import moderation_pb2_grpc

Metadata = tuple[tuple[str, str | bytes], ...]

KEY, EXPIRED, FOREIGN = make_key(), make_key(), make_key()
SIGNER, STRANGER = Signer("1"), Signer("1")


def methods() -> Iterator[MethodDescriptor]:
    ours = [m.name for m in pkgutil.iter_modules(v1.__path__) if m.name.endswith("_pb2")]
    modules = [import_module(f"{v1.__name__}.{name}") for name in ours]
    for module in (*modules, health_pb2, reflection_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from service.methods


METHODS = {f"/{m.containing_service.full_name}/{m.name}": m for m in methods()}
CLOSED = [path for path in METHODS if not path.startswith("/grpc.health.v1.")]


def bearer(secret: str) -> Metadata:
    return (("authorization", f"Bearer {secret}"),)


def altered(key: NewKey) -> str:
    return key.text[:-1] + ("A" if key.text[-1] != "A" else "B")


REFUSED: dict[str, Metadata] = {
    "none": (),
    "no secret": (("authorization", "Bearer"),),
    "an empty secret": (("authorization", "Bearer "),),
    "another scheme": (("authorization", f"Basic {KEY.text}"),),
    "no scheme": (("authorization", KEY.text),),
    "another header": (("api-key", KEY.text),),
    "a binary header": (("authorization-bin", f"Bearer {KEY.text}".encode()),),
    "two headers": bearer(KEY.text) * 2,
    "nonsense": bearer("x"),
    "15 KB": bearer("x" * 15_000),
    "a key of nobody": bearer(FOREIGN.text),
    "a wrong secret": bearer(altered(KEY)),
    "the id alone": bearer(f"gk_{KEY.id}_"),
    "the hash": bearer(f"gk_{KEY.id}_{KEY.sha256}"),
    "an expired key": bearer(EXPIRED.text),
    "an expired token": bearer(SIGNER.token(exp=time.time() - 60)),
    "a token of another issuer": bearer(SIGNER.token(iss="https://else.example")),
    "a token for others": bearer(SIGNER.token(aud="others")),
    "a token without tenant": bearer(SIGNER.token(tenant=None)),
    "a foreign signature": bearer(STRANGER.token()),
    "an unknown key id": bearer(SIGNER.token(kid="2")),
    "a token of brackets": bearer(f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.e30.x"),
}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    file = write_access(tmp_path / "access.json", entry(KEY), entry(EXPIRED, expires=yesterday))
    jwks = write_jwks(tmp_path / "jwks.json", SIGNER)
    settings = Settings(access_file=file, jwks=str(jwks), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    async with running(Access(settings)) as service:
        yield service


async def call(service: Running, path: str, metadata: Metadata) -> grpc.aio.AioRpcError | None:
    """The error of one call with an empty request; None for an answer or a stream that ends well.

    A stream sends nothing: a message on its way when the refusal comes fails in gRPC's own core, as
    INTERNAL, now and then.
    """
    method = METHODS[path]
    async with grpc.aio.insecure_channel(service.target) as channel:
        requests = "stream" if method.client_streaming else "unary"
        answers = "stream" if method.server_streaming else "unary"
        invoke = getattr(channel, f"{requests}_{answers}")(path)
        request = iter(()) if method.client_streaming else b""
        running_call = invoke(request, metadata=metadata, timeout=10)
        try:
            if method.server_streaming:
                await running_call.read()
            else:
                await running_call
        except grpc.aio.AioRpcError as error:
            return error
    return None


async def test_the_walk_covers_all_that_the_server_serves(service: Running) -> None:
    async with grpc.aio.insecure_channel(service.target) as channel:
        path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        invoke = channel.stream_stream(
            path,
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = await invoke(iter([request]), metadata=bearer(KEY.text)).read()
    served = {service.name for service in answer.list_services_response.service}
    assert served == {path.split("/")[1] for path in METHODS}


@pytest.mark.parametrize("path", CLOSED)
async def test_every_rpc_answers_every_wrong_credential_in_the_same_words(
    service: Running, path: str
) -> None:
    answers = set()
    for kind, metadata in REFUSED.items():
        error = await call(service, path, metadata)
        assert error is not None, kind
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED, kind
        answers.add((error.details(), str(error.trailing_metadata())))
    assert len(answers) == 1
    assert answers.pop()[0] == str(Unauthenticated())


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("secret", [KEY.text, SIGNER.token()], ids=["key", "token"])
async def test_every_rpc_takes_a_right_credential(service: Running, path: str, secret: str) -> None:
    error = await call(service, path, bearer(secret))
    assert error is None or error.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("path", METHODS.keys() - set(CLOSED))
async def test_health_is_open(service: Running, path: str) -> None:
    assert await call(service, path, ()) is None


async def test_without_access_options_everything_is_open() -> None:
    async with running(Access(Settings())) as service:
        for path in METHODS:
            error = await call(service, path, bearer("x"))
            assert error is None or error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_ends_with_its_next_message_once_its_key_is_revoked(
    service: Running, tmp_path: Path
) -> None:
    hello = pb.ModerateRequest(messages=[pb.Message(role=pb.ROLE_USER, content="hello")])
    async with grpc.aio.insecure_channel(service.target) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        stream = stub.ModerateBatch(metadata=bearer(KEY.text), timeout=10)
        await stream.write(pb.ModerateBatchRequest(request=hello))
        assert (await stream.read()).HasField("response")
        write_access(tmp_path / "access.json", entry(EXPIRED))
        service.access.take(service.access.read_again({}))
        await stream.write(pb.ModerateBatchRequest(request=hello))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stream.read()
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert len(service.reader.callers) == 1


async def test_a_call_that_no_gate_admitted_has_no_principal() -> None:
    with pytest.raises(LookupError):
        current_principal()
