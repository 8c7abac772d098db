"""ReviewService: what waits for people."""

from dataclasses import dataclass

import grpc

from guard_service.api import handler
from guard_service.api.reply import review_item_message
from guard_service.api.request import page_offset, page_size
from guard_service.review.store import ReviewStore
from guard_service.v1 import review_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ReviewService"].full_name


@dataclass(frozen=True, slots=True)
class ReviewService:
    store: ReviewStore

    def handlers(self) -> grpc.GenericRpcHandler:
        methods = {"ListReviewItems": handler.unary(pb.ListReviewItemsRequest, self.list_items)}
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def list_items(
        self, request: pb.ListReviewItemsRequest, call: handler.Call
    ) -> pb.ListReviewItemsResponse:
        cursor = page_offset(request.page_token) or None
        size, tenant = page_size(request.page_size, 50, 500), call.principal.tenant or None
        page = await self.store.list_items(size, cursor, tenant)
        return pb.ListReviewItemsResponse(
            items=[review_item_message(item) for item in page.items],
            next_page_token=str(page.next_cursor or ""),
        )
