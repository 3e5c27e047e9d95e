"""Compiling: the optimizer, loss and metric that both models train with."""

import keras

from workers import Workers


def compile_model(
    model: keras.Model,
    *,
    learning_rate: float,
    steps: int,
    weight_decay: float,
    label_smoothing: float,
    clipnorm: float | None = None,
    workers: Workers | None = None,
) -> None:
    """Choose optimizer, loss and metric.

    Args:
        model: The network.
        learning_rate: Highest learning rate, reached after a tenth of the steps; then it falls to zero
            along a cosine.
        steps: Optimizer steps of the whole training.
        weight_decay: Share of each weight that AdamW takes away, times the learning rate.
        label_smoothing: Probability spread evenly over all classes in the labels.
        clipnorm: Largest norm of a weight's gradient; None for no limit.
        workers: Those that train the model together; None for this process alone.
    """
    workers = workers or Workers()
    warmup_steps = max(1, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup_steps), warmup_target=learning_rate, warmup_steps=warmup_steps
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay, clipnorm=clipnorm)
    model.compile(
        optimizer=workers.average_gradients(optimizer),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
        metrics=["accuracy"],
        # XLA cannot compile a step that talks to other workers.
        jit_compile="auto" if workers.count == 1 else False,
    )
