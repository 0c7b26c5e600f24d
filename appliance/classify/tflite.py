"""The classifier of `appliance.model.classes`, run by TFLite."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.classify.interpreter import Interpreter, make_interpreter
from appliance.classify.model_file import ModelFile, read_model_file
from appliance.dsp.features import PATCH_SHAPE, WINDOW_AFTER_S, WINDOW_BEFORE_S, log_mel_patch
from appliance.errors import ModelError
from appliance.model.classes import CLASSES, ClassProbabilities

COMMITTED_MODEL = Path(__file__).parent / "models" / "earshot.tflite"

_INPUT_SHAPE = (1, *PATCH_SHAPE, 1)
_OUTPUT_SHAPE = (1, len(CLASSES))
_REMEDY = "use a model made by scripts/train of this version"


class TfliteClassifier:
    """Names the sound around an onset. Not safe for use from several threads."""

    def __init__(self, model: ModelFile) -> None:
        """Load `model`; raises ModelError where it is no model or has other inputs and outputs than Earshot's."""
        self._path = model.path
        self._interpreter = _load(model)
        self._input_index = int(self._interpreter.get_input_details()[0]["index"])
        self._output_index = int(self._interpreter.get_output_details()[0]["index"])

    @property
    def window_before_s(self) -> float:
        """Seconds of sound that `classify` wants before the onset."""
        return WINDOW_BEFORE_S

    @property
    def window_after_s(self) -> float:
        """Seconds of sound that `classify` wants after the onset."""
        return WINDOW_AFTER_S

    def classify(self, samples: NDArray[np.float32], sample_rate_hz: float, onset_sample: int) -> ClassProbabilities:
        """Class probabilities of the sound around `samples[onset_sample]`.

        `samples` is one channel, full scale +-1.0, shape (n,); where it ends early, silence is assumed. Raises
        ValueError as `log_mel_patch` does, and ModelError where the network's output is no number.
        """
        patch = log_mel_patch(samples, sample_rate_hz, onset_sample)
        self._interpreter.set_tensor(self._input_index, patch[np.newaxis, :, :, np.newaxis])
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(self._output_index)[0].astype(np.float64)
        if not np.isfinite(logits).all():
            raise ModelError(f"model {self._path}", f"its output {logits.tolist()} is not all numbers", _REMEDY)
        return _probabilities(logits)


def load_classifier(path: Path | None = None) -> TfliteClassifier:
    """The classifier with the model at `path`, or the committed one.

    Raises ModelError, naming file, problem and remedy, where the model is missing, unreadable, damaged or of
    another version.
    """
    return TfliteClassifier(read_model_file(COMMITTED_MODEL if path is None else path))


def _load(model: ModelFile) -> Interpreter:
    try:
        interpreter = make_interpreter(model.content)
    except (ValueError, RuntimeError) as error:
        problem = f"no TFLite model ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        raise ModelError(f"model {model.path}", problem, _REMEDY) from error
    _check_tensor(model.path, "input", interpreter.get_input_details(), _INPUT_SHAPE)
    _check_tensor(model.path, "output", interpreter.get_output_details(), _OUTPUT_SHAPE)
    return interpreter


def _check_tensor(path: Path, role: str, details: list[dict[str, object]], shape: tuple[int, ...]) -> None:
    if len(details) != 1:
        raise ModelError(f"model {path}", f"{len(details)} {role}s instead of 1", _REMEDY)
    found = tuple(np.atleast_1d(np.asarray(details[0]["shape"])).tolist())
    dtype = np.dtype(details[0]["dtype"])  # type: ignore[call-overload]  # the runtime's dictionaries are untyped
    if found != shape or dtype != np.float32:
        problem = f"{role} {dtype.name} {list(found)} instead of float32 {list(shape)}"
        raise ModelError(f"model {path}", problem, _REMEDY)


def _probabilities(logits: NDArray[np.float64]) -> ClassProbabilities:
    """Softmax; the model's logits are scaled in training so that it is calibrated."""
    shares = np.exp(logits - logits.max())
    return ClassProbabilities(tuple((shares / shares.sum()).tolist()))
