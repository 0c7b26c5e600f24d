"""The network: built, trained, calibrated, and made int8 for TFLite."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from appliance.dsp.features import PATCH_SHAPE
from appliance.model.classes import CLASSES
from training.evaluate import Calibration

INPUT_NAME = "log_mel_patch"
_BATCH = 128


def make_repeatable(seed: int) -> None:
    """Fix every source of chance, on one thread."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def build() -> tf.keras.Model:
    """Four strided convolutions, then a layer that still knows when (relative to the onset) and at what pitch."""
    layers = tf.keras.layers
    inputs = layers.Input(shape=(*PATCH_SHAPE, 1), name=INPUT_NAME)
    x = inputs
    for filters in (16, 24, 32, 48):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU(max_value=6.0)(x)
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    x = layers.Dense(32, activation="relu")(x)
    x = layers.Dropout(0.3)(x)
    return tf.keras.Model(inputs, layers.Dense(len(CLASSES), name="logits")(x))


def train(
    patches: NDArray[np.uint8], classes: NDArray[np.int64], seed: int, *, epochs: int, verbose: int
) -> tf.keras.Model:
    """A trained network; a cosine from 2e-3 to nothing, shuffled from the seed."""
    tf.keras.utils.set_random_seed(seed)
    model = build()
    steps = -(-len(patches) // _BATCH)
    rate = tf.keras.optimizers.schedules.CosineDecay(2e-3, steps * epochs)
    model.compile(
        optimizer=tf.keras.optimizers.AdamW(rate, weight_decay=1e-3),
        loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    model.fit(_batches(patches, classes, seed), epochs=epochs, steps_per_epoch=steps, verbose=verbose)
    return model


def _batches(patches: NDArray[np.uint8], classes: NDArray[np.int64], seed: int) -> tf.data.Dataset:
    """Endless shuffled batches, each patch shifted by up to two frames, tilted and given another floor."""

    def batches():  # noqa: ANN202
        rng = np.random.default_rng(seed)
        labels = np.eye(len(CLASSES), dtype=np.float32)[classes]
        while True:
            order = rng.permutation(len(patches))
            for start in range(0, len(order), _BATCH):
                chosen = order[start : start + _BATCH]
                yield _varied(rng, patches[chosen]), labels[chosen]

    signature = (
        tf.TensorSpec((None, *PATCH_SHAPE, 1), tf.float32),
        tf.TensorSpec((None, len(CLASSES)), tf.float32),
    )
    return tf.data.Dataset.from_generator(batches, output_signature=signature)


def _varied(rng: np.random.Generator, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = patches.astype(np.float32) / 255.0
    values = np.roll(values, int(rng.integers(-1, 2)), axis=1)
    bands = np.linspace(-1.0, 1.0, PATCH_SHAPE[1], dtype=np.float32)
    tilt = rng.normal(0.0, 0.04, (len(values), 1, 1)).astype(np.float32) * bands
    floor = rng.uniform(0.0, 0.35, (len(values), 1, 1)).astype(np.float32)
    return np.clip(np.maximum(values + tilt, floor), 0.0, 1.0)[..., np.newaxis]


def logits_of(model: tf.keras.Model, patches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The network's output for each patch, shape (n, classes)."""
    outputs = [model(p.astype(np.float32)[..., np.newaxis] / 255.0, training=False) for p in _split(patches)]
    return np.concatenate([o.numpy() for o in outputs]).astype(np.float64)


def _split(patches: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return np.array_split(patches, max(1, len(patches) // 256))


def set_calibration(model: tf.keras.Model, calibration: Calibration) -> None:
    """Put the calibration into the last layer, so that a plain softmax of its output is calibrated."""
    layer = model.get_layer("logits")
    weights, biases = layer.get_weights()
    layer.set_weights([weights / calibration.temperature, calibration.apply(biases[np.newaxis])[0]])


def to_int8(model: tf.keras.Model, representative: NDArray[np.uint8]) -> bytes:
    """A TFLite model, int8 inside, float32 at both ends."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [p[np.newaxis, :, :, np.newaxis].astype(np.float32) / 255.0] for p in representative
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


def logits_of_int8(model: bytes, patches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The converted model's output for each patch, as a node computes it."""
    interpreter = tf.lite.Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    outputs = []
    for patch in patches:
        interpreter.set_tensor(source, patch[np.newaxis, :, :, np.newaxis].astype(np.float32) / 255.0)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(sink)[0])
    return np.array(outputs, dtype=np.float64)
