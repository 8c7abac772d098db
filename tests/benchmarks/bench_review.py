"""How fast claims and pages are with so many items in PostgreSQL, half of them waiting.

    PYTHONPATH=tests python tests/benchmarks/bench_review.py [--items 1000000] [--claims 500]

Makes a database of its own beside postgres on 127.0.0.1 (GUARD_TEST_POSTGRESQL_URL names another
server), and takes it away again. Claims are timed as the queue is asked, with a resolution between
any two; pages as the console answers them, without the network.
"""

import argparse
import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial

import numpy as np
from consoles import Browser, Opened, opened
from plans import plans_of
from services import postgresql_url
from sqlalchemy import Connection, text

from guard_service.review.account import Role
from guard_service.review.claim import Answer, Held, Reviewer, Route
from guard_service.review.dialect import now_ms
from guard_service.review.item import Lane, Outcome
from guard_service.review.selection import choose, free_for

NUM_TENANTS = 10

_ITEMS = """
INSERT INTO review_items (id, request_id, conversation_digest, created_at, reason, action,
    judged_role, unsafe_score, codes, policy, policy_version, model, labels, tenant, lane, level,
    category, language, opened_ms, inclusion, num_looks, outcome)
SELECT md5(n::text), 'request-' || n, md5((n / 2)::text) || md5('x' || n / 2), now() - age,
    CASE WHEN n % 10 = 0 THEN 'sampled' ELSE 'blocked' END, 'block', 'assistant', random(),
    'S' || (1 + n % 13), 'default', '1', 'guard-tiny', '{}', 'tenant' || (n / 2) % :tenants,
    CASE WHEN n % 2 = 0 THEN 'closed' WHEN n % 10 = 5 THEN 'random' ELSE 'ranked' END,
    (n * 7919) % 16, 'S' || (1 + n % 13), CASE WHEN n % 5 = 0 THEN 'de' ELSE 'en' END,
    (extract(epoch FROM now() - age) * 1000)::bigint, 1, CASE WHEN n % 2 = 0 THEN 1 ELSE 0 END,
    CASE WHEN n % 2 = 1 THEN '' WHEN n % 6 = 0 THEN 'overturned' ELSE 'upheld' END
FROM generate_series(1::bigint, :items) AS n,
    LATERAL (SELECT interval '1 second' * ((n * 104729) % (40 * 86400)) AS age) AS aged
"""
_LOOKS = """
INSERT INTO review_resolutions (item_id, look, reviewer, token, outcome, codes, resolved_ms,
    looks_wanted)
SELECT id, 1, 'reviewer' || sequence % 50, 1, outcome, codes, opened_ms + 3600000, 1
FROM review_items WHERE outcome <> ''
"""


async def timed(num: int, work: Callable[[], Awaitable[object]]) -> str:
    """Median, 95th percentile and the longest of so many, in ms."""
    took = []
    for _ in range(num):
        start = time.perf_counter()
        await work()
        took.append((time.perf_counter() - start) * 1000)
    p50, p95 = np.percentile(took, [50, 95])
    return f"p50 {p50:.1f}, p95 {p95:.1f}, max {max(took):.1f} ms"


async def time_claims(console: Opened, num: int) -> None:
    ways = {
        "one tenant": (Reviewer("ann", "tenant1"), Route()),
        "one tenant, one category": (Reviewer("ben", "tenant1"), Route(("S3",))),
        "one tenant, withheld": (Reviewer("cyd", "tenant1"), Route(withheld=("S3", "S4"))),
        "all tenants": (Reviewer("dan", None), Route()),
        "all tenants, one category": (Reviewer("eve", None), Route(("S3",))),
    }
    for name, (reviewer, route) in ways.items():
        took = []
        for _ in range(num):
            start = time.perf_counter()
            claim = await console.queue.claim(reviewer, 60, route)
            took.append((time.perf_counter() - start) * 1000)
            assert claim is not None
            held = Held(claim.item.id, claim.token)
            await console.queue.resolve(reviewer, held, Answer(Outcome.UPHELD))
        p50, p95 = np.percentile(took, [50, 95])
        print(f"claim, {name}: p50 {p50:.1f}, p95 {p95:.1f}, max {max(took):.1f} ms", flush=True)
        told = await console.store.database.run(partial(explained, reviewer=reviewer, route=route))
        print(f"    {told}", flush=True)


def explained(connection: Connection, reviewer: Reviewer, route: Route) -> str:
    """By which indexes an item is chosen, and how long the database itself takes for that."""
    free = free_for(reviewer, route, Lane.RANKED, now_ms())
    plans = plans_of(
        connection,
        "review_items",
        lambda: choose(connection, free, now_ms()),
        "EXPLAIN ANALYZE",
    )
    took = sum(float(each) for plan in plans for each in re.findall(r"Time: ([\d.]+) ms", plan))
    indexes = sorted({each for plan in plans for each in re.findall(r"using (\w+)", plan)})
    scans = [plan for plan in plans if "Seq Scan on review_items" in plan]
    return f"{took:.1f} ms of planning and execution, {len(scans)} full scans, by {indexes}"


async def time_pages(console: Opened, tenant: str | None, num: int) -> None:
    lead = await console.person(Role.LEAD, name=f"lead-{tenant}", tenant=tenant)
    held = await lead.claim()
    item_id = held.split("/")[2]
    start = time.perf_counter()
    while (await lead.get("/figures")).status_code == 202:
        await asyncio.sleep(0.01)
    counted_s = time.perf_counter() - start
    print(f"figures of {tenant or 'all tenants'} counted in {counted_s:.1f} s", flush=True)
    for path in ("/", held, f"/records/{item_id}", "/figures"):
        told = await timed(num, partial(_page, lead, path))
        shown = path.replace(item_id, "ID")
        print(f"page {shown}, {tenant or 'all tenants'}: {told}", flush=True)
    told = await timed(num, partial(console.store.list_items, 50, None, tenant))
    print(f"ListReviewItems, {tenant or 'all tenants'}: {told}", flush=True)


async def _page(browser: Browser, path: str) -> None:
    answer = await browser.get(path)
    assert answer.is_success, path


async def measure(url: str, num_items: int, num_claims: int) -> None:
    async with opened(url) as console:
        run = console.store.database.run
        start = time.perf_counter()
        with console.store.database.engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            given = {"items": num_items, "tenants": NUM_TENANTS}
            connection.execute(text(_ITEMS), given)
            connection.execute(text(_LOOKS))
        await run(lambda c: c.execute(text("SET LOCAL statement_timeout = 0; ANALYZE")))
        print(f"{num_items} items in {time.perf_counter() - start:.0f} s", flush=True)
        await time_claims(console, num_claims)
        for tenant in ("tenant1", None):
            await time_pages(console, tenant, max(num_claims // 10, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--claims", type=int, default=500)
    asked = parser.parse_args()
    with postgresql_url() as url:
        asyncio.run(measure(url, asked.items, asked.claims))


if __name__ == "__main__":
    main()
