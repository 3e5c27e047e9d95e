"""Batches: order, pairing, resuming in the middle, and sharing between ranks."""

import numpy as np
import pytest
import tensorflow as tf

from shared.batching import batches, steps_per_epoch, training_batches

NUMBERS = np.arange(100)
OPTIONS = {"class_count": 100, "batch_size": 20, "seed": 1, "epochs": 2}


def delivered(**changes) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(training_batches(NUMBERS, NUMBERS, **OPTIONS | changes).as_numpy_iterator())


def inputs_of(pairs) -> list[list[int]]:
    return [pair[0].tolist() for pair in pairs]


def test_batches_pair_inputs_with_one_hot_labels_in_order():
    inputs, labels = np.arange(5, dtype=np.uint8), np.array([3, 1, 0, 2, 3])
    first, second, third = batches(inputs, labels, class_count=4, batch_size=2).as_numpy_iterator()
    assert first[0].tolist() == [0, 1] and first[0].dtype == np.uint8
    assert second[1].tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]] and second[1].dtype == np.float32
    assert third[0].tolist() == [4]


def test_inputs_alone_come_in_the_same_batches():
    inputs = np.arange(10, dtype=np.uint8).reshape(5, 2)
    alone = list(batches(inputs, batch_size=2).as_numpy_iterator())
    paired = batches(inputs, np.zeros(5, np.int64), class_count=1, batch_size=2).as_numpy_iterator()
    for batch, (expected, _) in zip(alone, paired, strict=True):
        np.testing.assert_array_equal(batch, expected)
        assert batch.dtype == np.uint8


def test_no_tuner_holds_up_the_end_of_a_data_set():
    """Its thread can wait for a minute: findings/tensorflow_iterator_waits_for_its_tuner.sh."""
    for dataset in (training_batches(NUMBERS, NUMBERS, **OPTIONS), batches(NUMBERS, batch_size=20)):
        assert dataset.options().autotune.enabled is False


def test_every_epoch_has_every_pair_once_in_another_order():
    pairs = delivered()
    assert all((targets.argmax(axis=1) == inputs).all() for inputs, targets in pairs)
    epochs = [np.concatenate(inputs_of(pairs)[start : start + 5]).tolist() for start in (0, 5)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == NUMBERS.tolist()
    assert epochs[0] != epochs[1] != NUMBERS.tolist()


def test_the_order_depends_on_the_seed():
    assert inputs_of(delivered()) == inputs_of(delivered())
    assert inputs_of(delivered()) != inputs_of(delivered(seed=2))


def test_a_later_first_epoch_goes_on_where_the_earlier_ones_would_have():
    def add_noise(batch: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.cast(batch, tf.float32) + tf.random.stateless_uniform(tf.shape(batch), seed)

    whole, rest = delivered(augment=add_noise), delivered(augment=add_noise, first_epoch=1)
    assert inputs_of(whole[5:]) == inputs_of(rest)
    assert len({tuple(inputs) for inputs in inputs_of(whole)}) == 10


def test_ranks_share_each_batch_without_overlap():
    whole = inputs_of(delivered())
    parts = [inputs_of(delivered(rank=rank, rank_count=2)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert len(first) == len(second) == 10
        assert sorted(first + second) == sorted(batch)


def test_what_does_not_fill_a_batch_is_left_out_of_an_epoch():
    pairs = delivered(batch_size=30, epochs=1)
    assert [len(inputs) for inputs, _ in pairs] == [30, 30, 30]
    assert steps_per_epoch(100, batch_size=30) == 3


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(ValueError, match=r"100 training images .* one batch of 128\. Lower --batch-size"):
        delivered(batch_size=128)


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ValueError, match="A batch of 20 cannot be shared equally by 3 ranks"):
        delivered(rank_count=3)


def test_a_memory_map_is_read_batch_by_batch(tmp_path):
    np.save(tmp_path / "features.npy", np.arange(40, dtype=np.float32).reshape(10, 4))
    features = np.load(tmp_path / "features.npy", mmap_mode="r")
    (inputs, targets), *_ = batches(features, np.arange(10), class_count=10, batch_size=4).as_numpy_iterator()
    assert inputs.tolist() == features[:4].tolist() and targets.argmax(axis=1).tolist() == [0, 1, 2, 3]
