import asyncio

import pytest

from local_sagemaker.container.memory_budget import MemoryBudget, NoRoomError


def test_models_take_what_there_is_and_no_more():
    async def take():
        budget = MemoryBudget(10)
        for name, size in (("a", 6), ("b", 4)):
            budget.enter(name)
            await budget.take(name, size)
        budget.enter("c")
        with pytest.raises(NoRoomError, match=r"^c needs 1 bytes, 10 of 10 are in use\.$"):
            await budget.take("c", 1)
        budget.leave("a")
        await budget.take("c", 6)

    asyncio.run(take())


def test_what_a_model_takes_already_does_not_stand_in_its_way():
    async def take():
        budget = MemoryBudget(10)
        budget.enter("a")
        await budget.take("a", 8)
        await budget.take("a", 10)
        with pytest.raises(NoRoomError, match="a needs 11 bytes, 0 of 10 are in use"):
            await budget.take("a", 11)
        budget.enter("b")
        with pytest.raises(NoRoomError, match="10 of 10"):  # what was refused counts no more, and no less, than before
            await budget.take("b", 1)

    asyncio.run(take())


def test_whoever_lacks_room_waits_for_all_that_return_some():
    async def take():
        budget = MemoryBudget(10)
        returned = {name: asyncio.Event() for name in "ab"}

        async def give_back(name):
            await returned[name].wait()
            budget.leave(name) if name == "a" else budget.shrink(name, 1)

        for name in "ab":
            budget.enter(name)
            await budget.take(name, 5)
            budget.expect(asyncio.create_task(give_back(name)))
        budget.enter("c")
        waiting = asyncio.create_task(budget.take("c", 9))
        returned["a"].set()
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()
        returned["b"].set()
        await waiting

    asyncio.run(take())
