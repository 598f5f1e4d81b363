"""Drawn interleavings of requests, answers, clients that leave and workers that die: no answer is lost or swapped."""

import asyncio
import functools
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api.errors import TryAgain
from api.worker import Worker
from api.worker_messages import Call, Cancel, Message
from api.worker_pool import WorkerPool
from model.errors import TrainingStoppedError
from tests.support.scripted_workers import ScriptedWorker

# Rounds of the event loop: more than a callback, the task behind it and its own callback take.
ROUNDS = 6


def predict(client: int) -> tuple[str, int]:
    return "prediction", client


def train(client: int) -> tuple[str, int]:
    return "training", client


class Client:
    """A client, and what it must receive."""

    def __init__(self, number: int, task: "asyncio.Task[dict[str, Any]]", function: Any) -> None:
        self.expected = function(number)
        self.task = task
        self.has_left = False
        self.lost_its_worker = False


class Requests(RuleBasedStateMachine):
    """Clients, a pool of workers and its event loop, which runs only as far as a rule says."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.workers: list[ScriptedWorker] = []
        self.clients: list[Client] = []
        self.client_of: dict[int, Client] = {}
        self.wrong: list[str] = []

    @initialize(workers=st.integers(1, 2))
    def open(self, workers: int) -> None:
        self.loop.run_until_complete(self._open(workers))

    async def _open(self, workers: int) -> None:
        self.pool = WorkerPool(workers, lambda: None, cancellable=predict, start=self._start)

    def _start(self, warm: object, count: int) -> Worker:
        scripted = ScriptedWorker(pid=len(self.workers) + 1)
        scripted.process.on_kill = functools.partial(self._check_kill, scripted)
        scripted.on_message = functools.partial(self._check_message, scripted)
        self.workers.append(scripted)
        return scripted.worker

    def _check_message(self, worker: ScriptedWorker, message: Message) -> None:
        """Called with each message at the moment when the server sends it."""
        if isinstance(message, Call):
            function, _ = worker.calls[message.number]
            if isinstance(function, functools.partial):  # not the first call, which waits until it is warm
                client = self.client_of[message.number] = self.clients[function.args[0]]
                if client.lost_its_worker:
                    self.wrong.append(f"{message.number} had started, and is sent to another worker")
            executed = set(worker.calls) - worker.waiting
            if len(executed) > 1:
                self.wrong.append(f"worker {worker.process.pid} has several calls: {executed}")
        elif isinstance(message, Cancel):
            if message.number not in worker.calls:
                self.wrong.append(f"{message.number} is cancelled where it is not pending")
            if not self.client_of[message.number].has_left:
                self.wrong.append(f"{message.number} is cancelled, and its client is still there")

    def _check_kill(self, worker: ScriptedWorker) -> None:
        """Called when the server kills a worker."""
        innocent = [number for number in worker.calls if number in self.client_of and not self._has_left(number)]
        if innocent and worker.process.exitcode is None:
            self.wrong.append(f"worker {worker.process.pid} is killed during {innocent}")

    def _has_left(self, number: int) -> bool:
        return self.client_of[number].has_left

    def _alive(self) -> list[ScriptedWorker]:
        return [worker for worker in self.workers if worker.process.exitcode is None]

    def _pending(self) -> list[tuple[ScriptedWorker, int]]:
        return [(worker, number) for worker in self._alive() for number in worker.calls]

    @rule(functions=st.lists(st.sampled_from([predict, train]), min_size=1, max_size=4))
    def ask(self, functions: list[Any]) -> None:
        for function in functions:
            number = len(self.clients)
            task = self.loop.create_task(self.pool.apply(functools.partial(function, number)))
            self.clients.append(Client(number, task, function))

    @rule(rounds=st.integers(1, ROUNDS))
    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()  # one round

    @precondition(lambda self: self._pending())
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        worker, number = data.draw(st.sampled_from(self._pending()))
        worker.start(number)

    @precondition(lambda self: self._pending())
    @rule(data=st.data())
    def wait_for_another_process(self, data: st.DataObject) -> None:
        worker, number = data.draw(st.sampled_from(self._pending()))
        if number in self.client_of and self.client_of[number].expected[0] == "prediction":
            worker.start(number)
            worker.wait(number)

    @precondition(lambda self: self._pending())
    @rule(data=st.data(), rounds=st.integers(0, ROUNDS), leaves=st.booleans())
    def answer(self, data: st.DataObject, rounds: int, leaves: bool) -> None:
        """A worker answers; the client may leave while the answer is on its way."""
        worker, number = data.draw(st.sampled_from(self._pending()))
        worker.start(number)
        worker.answer(number)
        self.run(rounds)
        if leaves and number in self.client_of:
            self._leave(self.client_of[number])

    @precondition(lambda self: any(not client.task.done() for client in self.clients))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self._leave(data.draw(st.sampled_from([client for client in self.clients if not client.task.done()])))

    def _leave(self, client: Client) -> None:
        client.has_left = client.has_left or not client.task.done()
        client.task.cancel()

    @precondition(lambda self: self._alive())
    @rule(data=st.data(), notices_first=st.booleans(), rounds=st.integers(0, ROUNDS))
    def die(self, data: st.DataObject, notices_first: bool, rounds: int) -> None:
        """A worker is killed from outside; the server notices its exit before its closed pipe, or after."""
        worker = data.draw(st.sampled_from(self._alive()))
        for number in worker.started & set(worker.calls):
            if number in self.client_of:
                self.client_of[number].lost_its_worker = True
        worker.process.exit(-signal.SIGKILL)
        if notices_first:
            self.run(rounds)
        worker.end()

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self.wrong == []

    @invariant()
    def clients_receive_their_own_answers(self) -> None:
        for client in self.clients:
            if client.task.done():
                self._check(client)

    def _check(self, client: Client) -> None:
        if client.task.cancelled():  # before its first step
            assert client.has_left
            return
        error = client.task.exception()
        if error is None:
            assert client.task.result()["output"] == client.expected
        elif isinstance(error, TryAgain):
            assert client.lost_its_worker
        else:
            assert isinstance(error, TrainingStoppedError) and client.has_left

    def teardown(self) -> None:
        """Every client that stays is answered in the end."""
        try:
            self._end()
        finally:
            self.pool.shutdown()
            self.loop.close()

    def _end(self) -> None:
        for worker in self.workers:
            if worker.process.exitcode is not None and worker.calls:
                worker.end()
        for _ in range(20 * (len(self.clients) + 2)):
            self.run(ROUNDS)
            for worker in self._alive():
                for number in list(worker.calls):
                    worker.start(number)
                    worker.answer(number)
        assert self.wrong == []
        assert all(client.task.done() for client in self.clients)
        self.clients_receive_their_own_answers()


@pytest.mark.parametrize("function", [predict, train])
@pytest.mark.parametrize("rounds", range(ROUNDS))
def test_a_client_that_leaves_with_its_answer_on_the_way_affects_no_other(function: Any, rounds: int) -> None:
    machine = Requests()
    machine.open(workers=1)
    [worker] = machine.workers
    machine.run(1)
    for number in list(worker.calls):  # the first call, which waits until it is warm
        worker.answer(number)
    machine.ask([function, function])
    machine.run(ROUNDS)
    [number] = worker.calls
    worker.start(number)
    worker.answer(number)
    machine.run(rounds)
    machine._leave(machine.clients[0])
    machine.run(ROUNDS)
    machine.nothing_is_wrong()
    assert worker.cancelled == set()
    machine.teardown()
    assert not machine.clients[1].lost_its_worker


def test_drawn_interleavings_lose_swap_and_cancel_no_answer_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.worker_pool._SECONDS_BEFORE_RESTART", 0.0)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    profile = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Requests, settings=profile)
