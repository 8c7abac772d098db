"""Between callers and engines: takes prompts in, hands out passes, answers. Imports no torch.

A prompt that was taken in gets exactly one reading or one error. Callers that left are dropped
before the model sees them.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count

from guard_service.batching.backlog import Backlog
from guard_service.batching.entrance import Entrance
from guard_service.batching.entry import ANYONE, Answer, Asker, Caller, Entry, Lane
from guard_service.batching.fair_queue import FairQueue
from guard_service.batching.quarantine import Quarantine
from guard_service.batching.reuse import Reuse
from guard_service.batching.scheduler import BatchLimits, Pass, Scheduler
from guard_service.engine.message import BatchRead, Engine
from guard_service.errors import DeadlineExceeded, EngineUnavailable, GuardError, PromptQuarantined
from guard_service.prompt import Prompt
from guard_service.supervision.watchdog import DEFAULT_PATIENCE, Patience

log = logging.getLogger(__name__)


class Batcher:
    def __init__(
        self,
        engines: Callable[[], Sequence[Engine]],
        limits: BatchLimits,
        reuse: Reuse | None = None,
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        self._engines = engines
        self._max_wait_s = limits.max_wait_ms / 1000
        self._reuse = reuse or Reuse()
        self._patience = patience
        self._scheduler = Scheduler(limits)
        self._quarantine = Quarantine()
        self.entrance = Entrance(limits, self.lanes[Lane.INTERACTIVE], self._usable)
        self._backlogs: dict[Engine, Backlog] = {}
        self._keys, self._numbers = count(), count()
        self._company_s = 0.0  # until then an idle engine waits for company
        self._changed = asyncio.Event()
        self._run_task: asyncio.Task[None] | None = None
        self._passes: dict[asyncio.Task[None], Pass] = {}

    @property
    def lanes(self) -> Mapping[Lane, FairQueue]:
        """What waits for an engine."""
        return self._scheduler.lanes

    def start(self) -> None:
        self._run_task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop reading; whoever still waits gets EngineUnavailable."""
        passes = dict(self._passes)
        tasks = [*passes, *([self._run_task] if self._run_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        under_way = [entry for formed in passes.values() for entry in formed.entries]
        under_way += [entry for b in self._backlogs.values() for entry in b.owed.values()]
        _fail(under_way + self._scheduler.clear(), EngineUnavailable("the server is stopping"))

    async def read(self, prompts: Sequence[Prompt], caller: Caller = ANYONE) -> list[Answer]:
        """One answer for each prompt, in order; cancelling it takes them all back."""
        self._refuse_late(prompts, caller)
        answers = self._ask_all(prompts, caller)
        self._changed.set()
        try:
            return await asyncio.gather(*answers)
        finally:
            for answer in answers:  # where one failed, the others are of no use
                answer.cancel()

    def _refuse_late(self, prompts: Sequence[Prompt], caller: Caller) -> None:
        """Nothing is begun that could not end in time even on an engine with nothing else to do."""
        longest = max((len(prompt.ids) for prompt in prompts), default=0)
        quickest_s = min((b.predict_s(longest) for b in self._usable()), default=0.0)
        if asyncio.get_running_loop().time() + quickest_s > caller.deadline_s:
            raise DeadlineExceeded

    def _ask_all(self, prompts: Sequence[Prompt], caller: Caller) -> "list[asyncio.Future[Answer]]":
        lane = self.lanes[caller.lane]
        before = lane.num_tokens
        answers = [self._ask(prompt, caller) for prompt in prompts]
        if caller.arrival:
            caller.arrival.end()
            self.entrance.learn(lane.num_tokens - before)
        return answers

    def _ask(self, prompt: Prompt, caller: Caller) -> "asyncio.Future[Answer]":
        loop = asyncio.get_running_loop()
        asker = Asker(loop.create_future(), loop.time(), caller.deadline_s)
        digest = self._reuse.digest(prompt, caller)
        if reading := self._reuse.find(digest, prompt.list_above):
            asker.answer.set_result(Answer(reading, 0.0, 0.0, 0))
        elif self._quarantine.is_culprit(digest):
            asker.answer.set_exception(PromptQuarantined())
        elif entry := self._reuse.find_entry(caller.lane, digest, prompt.list_above):
            entry.askers.append(asker)
        else:
            entry = Entry(next(self._keys), digest, prompt, caller, asker.since_s, [asker])
            entry.goes_alone = self._quarantine.is_suspect(digest)
            self._push(entry)
        return asker.answer

    def _push(self, entry: Entry) -> None:
        if not self._scheduler.num_waiting:
            self._company_s = entry.since_s + self._max_wait_s
        self._reuse.share(entry)
        self._scheduler.push(entry)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                again_s = self._dispatch()
            except Exception:  # a bug must not take the batcher, and so everyone after, with it
                log.exception("no pass was formed", extra={"action": "batch_failed"})
                _fail(self._scheduler.clear(), EngineUnavailable())
                continue
            try:
                async with asyncio.timeout_at(None if math.isinf(again_s) else again_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _dispatch(self) -> float:
        """Hand out every pass that can be; when to try again if nothing changes before."""
        self._meet_engines()
        again_s = math.inf
        for backlog in sorted(self._usable(), key=lambda b: b.end_s):  # the least loaded first
            while self._scheduler.num_waiting:
                ready_s = self._ready_s(backlog)
                if ready_s > asyncio.get_running_loop().time():
                    again_s = min(again_s, ready_s)
                    break
                if not self._hand_out(backlog):
                    break
        return again_s

    def _ready_s(self, backlog: Backlog) -> float:
        if backlog.is_idle and not self._scheduler.is_full:
            return self._company_s
        return backlog.ready_s

    def _hand_out(self, backlog: Backlog) -> bool:
        """Form the engine's next pass; False if nothing that waits is for it."""
        num_waiting = self._scheduler.num_waiting
        formed = self._scheduler.next_pass(backlog.number, backlog.end_s, backlog.predict_s)
        _fail(formed.late, DeadlineExceeded())
        if formed.pieces:
            backlog.begin(formed)
            self.entrance.saw_pass(formed.num_tokens_of(Lane.INTERACTIVE))
            task = asyncio.create_task(self._read(backlog, formed))
            self._passes[task] = formed
            task.add_done_callback(self._passes.pop)
        return self._scheduler.num_waiting < num_waiting or bool(formed.pieces)

    def _usable(self) -> list[Backlog]:
        return [backlog for backlog in self._backlogs.values() if not backlog.is_broken]

    def _meet_engines(self) -> None:
        """Follow the engines that come and go; without any, nobody is left waiting."""
        serving = self._engines()
        for engine in self._backlogs.keys() - set(serving):
            self._lose(self._backlogs.pop(engine))
        for engine in serving:
            if engine not in self._backlogs:
                self._backlogs[engine] = Backlog(engine, next(self._numbers), self._patience)
        if not self._usable():
            _fail(self._scheduler.clear(), EngineUnavailable())

    def _lose(self, backlog: Backlog) -> None:
        error = EngineUnavailable("the engine process died")
        _fail(self._scheduler.lose(backlog.number), error)
        _fail(backlog.owed.values(), error)
        backlog.owed.clear()

    async def _read(self, backlog: Backlog, formed: Pass) -> None:
        try:
            read = await backlog.read(formed.batch)
            self._answer(backlog, formed, read)
        except GuardError as error:
            self._blame(backlog, formed)
            _fail(formed.entries, error)
            self._lose(backlog)
        except Exception:  # as in _run
            log.exception("batch failed", extra={"action": "batch_failed"})
            _fail(formed.entries, EngineUnavailable())
            backlog.forget(formed)
        finally:
            self._changed.set()

    def _answer(self, backlog: Backlog, formed: Pass, read: BatchRead) -> None:
        """Prompts of this pass, and of earlier ones whose lists rode in it."""
        finished = [backlog.owed.pop(key) for key in read.keys]
        for entry in {*formed.entries, *finished}:
            entry.inference_ms += read.inference_ms
        for entry, reading in zip(finished, read.readings, strict=True):
            self._quarantine.saw_read(entry.digest)
            self._reuse.keep(entry, reading)
            entry.finish(reading)

    def _blame(self, backlog: Backlog, formed: Pass) -> None:
        """Suspect what the engine was reading when it failed, not what was to come after it."""
        if not backlog.is_blamed:
            backlog.is_blamed = True
            owed = () if formed.is_alone else backlog.owed.values()
            riding = {entry for entry in owed if entry.started_s < formed.start_s}
            self._quarantine.saw_death(entry.digest for entry in {*formed.entries, *riding})


def _fail(entries: Iterable[Entry], error: GuardError) -> None:
    for entry in entries:
        entry.fail(error)
