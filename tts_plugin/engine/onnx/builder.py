"""Builds an ONNX graph, operator by operator, and opens it in ONNX Runtime. Knows no model.

Weights go into the graph itself, or, when a folder is given, straight into a file beside it that ONNX Runtime maps: a
conversion then holds one tensor at a time. Matrix products may have weights of 8 or 4 bits; their activations are
rounded per row and block of 32, so that what one row holds never moves another.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tts_plugin.engine.onnx.blocks import BLOCK, quantised
from tts_plugin.engine.onnx.session import PRECISIONS as PRECISIONS
from tts_plugin.engine.onnx.session import Precision as Precision
from tts_plugin.engine.onnx.session import open_session as open_session

if TYPE_CHECKING:
    import onnxruntime

BITS = {"int8": 8, "int4": 4}
Shape = Sequence[int | str]
Array = NDArray[Any]

_OPSET, _IR = 21, 10
_MICROSOFT = "com.microsoft"
_INT8_PRODUCTS = 4  # MatMulNBits accuracy level: activations are rounded to 8 bits, per row and block
_ALIGNED = 4096  # bytes: a place in a file that can be mapped
_SMALL = 1024  # bytes: such weights stay in the graph
_DTYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32}


class Builder:
    """`path`: where save() writes; the weights go beside it as they come. Without it everything stays in memory."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._data: BinaryIO | None = _data_path(path).open("wb") if path else None
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, dtype: str, shape: Shape) -> str:
        """dtype float32, int64 or int32; a dimension that varies is a name."""
        self._inputs.append(helper.make_tensor_value_info(name, _DTYPES[dtype], shape))
        return name

    def output(self, value: str, name: str, dtype: str, shape: Shape) -> str:
        """Gives a value of the graph out under a name of its own."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, _DTYPES[dtype], shape))
        return name

    def weight(self, array: Array | np.generic, name: str | None = None) -> str:
        """A constant: numbers, shapes, axes."""
        name, array = name or self._new("w"), np.asarray(array, order="C")
        if self._data is None or array.nbytes < _SMALL:
            self._weights.append(numpy_helper.from_array(array, name))
        else:
            self._weights.append(self._external(self._data, array, name))
        return name

    def op(self, type: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """An operator; returns its output's name, or a tuple of names where outputs > 1. "" is an input left out."""
        names = tuple(self._new(type.lower()) for _ in range(outputs))
        self._nodes.append(helper.make_node(type, list(inputs), list(names), domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x: str, weight: Array, bias: Array | None = None, precision: Precision = "float32") -> str:
        """x [..., in] times weight [out, in], plus bias [out]. Rows that blocks do not divide stay in float32."""
        outputs, inputs = weight.shape
        if precision == "float32" or inputs % BLOCK:
            y: str = self.op("MatMul", x, self.weight(np.asarray(weight, np.float32).T))
        else:
            bits = BITS[precision]
            blocks, scales = quantised(np.asarray(weight, np.float32), bits)
            y = self.op(
                "MatMulNBits",
                x,
                self.weight(blocks),
                self.weight(scales),
                domain=_MICROSOFT,
                K=inputs,
                N=outputs,
                bits=bits,
                block_size=BLOCK,
                accuracy_level=_INT8_PRODUCTS,
            )
        return y if bias is None else str(self.op("Add", y, self.weight(np.asarray(bias, np.float32))))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self._nodes, "graph", self._inputs, self._outputs, self._weights)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR)

    def save(self) -> Path:
        """Writes the graph to `path`; its weights are beside it already."""
        assert self.path is not None, "a builder in memory has no path"
        if self._data is not None:
            self._data.close()
        self.path.write_bytes(self.model().SerializeToString())
        return self.path

    def session(self, threads: int = 1) -> onnxruntime.InferenceSession:
        return open_session(self.model().SerializeToString() if self.path is None else self.save(), threads)

    def _external(self, file: BinaryIO, array: Array, name: str) -> TensorProto:
        file.seek(-(-file.tell() // _ALIGNED) * _ALIGNED)
        start = file.tell()
        file.write(array.data)
        tensor = TensorProto(name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype))
        tensor.data_location = TensorProto.EXTERNAL
        assert self.path is not None
        for key, value in (("location", _data_path(self.path).name), ("offset", start), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def _new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def _data_path(path: Path) -> Path:
    return path.with_suffix(".data")
