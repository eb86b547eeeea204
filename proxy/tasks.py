"""Work that outlives the request that caused it, with an owner that awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import structlog

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Background:
    """Owns tasks beyond a request: starts them, logs what they raise, ends them with the server."""

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Give itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what still runs, and wait for it."""
        while self._tasks:
            pending = list(self._tasks)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def __len__(self) -> int:
        """How many tasks run now."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, object], *, name: str) -> asyncio.Task[None]:
        """Run `work` on its own; an error in it is logged and ends nothing else."""
        task = asyncio.create_task(self._guard(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # What is cancelled before its first turn never came to `work`, and Python would warn of that.
        task.add_done_callback(lambda _: work.close())
        return task

    async def _guard(self, work: Coroutine[Any, Any, object], name: str) -> None:
        try:
            await work
        except Exception:
            log.exception("background task failed", task=name)


class Flights(Generic[K, T]):
    """One flight for each key: callers that come while it is in the air share its result.

    The flight belongs to none of them, so one that leaves does not end it for the others.
    """

    def __init__(self, background: Background) -> None:
        """Let `background` own the flights."""
        self._background = background
        self._flying: dict[K, asyncio.Future[T]] = {}

    async def join(self, key: K, start: Callable[[], Awaitable[T]]) -> T:
        """Wait for the flight of `key`, starting it where none is in the air. Raises what it raises."""
        flight = self._flying.get(key)
        if flight is None:
            flight = self.launch(key, start)
        return await asyncio.shield(flight)

    def launch(self, key: K, start: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        """Start the flight of `key` unless one is in the air, and wait for nothing."""
        flight = self._flying.get(key)
        if flight is None:
            flight = asyncio.get_running_loop().create_future()
            # A flight that nobody waits for any more may fail without a word of asyncio's.
            flight.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._flying[key] = flight
            self._background.start(self._fly(key, start, flight), name=f"flight {key}")
        return flight

    async def _fly(self, key: K, start: Callable[[], Awaitable[T]], flight: asyncio.Future[T]) -> None:
        try:
            result = await start()
        except asyncio.CancelledError:
            flight.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed on to everybody who waits
            flight.set_exception(error)
        else:
            flight.set_result(result)
        finally:
            self._flying.pop(key, None)
