"""Dense networks in TensorFlow: loaded quietly, trained the same way every time for the same seed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.training.dense_graphs import Singles

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int, float, float], None]
"""Called after each epoch: its number from 1, how many there are at most, training and validation loss."""

_CHUNK = 8192
_LEAST_IMPROVEMENT = 1e-3


def load_tensorflow() -> Any:
    """TensorFlow, deterministic, on one thread of the CPU, and silent about itself."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # oneDNN picks its kernels by processor: without it, results differ less between machines.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    with _silenced():
        try:
            import tensorflow
        except ImportError:
            raise GridtopError(
                "training an autoencoder needs TensorFlow: pip install 'gridtop[train]'"
            ) from None
        # Too late, and no matter, in a process that has used TensorFlow before.
        with suppress(RuntimeError):
            tensorflow.config.threading.set_intra_op_parallelism_threads(1)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)
            tensorflow.config.set_visible_devices([], "GPU")
        tensorflow.config.experimental.enable_op_determinism()
        tensorflow.zeros(1)
    return tensorflow


@contextmanager
def _silenced() -> Iterator[None]:
    """Keeps the C++ libraries of TensorFlow, which log before their level is set, off standard error."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    sys.stderr.flush()
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def dense_network(tensorflow: Any, features: int, hidden: tuple[int, ...], activation: str, seed: int) -> Any:
    """An untrained Keras network: hidden layers with `activation`, then a linear output for each feature."""
    keras = tensorflow.keras
    seeds = np.random.SeedSequence(seed).generate_state(len(hidden) + 1).tolist()
    widths = [(width, activation) for width in hidden] + [(features, "linear")]
    layers = [
        keras.layers.Dense(
            width, activation=shape, kernel_initializer=keras.initializers.GlorotUniform(seed=own % (1 << 31))
        )
        for (width, shape), own in zip(widths, seeds, strict=True)
    ]
    return keras.Sequential([keras.Input((features,)), *layers])


def layers_of(network: Any) -> list[tuple[Singles, Singles]]:
    """Kernel (inputs, outputs) and bias (outputs,) of each layer."""
    arrays = [np.asarray(array, dtype=np.float32) for array in network.get_weights()]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def reconstructed(network: Any, scaled: Singles) -> Singles:
    """(n, f) what the network makes of scaled rows, by chunks that fit in memory."""
    parts = [np.asarray(network(scaled[at : at + _CHUNK])) for at in range(0, len(scaled), _CHUNK)]
    return np.concatenate(parts) if parts else scaled


def train(
    tensorflow: Any,
    network: Any,
    train: Singles,
    held_out: Singles,
    *,
    loss: str,
    epochs: int,
    batch: int,
    patience: int,
    learning_rate: float,
    seed: int,
    progress: Progress | None,
) -> tuple[Floats, int]:
    """(epochs, 2) training and validation loss, and the best epoch from 1; the network has its weights.

    A loop of our own instead of `Model.fit`: the shuffling comes from our seed and not from a global one,
    and an epoch is one call into TensorFlow.
    """
    tf = tensorflow
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    variables = network.trainable_variables
    optimizer.build(variables)
    penalty = tf.square if loss == "mse" else _huber(tf)
    rows = tf.constant(train)

    def one_epoch(order: Any) -> Any:
        total = tf.constant(0.0)
        for step in tf.range(tf.shape(order)[0]):
            picked = tf.gather(rows, order[step])
            with tf.GradientTape() as tape:
                missed = tf.reduce_mean(penalty(network(picked, training=True) - picked))
            optimizer.apply(tape.gradient(missed, variables), variables)
            total += missed
        return total / tf.cast(tf.shape(order)[0], tf.float32)

    run = tf.function(one_epoch)
    generator = np.random.default_rng(seed)
    size = min(batch, len(train))
    losses: list[tuple[float, float]] = []
    best, best_loss, best_weights, reference = 0, np.inf, network.get_weights(), np.inf
    stale = 0
    for epoch in range(1, epochs + 1):
        order = generator.permutation(len(train))[: len(train) // size * size].reshape(-1, size)
        on_train = float(run(tf.constant(order.astype(np.int32))))
        missed = penalty(tf.constant(reconstructed(network, held_out) - held_out))
        on_held_out = float(np.asarray(missed).mean(dtype=np.float64))
        losses.append((on_train, on_held_out))
        if progress is not None:
            progress(epoch, epochs, on_train, on_held_out)
        if not np.isfinite(on_train + on_held_out):
            raise GridtopError(f"training diverged in epoch {epoch}: choose a smaller learning rate")
        if on_held_out < best_loss:
            best, best_loss, best_weights = epoch, on_held_out, network.get_weights()
        stale = 0 if on_held_out < reference * (1.0 - _LEAST_IMPROVEMENT) else stale + 1
        if stale == 0:
            reference = on_held_out
        elif stale >= patience:
            break
    network.set_weights(best_weights)
    return np.array(losses), best


def _huber(tensorflow: Any) -> Callable[[Any], Any]:
    """Squares up to one spread, straight beyond: a few wild rows among the normal ones weigh less."""

    def penalty(departure: Any) -> Any:
        size = tensorflow.abs(departure)
        return tensorflow.where(size <= 1.0, tensorflow.square(departure), 2.0 * size - 1.0)

    return penalty
