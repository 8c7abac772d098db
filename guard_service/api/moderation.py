"""ModerationService: one check, many checks, and what this server is."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import grpc

from guard_service.api import handler
from guard_service.api.admission import Door
from guard_service.api.handler import Call, Write
from guard_service.api.reply import (
    ServerInfo,
    info_message,
    policy_message,
    response_from_outcome,
)
from guard_service.api.request import check_from_request, page_offset, page_size, parse
from guard_service.api.status import to_status
from guard_service.batching.entry import Arrival, Caller, Lane
from guard_service.errors import MalformedRequest, Violation
from guard_service.pipeline import Pipeline
from guard_service.quota.meter import Meter
from guard_service.sight.journey import watch_item
from guard_service.sight.observed import answered, received
from guard_service.v1 import moderation_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ModerationService"].full_name

# Items of one stream in flight: enough to fill several batches, few enough to bound its memory.
_MAX_STREAM_ITEMS = 128


@dataclass(frozen=True, slots=True)
class ModerationService:
    pipeline: Pipeline
    door: Door
    meter: Meter
    info: Callable[[], ServerInfo]
    max_request_s: float = 60.0  # of a call whose caller sets no deadline

    def handlers(self) -> grpc.GenericRpcHandler:
        methods = {
            "Moderate": handler.unary(pb.ModerateRequest, self.moderate),
            "ModerateBatch": handler.stream(pb.ModerateBatchRequest, self.moderate_batch),
            "ListPolicies": handler.unary(pb.ListPoliciesRequest, self.list_policies),
            "GetServerInfo": handler.unary(pb.GetServerInfoRequest, self.get_server_info),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def moderate(self, request: pb.ModerateRequest, call: Call) -> pb.ModerateResponse:
        call.principal.check_lane(Lane.INTERACTIVE)
        latest_s = asyncio.get_running_loop().time() + self.max_request_s
        call = replace(call, deadline_s=min(call.deadline_s, latest_s))
        async with self.door.interactive(call.share, call.num_bytes) as arrival:
            return await self._moderate(request, call, Lane.INTERACTIVE, arrival)

    async def moderate_batch(
        self, payloads: AsyncIterator[bytes], write: Write, call: Call
    ) -> None:
        """Judge items side by side and write each answer as it is ready.

        A client that does not read its answers stops being read itself: the items in flight hold
        their places until they are written.
        """
        call.principal.check_lane(Lane.BULK)
        places = asyncio.Semaphore(_MAX_STREAM_ITEMS)
        writing = asyncio.Lock()

        async def answer(index: int, payload: bytes) -> None:
            try:
                with watch_item():
                    response = await self._answer_item(index, payload, call)
                async with writing:
                    await write(response)
            finally:
                places.release()

        index = 0
        async with asyncio.TaskGroup() as group:
            async for payload in payloads:
                await places.acquire()
                group.create_task(answer(index, payload))
                index += 1

    async def list_policies(
        self, request: pb.ListPoliciesRequest, call: Call
    ) -> pb.ListPoliciesResponse:
        start, size = page_offset(request.page_token), page_size(request.page_size, 100, 100)
        names = filter(call.principal.may_use, sorted(self.pipeline.policies))
        policies = [self.pipeline.policies[name] for name in names]
        end = start + size
        return pb.ListPoliciesResponse(
            policies=[policy_message(policy) for policy in policies[start:end]],
            next_page_token=str(end) if end < len(policies) else "",
            default_policy=self.pipeline.default_policy,
        )

    async def get_server_info(
        self, _: pb.GetServerInfoRequest, __: Call
    ) -> pb.GetServerInfoResponse:
        return info_message(self.info())

    async def _moderate(
        self,
        request: pb.ModerateRequest,
        call: Call,
        lane: Lane,
        arrival: Arrival | None = None,
    ) -> pb.ModerateResponse:
        request.request_id = request.request_id or uuid.uuid4().hex
        received(request.request_id)
        call.principal.check_policy(request.policy or self.pipeline.default_policy)
        async with self.meter.charge(call.share, request.ByteSize()) as settle:
            check = replace(
                check_from_request(request, self.pipeline.limits),
                caller=Caller(lane, call.share, deadline_s=call.deadline_s, arrival=arrival),
                tenant=call.principal.tenant,
                settle=settle,
            )
            outcome = await self.pipeline.moderate(check)
            await settle(outcome.usage.prompt_tokens)  # 0 where a fallback answers
            answered(check, outcome)
            return response_from_outcome(outcome, include_readings=request.include_readings)

    async def _answer_item(
        self, index: int, payload: bytes, call: Call
    ) -> pb.ModerateBatchResponse:
        """The answer to one item of a stream, or its error."""
        answer = pb.ModerateBatchResponse(index=index)
        try:
            item = parse(pb.ModerateBatchRequest, payload)
            if not item.HasField("request"):
                raise MalformedRequest((Violation("request", "is missing"),))
            item.request.request_id = item.request.request_id or uuid.uuid4().hex
            answer.request_id = item.request.request_id
            async with self.door.bulk(len(payload)):
                answer.response.CopyFrom(await self._moderate(item.request, call, Lane.BULK))
        except Exception as error:
            answer.error.CopyFrom(to_status(error))
        return answer
