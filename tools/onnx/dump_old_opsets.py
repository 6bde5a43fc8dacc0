#!/usr/bin/env python3
"""dump_old_opsets.py FOLDER: small models of operators whose attributes became inputs, or whose meaning changed, in each of the
opsets 7 to 17, with the outputs that ONNX Runtime gives for random inputs; as folders that tests/onnx_nodes takes. ONNX's own node
tests know the newest opset only."""
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

onnxruntime.set_default_logger_severity(4)
FIRST, LAST = 7, 17
X = (2, 3, 4, 5)
IMAGE = (2, 4, 6, 7)


def ints(*values):
    return np.array(values, dtype=np.int64)


def floats(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def either(opset, since, name, value, before=()):
    """What an attribute was before `since`, and an input is from then on: (attributes, inputs)."""
    return ({name: value}, []) if opset < since else ({}, [*before, value if isinstance(value, np.ndarray) else ints(*value)])


# Each case: name, first opset, operator, shape of x, and a function of the opset to (attributes, further inputs as constants).
# A case may have its number of outputs last.
def attrs(**a):
    return lambda opset: (a, [])


def consts(*arrays, **a):
    return lambda opset: (a, list(arrays))


def clip(opset):
    low, high = np.float32(-0.5), np.float32(0.75)
    return ({"min": float(low), "max": float(high)}, []) if opset < 11 else ({}, [low, high])


def pad(mode):
    def case(opset):
        pads = [0, 1, 0, 2, 1, 0, 2, 1] if mode != "constant" else [0, 1, 0, 2, 1, 0, 0, -1]
        if opset < 11:
            return {"mode": mode, "pads": pads, "value": 1.5}, []
        return {"mode": mode}, [ints(*pads), np.float32(1.5)]
    return case


def slices(opset):
    starts, ends, axes = [1, -3], [100, -1], [1, 3]
    if opset < 10:
        return {"starts": starts, "ends": ends, "axes": axes}, []
    return {}, [ints(*starts), ints(*ends), ints(*axes)]


def dropout(opset):
    return ({"ratio": 0.3}, []) if opset < 12 else ({}, [np.float32(0.3)])


def batch_norm(opset):
    return {"epsilon": 1e-3}, [floats(4), floats(4, seed=2), floats(4, seed=3), np.abs(floats(4, seed=4)) + 0.5]


def upsample(mode):
    def case(opset):
        scales = [1.0, 1.0, 2.0, 3.0]
        return ({"mode": mode, "scales": scales}, []) if opset < 9 else ({"mode": mode}, [np.array(scales, np.float32)])
    return case


def left_out(opset):
    """Before 13 Resize's inputs were all required; empty is what is not there."""
    return np.array([], np.float32) if opset < 13 else None


def resize(mode, **later):
    def case(opset):
        scales = np.array([1, 1, 2, 2], np.float32)
        return ({"mode": mode}, [scales]) if opset < 11 else ({"mode": mode, **later}, [left_out(opset), scales])
    return case


def resize_to(opset):
    return {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, [left_out(opset), left_out(opset), ints(2, 4, 9, 11)]


def reduce(since, **more):
    def case(opset):
        a, i = either(opset, since, "axes", [1, 3])
        return {**a, **more}, i
    return case


def top_k(opset):
    a, i = either(opset, 10, "k", ints(2))
    return ({"k": 2, "axis": 1}, []) if a else ({"axis": 1, **({"largest": 0} if opset >= 11 else {})}, i)


def gemm(opset):
    return {"alpha": 0.5, "beta": 2.0, "transB": 1}, [floats(6, 5)] + ([floats(6)] if opset < 11 else [])


def lstm(opset):
    return {"hidden_size": 3}, [floats(1, 12, 5), floats(1, 12, 3)]


def max_pool(opset):
    a = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    return {**a, **({"ceil_mode": 1, "dilations": [1, 2]} if opset >= 10 else {})}, []


def average_pool(opset):
    a = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return {**a, **({"ceil_mode": 1} if opset >= 10 else {})}, []


CASES = [
    *[(f"{op.lower()}{suffix}", 7, op, X, attrs(**a)) for op in ("Softmax", "LogSoftmax", "Hardmax")
      for suffix, a in (("", {}), ("_axis2", {"axis": 2}), ("_axis0", {"axis": 0}))],
    ("clip", 7, "Clip", X, clip),
    *[(f"pad_{mode}", 7, "Pad", X, pad(mode)) for mode in ("constant", "reflect", "edge")],
    ("slice", 7, "Slice", X, slices),
    ("slice_steps", 10, "Slice", X, consts(ints(-1, 0), ints(-100, 5), ints(1, 3), ints(-1, 2))),
    ("squeeze", 7, "Squeeze", (2, 1, 3, 1), lambda o: either(o, 13, "axes", [1, 3])),
    ("squeeze_all", 7, "Squeeze", (2, 1, 3, 1), attrs()),
    ("unsqueeze", 7, "Unsqueeze", (2, 3), lambda o: either(o, 13, "axes", [0, 3])),
    ("dropout", 7, "Dropout", X, dropout),
    ("batch_norm", 7, "BatchNormalization", IMAGE, batch_norm),
    *[(f"upsample_{mode}", 7, "Upsample", IMAGE, upsample(mode)) for mode in ("nearest", "linear")],
    ("resize_nearest", 10, "Resize", IMAGE, resize("nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
    ("resize_linear", 10, "Resize", IMAGE, resize("linear")),
    ("resize_cubic", 11, "Resize", IMAGE, resize("cubic")),
    ("resize_to", 11, "Resize", IMAGE, resize_to),
    ("reduce_sum", 7, "ReduceSum", X, reduce(13)),
    ("reduce_sum_flat", 7, "ReduceSum", X, reduce(13, keepdims=0)),
    ("reduce_sum_all", 7, "ReduceSum", X, attrs()),
    *[(f"reduce_{op.lower()}", 7, f"Reduce{op}", X, reduce(18, keepdims=0))
      for op in ("Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")],
    ("split", 7, "Split", X, lambda o: (lambda a, i: ({**a, "axis": 2}, i))(*either(o, 13, "split", [1, 3])), 2),
    ("split_even", 7, "Split", X, attrs(axis=2), 2),
    ("top_k", 7, "TopK", X, top_k, 2),
    ("gemm", 7, "Gemm", (4, 5), gemm),
    ("matmul", 7, "MatMul", X, consts(floats(5, 6))),
    ("flatten", 7, "Flatten", X, attrs(axis=2)),
    ("concat", 7, "Concat", X, consts(floats(2, 3, 4, 2), axis=3)),
    ("reshape", 7, "Reshape", X, consts(ints(0, -1, 2))),
    ("expand", 8, "Expand", (2, 1, 3), consts(ints(4, 1, 5, 1))),
    ("tile", 7, "Tile", (2, 3), consts(ints(2, 3))),
    ("gather", 7, "Gather", X, consts(ints(2, 0, 1), axis=2)),
    ("arg_max", 7, "ArgMax", X, attrs(axis=2, keepdims=0)),
    ("p_relu", 7, "PRelu", X, consts(floats(3, 1, 1))),
    ("max_pool", 8, "MaxPool", IMAGE, max_pool),
    ("max_pool_same", 7, "MaxPool", IMAGE, attrs(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")),
    ("average_pool", 7, "AveragePool", IMAGE, average_pool),
    ("average_pool_pads", 7, "AveragePool", IMAGE, attrs(kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)),
    ("conv", 7, "Conv", IMAGE, consts(floats(6, 2, 3, 3), floats(6), kernel_shape=[3, 3], group=2, dilations=[2, 1])),
    ("conv_same", 7, "Conv", IMAGE, consts(floats(6, 4, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER")),
    ("conv_transpose", 7, "ConvTranspose", IMAGE, consts(floats(4, 3, 3, 3), strides=[2, 2], output_padding=[1, 1])),
    ("lrn", 7, "LRN", IMAGE, attrs(size=3)),
    ("instance_norm", 7, "InstanceNormalization", IMAGE, consts(floats(4), floats(4, seed=2))),
    ("depth_to_space", 7, "DepthToSpace", IMAGE, attrs(blocksize=2)),
    ("depth_to_space_crd", 11, "DepthToSpace", IMAGE, attrs(blocksize=2, mode="CRD")),
    ("space_to_depth", 7, "SpaceToDepth", (2, 3, 4, 6), attrs(blocksize=2)),
    ("max", 8, "Max", X, consts(floats(4, 1))),
    ("sum", 8, "Sum", X, consts(floats(4, 1), floats(5))),
    ("mean", 8, "Mean", X, consts(floats(4, 1), floats(5))),
    ("add", 7, "Add", X, consts(floats(3, 1, 1))),
    ("pow", 7, "Pow", (3, 4), consts(np.float32(2))),
    ("greater", 7, "Greater", X, consts(floats(5))),
    ("mod", 10, "Mod", X, consts(np.float32(0.7), fmod=1)),
    ("cast", 7, "Cast", X, attrs(to=onnx.TensorProto.INT32)),
    ("thresholded_relu", 10, "ThresholdedRelu", X, attrs(alpha=0.3)),
    ("hard_sigmoid", 7, "HardSigmoid", X, attrs()),
    ("selu", 7, "Selu", X, attrs()),
    ("transpose", 7, "Transpose", X, attrs()),
    ("shape", 7, "Shape", X, attrs()),
    ("cum_sum", 11, "CumSum", X, consts(np.int64(2), exclusive=1)),
    ("scatter", 9, "Scatter", (3, 4), consts(np.array([[1, 0, 2, 1]], np.int64), floats(1, 4), axis=0)),
    ("lstm", 7, "LSTM", (4, 2, 5), lstm, 3),
    ("gru", 7, "GRU", (4, 2, 5), lambda o: ({"hidden_size": 4, "linear_before_reset": 1}, [floats(1, 12, 5), floats(1, 12, 4)]), 2),
]
UNTIL = {"Upsample": 9, "Scatter": 10}


def model_of(opset, op, shape, case, n_outputs):
    attributes, constants = case(opset)
    names = ["x"] + ["" if c is None else f"c{i}" for i, c in enumerate(constants)]
    node = helper.make_node(op, names, [f"y{k}" for k in range(n_outputs)], name=op.lower(), **attributes)
    initializers = [numpy_helper.from_array(np.asarray(c), f"c{i}") for i, c in enumerate(constants) if c is not None]
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
                              [onnx.ValueInfoProto(name=f"y{k}") for k in range(n_outputs)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def dump(folder, name, model, shape):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = floats(*shape, seed=7)
    outputs = session.run(None, {"x": x})
    data = os.path.join(folder, name, "test_data_set_0")
    os.makedirs(data)
    onnx.save(model, os.path.join(folder, name, "model.onnx"))
    with open(os.path.join(folder, name, "tolerance.txt"), "w", encoding="utf-8") as f:
        f.write("1e-4 1e-5\n")
    for kind, arrays in (("input", [x]), ("output", outputs)):
        for k, array in enumerate(arrays):
            with open(os.path.join(data, f"{kind}_{k}.pb"), "wb") as f:
                f.write(numpy_helper.from_array(array, f"{kind}{k}").SerializeToString())


def main(folder):
    for name, since, op, shape, case, *n in CASES:
        for opset in range(since, UNTIL.get(op, LAST) + 1):
            dump(folder, f"{name}_{opset}", model_of(opset, op, shape, case, n[0] if n else 1), shape)


main(sys.argv[1])
