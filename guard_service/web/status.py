"""The one table from our errors to HTTP; a page never shows the text of an error not ours."""

import logging
import traceback

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from guard_service import errors
from guard_service.web.page import render

log = logging.getLogger(__name__)

# The first class that fits.
_TABLE: tuple[tuple[type[Exception], int], ...] = (
    (errors.InvalidRequest, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.ReviewItemUnknown, 404),
    (errors.ClaimLost, 409),
    (errors.ReviewItemState, 409),
    (errors.Unavailable, 503),
)


async def error_page(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _page(error.status_code, error.detail)
    for kind, status in _TABLE:
        if isinstance(error, kind):
            return _page(status, str(error))
    frames = "".join(traceback.format_tb(error.__traceback__))
    extra = {"action": "console_error", "error": type(error).__name__}
    log.error("console error\n%s", frames, extra=extra)
    return _page(500, "Something went wrong on the server; its log says where.")


def _page(status: int, problem: str) -> Response:
    return render("problem.html", status, problem=problem, person=None, here="")
