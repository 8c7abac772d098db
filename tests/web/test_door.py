import pytest
from consoles import PASSWORD, Opened
from sqlalchemy import select, update

from guard_service.review.account import Role as Office
from guard_service.review.table import review_accounts, review_sessions


async def test_a_wrong_name_and_a_wrong_password_look_alike(console: Opened) -> None:
    await console.person(name="ann")
    stranger = console.stranger()
    wrong = await stranger.log_in("ann", "not the password")
    unknown = await stranger.log_in("nobody")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text == unknown.text


async def test_five_failures_lock_the_account_for_a_while(console: Opened) -> None:
    await console.person(name="ann")
    stranger = console.stranger()
    for _ in range(5):
        await stranger.log_in("ann", "not the password")
    assert (await stranger.log_in("ann")).status_code == 401
    over = update(review_accounts).values(locked_until_ms=1)
    await console.store.database.run(lambda c: c.execute(over))
    assert (await stranger.log_in("ann")).status_code == 303


async def test_the_cookie_is_for_this_site_alone_and_scripts_do_not_see_it(
    console: Opened,
) -> None:
    await console.person(name="ann")
    cookie = (await console.stranger().log_in("ann")).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


async def test_the_secret_of_a_session_is_not_in_the_database(console: Opened) -> None:
    ann = await console.person()
    secret = ann.client.cookies["guard"]
    digests = select(review_sessions.c.digest)
    rows = await console.store.database.read(lambda c: c.execute(digests).scalars().all())
    assert len(rows) == 1
    assert secret not in rows


@pytest.mark.parametrize("column", ["expires_ms", "seen_ms"])
async def test_a_session_ends_after_a_shift_or_when_nobody_is_there(
    console: Opened, column: str
) -> None:
    ann = await console.person()
    assert (await ann.get("/")).status_code == 200
    over = update(review_sessions).values({column: 1})
    await console.store.database.run(lambda c: c.execute(over))
    assert (await ann.get("/")).headers["location"] == "/login"


async def test_logging_out_ends_the_session_for_whoever_kept_the_cookie(console: Opened) -> None:
    ann = await console.person()
    secret = ann.client.cookies["guard"]
    await ann.post("/logout")
    thief = console.stranger()
    thief.client.cookies.set("guard", secret)
    assert (await thief.get("/")).headers["location"] == "/login"


async def test_a_disabled_person_is_out_at_once_and_back_when_enabled(console: Opened) -> None:
    ann = await console.person(name="ann")
    admin = await console.person(Office.ADMIN)
    await admin.post("/accounts/ann", {"disable": "yes"})
    assert (await ann.get("/")).headers["location"] == "/login"
    assert (await ann.log_in("ann")).status_code == 401
    await admin.post("/accounts/ann", {"disable": "no"})
    assert (await ann.log_in("ann", PASSWORD)).status_code == 303


async def test_nobody_disables_themselves(console: Opened) -> None:
    admin = await console.person(Office.ADMIN)
    assert (await admin.post("/accounts/admin", {"disable": "yes"})).status_code == 400
