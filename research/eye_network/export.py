"""Export of the eye network to ONNX.

The graph is built here rather than traced: equal weights give equal bytes, and it uses only operators that OpenCV's
dnn module runs fast. Batch normalisation is folded into the convolutions. What PyTorch does for each eye in turn
becomes one matrix product over both, with the signs of the canonical frames and the exchange of the eyes in
the weights.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX
from research.eye_network.network import KERNELS, STRIDES, EyeNetworkModule

OPSET, IR_VERSION = 13, 8
"""Old enough for every current reader."""

Floats = NDArray[np.float64]


@dataclass(slots=True)
class _Graph:
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        kind = np.int64 if values.dtype.kind == "i" else np.float32
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=kind), name))
        return name

    def linear(self, source: str, output: str, weight: Floats, bias: Floats) -> str:
        names = [source, self.constant(f"{output}_weight", weight), self.constant(f"{output}_bias", bias)]
        return self.add("Gemm", names, output, transB=1)

    def reshape(self, source: str, output: str, shape: tuple[int, ...]) -> str:
        return self.add("Reshape", [source, self.constant(f"{output}_shape", np.array(shape))], output)


def export_onnx(network: EyeNetworkModule) -> bytes:
    """Return the ONNX file of a network, as docs/models.md describes its inputs and outputs.

    Args:
        network: The network; running means and variances of its batch normalisation are used.
    """
    graph = _Graph()
    weights = {name: value.detach().double().cpu().numpy() for name, value in network.state_dict().items()}
    width = network.widths.embedding
    last = graph.reshape("images", "pixels", (2, 1, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX))
    for number, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
        weight, bias = _fold(network, weights, 3 * number)
        names = [last, graph.constant(f"c{number}_weight", weight), graph.constant(f"c{number}_bias", bias)]
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        last = graph.add("Relu", [graph.add("Conv", names, f"c{number}", **shape)], f"r{number}")
    last = graph.reshape(last, "features", (2, weights["embed.weight"].shape[1]))
    last = graph.linear(last, "embedding", weights["embed.weight"], weights["embed.bias"])
    last = graph.reshape(graph.add("Relu", [last], "embedded"), "pair", (1, 2 * width))
    last = graph.add("Concat", [last, "head"], "seen", axis=1)

    weight, bias = weights["one_hidden.weight"], weights["one_hidden.bias"]
    own, head = weight[:, :width], weight[:, width:]
    joint = _for_both(own, np.zeros_like(own), head, weights["canonical_head"])
    one = graph.add("Relu", [graph.linear(last, "one", joint, np.tile(bias, 2))], "one_hidden")
    weight, bias = weights["one_answer.weight"], weights["one_answer.bias"]
    answers = graph.linear(one, "one_answer", np.kron(np.eye(2), weight), np.tile(bias, 2))
    graph.reshape(answers, "eyes", (1, 2, 4))

    weight, bias = weights["both_hidden.weight"], weights["both_hidden.bias"]
    own, other, head = weight[:, :width], weight[:, width : 2 * width], weight[:, 2 * width :]
    joint = _for_both(own, other, head, weights["canonical_head"])
    pair = graph.add("Relu", [graph.linear(last, "both_pair", joint, np.tile(bias, 2))], "both_hidden")
    signs = weights["canonical_gaze"][:, :, None] / 2
    weight, bias = weights["both_answer.weight"], weights["both_answer.bias"]
    graph.linear(pair, "both", np.concatenate(list(signs * weight), axis=1), signs[:, :, 0].sum(axis=0) * bias)
    return _serialise(graph)


def _fold(network: EyeNetworkModule, weights: dict[str, Floats], index: int) -> tuple[Floats, Floats]:
    """Return the weight and bias of a convolution with the batch normalisation after it."""
    scale, shift, mean, variance = (
        weights[f"convolutions.{index + 1}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    gain = scale / np.sqrt(variance + network.convolutions[index + 1].eps)
    return weights[f"convolutions.{index}.weight"] * gain[:, None, None, None], shift - mean * gain


def _for_both(own: Floats, other: Floats, head: Floats, signs: Floats) -> Floats:
    """Return the weight that maps (left embedding, right embedding, head) to the hidden units of both eyes."""
    return np.block([[own, other, head * signs[0]], [other, own, head * signs[1]]])


def _serialise(graph: _Graph) -> bytes:
    inputs = {"images": [1, 2, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX], "head": [1, 2]}
    outputs = {"eyes": [1, 2, 4], "both": [1, 4]}
    described = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]
        for values in (inputs, outputs)
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, "eye_network", *described, initializer=graph.constants),
        producer_name="research.eye_network",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
