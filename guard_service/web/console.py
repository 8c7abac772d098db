"""The console as an application: every route, behind one shield."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from guard_service.errors import GuardError
from guard_service.policy import Policy
from guard_service.review.account import Accounts
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.web.board import Board
from guard_service.web.desk import Desk
from guard_service.web.door import Door
from guard_service.web.oidc import Client, Provider
from guard_service.web.page import FOLDER
from guard_service.web.session import Sessions
from guard_service.web.shield import Shield
from guard_service.web.status import error_page

_HELD = "/items/{item_id}/{token:int}"


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the console works on."""

    store: ReviewStore
    queue: ReviewQueue
    policies: Mapping[str, Policy]
    lease_s: float
    restricted: tuple[str, ...] = ()
    login: Client | None = None  # at an OpenID provider, beside passwords


def console(rooms: Rooms, origins: Collection[str]) -> Starlette:
    """Answers under these origins alone; cookies are for TLS alone if all of them are."""
    is_secure = all(origin.startswith("https:") for origin in origins)
    sessions = Sessions(Accounts(rooms.store.database), rooms.restricted, is_secure)
    desk = Desk(sessions, rooms.store, rooms.queue, rooms.policies, rooms.lease_s)
    board = Board(sessions, rooms.store, rooms.queue, rooms.policies)
    static = StaticFiles(directory=FOLDER / "static")
    provider = Provider(rooms.login) if rooms.login else None
    app = Starlette(
        routes=[
            *_door(Door(sessions, provider)),
            *_desk(desk),
            *_board(board),
            Mount("/static", static, name="static"),
        ],
        middleware=[Middleware(Shield, origins=origins)],
        exception_handlers={
            GuardError: error_page,
            404: error_page,
            405: error_page,
            500: error_page,
        },
    )
    app.state.scheme = "https" if is_secure else "http"
    return app


def _door(door: Door) -> list[Route]:
    elsewhere = [
        Route("/login/oidc", door.leave, methods=["GET"]),
        Route("/login/oidc/return", door.come_back, methods=["GET"]),
    ]
    return [
        *(elsewhere if door.provider else []),
        Route("/login", door.show, methods=["GET"]),
        Route("/login", door.log_in, methods=["POST"]),
        Route("/logout", door.log_out, methods=["POST"]),
        Route("/accounts", door.list_accounts, methods=["GET"]),
        Route("/accounts/{name}", door.switch, methods=["POST"]),
    ]


def _desk(desk: Desk) -> list[Route]:
    return [
        Route("/", desk.home, methods=["GET"]),
        Route("/claim", desk.claim, methods=["POST"]),
        Route(_HELD, desk.look, methods=["GET"]),
        Route(f"{_HELD}/reveal", desk.reveal, methods=["POST"]),
        Route(f"{_HELD}/resolve", desk.resolve, methods=["POST"]),
        Route(f"{_HELD}/skip", desk.skip, methods=["POST"]),
        Route(f"{_HELD}/release", desk.release, methods=["POST"]),
        Route(f"{_HELD}/renew", desk.renew, methods=["POST"]),
        Route(f"{_HELD}/undo", desk.undo, methods=["POST"]),
    ]


def _board(board: Board) -> list[Route]:
    return [
        Route("/figures", board.figures, methods=["GET"]),
        Route("/records", board.find, methods=["GET"]),
        Route("/records/{item_id}", board.record, methods=["GET"]),
        Route("/records/{item_id}/appeal", board.appeal, methods=["POST"]),
        Route("/records/{item_id}/golden", board.mark_golden, methods=["POST"]),
    ]
