"""The one place that chooses which package runs TFLite models.

`tflite_runtime` exists up to Python 3.11, its successor `ai_edge_litert` from there on: one interface, same outputs.
"""

import importlib
import types
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ModelError

_PACKAGES = ("tflite_runtime.interpreter", "ai_edge_litert.interpreter")


class Interpreter(Protocol):
    """What both packages' interpreters have in common, as far as it is used here."""

    def allocate_tensors(self) -> None:
        """Make ready for `invoke`."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """`index`, `shape`, `dtype`, `name` … of each input."""

    def get_output_details(self) -> list[dict[str, Any]]:
        """`index`, `shape`, `dtype`, `name` … of each output."""

    def set_tensor(self, tensor_index: int, value: NDArray[np.float32]) -> None:
        """Copy an input in."""

    def invoke(self) -> None:
        """Run the network."""

    def get_tensor(self, tensor_index: int) -> NDArray[np.float32]:
        """Copy an output out."""


def make_interpreter(model: bytes) -> Interpreter:
    """An interpreter of `model` with its tensors allocated, on one thread.

    Two threads on two busy cores take 25 times as long: the pool waits. Without the default delegate the package
    prints nothing on standard error. Raises ModelError where neither package is installed, and ValueError or
    RuntimeError where the bytes are no model.
    """
    package = _package()
    interpreter: Interpreter = package.Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=package.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter


def _package() -> types.ModuleType:
    for name in _PACKAGES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != name.split(".")[0]:
                raise
    raise ModelError(
        "classifier", "neither tflite_runtime nor ai_edge_litert is installed", "run scripts/setup in the source tree"
    )
