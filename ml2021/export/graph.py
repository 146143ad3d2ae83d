"""A graph of ONNX nodes being built: operators of the default domain, opset 21.

IR version 10 and opset 21 are those of ONNX 1.16 (2024), so that runtimes since then load it,
whatever the version that is installed here would write by default.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from ml2021.data.array_names import unused_name

OPSET, IR_VERSION = 21, 10
Value = str | NDArray[Any] | float
"""An operand: the name of a value of the graph, or a constant."""
DOUBLE, FLOAT, INT64 = TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64
STRING = TensorProto.STRING


class Graph:
    """Nodes, constants, inputs and outputs, in the order in which they are added.

    Names within the graph begin with a slash and a number, and are none of `taken`.
    """

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = set(taken)
        self._nodes: list[NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._tensors: list[TensorProto] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, kind: int, width: int) -> str:
        """Add an input of shape (N, width)."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, ["N", width]))
        return name

    def output(self, name: str, value: str, kind: int, width: int) -> str:
        """Add an output of shape (N, width) under a name that no input has; return the name."""
        name = self.free(name)
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, ["N", width]))
        return name

    def free(self, name: str) -> str:
        """Return the name, with underscores behind it until no other value has it."""
        name = unused_name(name, self._taken)
        self._taken.add(name)
        return name

    def add(self, operator: str, *operands: Value, **attributes: Any) -> str:
        """Add a node with one result, whose name is returned. A float is a constant of doubles."""
        names = [each if isinstance(each, str) else self._constant(each) for each in operands]
        result = self.free(f"/{len(self._nodes)}_{operator}")
        self._nodes.append(helper.make_node(operator, names, [result], **attributes))
        return result

    def concat(self, values: Sequence[str], axis: int = 1) -> str:
        """Return values side by side; one alone is itself."""
        return values[0] if len(values) == 1 else self.add("Concat", *values, axis=axis)

    def columns(self, value: str, places: Sequence[int], width: int) -> str:
        """Return columns of a value (N, width); all of them in order are the value itself."""
        if [*places] == [*range(width)]:
            return value
        return self.add("Gather", value, np.array(places, np.int64), axis=1)

    def cast(self, value: str, kind: int) -> str:
        """Return the value in another type."""
        return self.add("Cast", value, to=kind)

    def size(self) -> int:
        """Return how many bytes the constants take."""
        return sum(tensor.ByteSize() for tensor in self._tensors)

    def _constant(self, value: NDArray[Any] | float) -> str:
        array = np.asarray(value, np.float64) if isinstance(value, float) else value
        content = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        key = (str(array.dtype), array.shape, content)
        if key not in self._constants:
            name = self.free(f"/constant_{len(self._constants)}")
            self._constants[key] = name
            self._tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return self._constants[key]

    def model(self, version: str, facts: Mapping[str, object]) -> ModelProto:
        """Return the checked model; `facts` are its metadata, JSON where they are no text."""
        graph = helper.make_graph(self._nodes, "ml2021", self._inputs, self._outputs, self._tensors)
        model = helper.make_model(
            graph,
            producer_name="ml2021",
            producer_version=version,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        texts = {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in facts.items()
        }
        helper.set_model_props(model, texts)
        checker.check_model(model, full_check=True)
        return model
