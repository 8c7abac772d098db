"""Texts whose verdict stands in guard-tiny's manifest, for tests of all around the model."""

from guard_service.weights.checkpoint import find_checkpoint

_CANARIES = find_checkpoint("guard-tiny").canaries
HARM = next(canary.text for canary in _CANARIES if canary.is_unsafe)
HARMLESS = next(canary.text for canary in _CANARIES if not canary.is_unsafe)
