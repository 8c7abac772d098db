"""Kept texts: each sealed under a key of its own, read while its time is not over, then erased."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from guard_service.conversation import Conversation
from guard_service.review.cipher import Sealed, SealedKey, Sealer
from guard_service.review.dialect import clock_ms, now_ms
from guard_service.review.item import ReviewItem
from guard_service.review.keyring import Keyring
from guard_service.review.table import review_texts

texts = review_texts.c

_OWN = ""  # instead of a tenant key's id, with which texts were sealed at first


@dataclass(frozen=True, slots=True)
class Texts:
    sealer: Sealer
    keyring: Keyring

    def keep(self, connection: Connection, item: ReviewItem, conversation: Conversation) -> None:
        """The key is on disk first: what is erased later is never a text without one."""
        sealed = self.sealer.seal(conversation, item.tenant, item.id)
        expires_ms = clock_ms(connection) + item.place.keep_text_s * 1000
        self.keyring.put(item.id, sealed.key, expires_ms)
        row = {"item_id": item.id, "key_id": _OWN, "sealed": sealed.text}
        connection.execute(insert(review_texts).values(row | {"expires_ms": expires_ms}))

    def read(self, connection: Connection, item: ReviewItem) -> Conversation | None:
        """None where none is kept, its time is over, or its key is gone."""
        statement = select(texts.key_id, texts.sealed).where(
            texts.item_id == item.id, texts.expires_ms > now_ms()
        )
        row = connection.execute(statement).one_or_none()
        if row is None:
            return None
        key = SealedKey(row.key_id) if row.key_id != _OWN else self.keyring.find(item.id)
        return self.sealer.open(Sealed(row.sealed, key), item.tenant, item.id) if key else None

    def erase(self, connection: Connection, item_ids: Sequence[str]) -> Sequence[str]:
        """Those that nobody else erased meanwhile.

        The keys are gone for good when this returns, whatever becomes of the transaction.
        """
        self.keyring.destroy(item_ids, clock_ms(connection))
        gone = delete(review_texts).where(texts.item_id.in_(item_ids)).returning(texts.item_id)
        return connection.execute(gone).scalars().all()


def has_text(connection: Connection, item_id: str) -> bool:
    kept = select(texts.item_id).where(texts.item_id == item_id, texts.expires_ms > now_ms())
    return connection.execute(kept).scalar() is not None
