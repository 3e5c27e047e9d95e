import itertools
from pathlib import Path

import pytest

from local_sagemaker.hosting.model_states import Model, ModelSource, State

STEPS = {
    (State.ABSENT, State.ON_DISK),  # fetched
    (State.ON_DISK, State.LOADED),
    (State.LOADED, State.ON_DISK),  # unloaded, or its container died
    (State.ON_DISK, State.ABSENT),  # deleted
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_a_model_takes_one_step_at_a_time(before, after):
    model = Model(ModelSource("bucket", "key", "key"), Path("folder"), before)
    if (before, after) in STEPS:
        model.move(after)
        assert model.state is after
    else:
        with pytest.raises(ValueError, match=f"is {before.name} cannot become {after.name}"):
            model.move(after)
        assert model.state is before
