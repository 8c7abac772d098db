"""ReviewService: what waits for people, given to them one by one."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from guard_service.api import handler
from guard_service.api.reply import review_item_message
from guard_service.api.request import page_offset, page_size, place_of
from guard_service.api.review_reply import claim_message, feed_message, record_message
from guard_service.api.review_request import (
    answer_from_request,
    held_from_request,
    item_id_of,
    lease_s,
    reviewer_of,
    route_from_request,
    tenant_of,
)
from guard_service.config import Settings
from guard_service.review.account import LEADS, OVERSEES, WORKS, Role
from guard_service.review.claim import Reviewer, Shares
from guard_service.review.feed import Feed
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.v1 import review_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ReviewService"].full_name

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ReviewService:
    store: ReviewStore
    queue: ReviewQueue
    feed: Feed
    lease_s: float = 300.0
    restricted: tuple[str, ...] = ()  # categories for those who are cleared

    def handlers(self) -> grpc.GenericRpcHandler:
        """Each for the roles that may do the same in the console."""
        unary = handler.unary
        methods = {
            "ListReviewItems": unary(pb.ListReviewItemsRequest, _for(OVERSEES, self.list_items)),
            "GetReviewItem": unary(pb.GetReviewItemRequest, _for(OVERSEES, self.get)),
            "ClaimReviewItem": unary(pb.ClaimReviewItemRequest, _for(WORKS, self.claim)),
            "RenewClaim": unary(pb.RenewClaimRequest, _for(WORKS, self.renew)),
            "ReleaseReviewItem": unary(pb.ReleaseReviewItemRequest, _for(WORKS, self.release)),
            "ResolveReviewItem": unary(pb.ResolveReviewItemRequest, _for(WORKS, self.resolve)),
            "AppealReviewItem": unary(pb.AppealReviewItemRequest, _for(LEADS, self.appeal)),
            "MarkGoldenItem": unary(pb.MarkGoldenItemRequest, _for(LEADS, self.mark_golden)),
            "WatchReviewFeed": handler.feed(pb.WatchReviewFeedRequest, _for(OVERSEES, self.watch)),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def list_items(
        self, request: pb.ListReviewItemsRequest, call: handler.Call
    ) -> pb.ListReviewItemsResponse:
        cursor = page_offset(request.page_token) or None
        size, tenant = page_size(request.page_size, 50, 500), tenant_of(call.principal)
        page = await self.store.list_items(size, cursor, tenant)
        return pb.ListReviewItemsResponse(
            items=[review_item_message(item) for item in page.items],
            next_page_token=str(page.next_cursor or ""),
        )

    async def get(
        self, request: pb.GetReviewItemRequest, call: handler.Call
    ) -> pb.GetReviewItemResponse:
        item_id = item_id_of(request.id, "id")
        return record_message(await self.store.get(item_id, tenant_of(call.principal)))

    async def claim(
        self, request: pb.ClaimReviewItemRequest, call: handler.Call
    ) -> pb.ClaimReviewItemResponse:
        reviewer = reviewer_of(request, call.principal, request.tenant)
        lease = lease_s(request.lease_s, self.lease_s)
        route = route_from_request(request, call.principal.withheld(self.restricted))
        claim = await self.queue.claim(reviewer, lease, route, request.request_id)
        return pb.ClaimReviewItemResponse(claim=claim_message(claim) if claim else None)

    async def renew(
        self, request: pb.RenewClaimRequest, call: handler.Call
    ) -> pb.RenewClaimResponse:
        reviewer, held = reviewer_of(request, call.principal), held_from_request(request)
        claim = await self.queue.renew(reviewer, held, lease_s(request.lease_s, self.lease_s))
        return pb.RenewClaimResponse(claim=claim_message(claim))

    async def release(
        self, request: pb.ReleaseReviewItemRequest, call: handler.Call
    ) -> pb.ReleaseReviewItemResponse:
        reviewer, held = reviewer_of(request, call.principal), held_from_request(request)
        await self.queue.release(reviewer, held, request.request_id)
        return pb.ReleaseReviewItemResponse()

    async def resolve(
        self, request: pb.ResolveReviewItemRequest, call: handler.Call
    ) -> pb.ResolveReviewItemResponse:
        reviewer, held = reviewer_of(request, call.principal), held_from_request(request)
        await self.queue.resolve(reviewer, held, answer_from_request(request), request.request_id)
        return pb.ResolveReviewItemResponse()

    async def appeal(
        self, request: pb.AppealReviewItemRequest, call: handler.Call
    ) -> pb.AppealReviewItemResponse:
        reviewer, item_id = (
            reviewer_of(request, call.principal),
            item_id_of(request.item_id, "item_id"),
        )
        await self.queue.appeal(reviewer, item_id, request.request_id)
        return pb.AppealReviewItemResponse()

    async def mark_golden(
        self, request: pb.MarkGoldenItemRequest, call: handler.Call
    ) -> pb.MarkGoldenItemResponse:
        reviewer = Reviewer(call.principal.name, tenant_of(call.principal))
        await self.queue.mark_golden(reviewer, item_id_of(request.item_id, "item_id"))
        return pb.MarkGoldenItemResponse()

    async def watch(
        self, request: pb.WatchReviewFeedRequest, call: handler.Call
    ) -> AsyncGenerator[pb.WatchReviewFeedResponse, None]:
        after = place_of(request.cursor, "cursor")
        tenant = tenant_of(call.principal, request.tenant)
        async with aclosing(self.feed.watch(after, tenant)) as slices:
            async for found in slices:
                for event in found.events:
                    yield feed_message(event.position, event.to_json())
                if not found.events:
                    yield feed_message(found.position)


def _for(
    roles: frozenset[Role], method: Callable[[Any, handler.Call], Answer]
) -> Callable[[Any, handler.Call], Answer]:
    """The method, for callers with one of these roles or with none said."""

    def bound(request: Any, call: handler.Call) -> Answer:
        call.principal.check_roles(roles)
        return method(request, call)

    return bound


def reviewing(store: ReviewStore, feed: Feed, settings: Settings) -> ReviewService:
    shares = Shares(settings.review_random_share, settings.review_golden_share)
    queue, restricted = ReviewQueue(store, shares), settings.console_restricted
    return ReviewService(store, queue, feed, settings.review_lease_s, restricted)
