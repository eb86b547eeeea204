"""Work beyond a request, at the edges of its life."""

import asyncio

from proxy.tasks import Background


async def test_what_is_ended_before_its_first_turn_ends_without_a_word() -> None:
    """A warning, which is an error here, would say that it was never awaited."""
    begun = False

    async def work() -> None:
        nonlocal begun
        begun = True

    async with Background() as background:
        background.start(work(), name="never begun")

    await asyncio.sleep(0)
    assert not begun
