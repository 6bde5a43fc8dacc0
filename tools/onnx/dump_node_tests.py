#!/usr/bin/env python3
"""dump_node_tests.py FOLDER: writes ONNX's own node tests, which the Python package `onnx` makes on demand, as folders
(model.onnx, test_data_set_*/input_*.pb, output_*.pb, tolerance.txt) for tests/onnx_node_test."""
import os
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_node_model_tests

np.random.seed(0)


def to_proto(value, info):
    """The array, list or nothing of a test as the bytes of the proto that its type asks for."""
    kind = info.type.WhichOneof("value")
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name).SerializeToString()
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name).SerializeToString()
    return numpy_helper.from_array(np.asarray(value), info.name).SerializeToString()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for case in load_node_model_tests():
        here = os.path.join(folder, case.name)
        os.makedirs(here, exist_ok=True)
        write(os.path.join(here, "model.onnx"), case.model.SerializeToString())
        write(os.path.join(here, "tolerance.txt"), f"{case.rtol} {case.atol}\n".encode())
        graph = case.model.graph
        for i, (inputs, outputs) in enumerate(case.data_sets):
            data = os.path.join(here, f"test_data_set_{i}")
            os.makedirs(data, exist_ok=True)
            for kind, values, infos in (("input", inputs, graph.input), ("output", outputs, graph.output)):
                for j, value in enumerate(values):
                    try:
                        write(os.path.join(data, f"{kind}_{j}.pb"), to_proto(value, infos[j]))
                    except Exception as e:  # a type that the package itself cannot store
                        print(f"{case.name}: {kind} {j}: {e}", file=sys.stderr)


main(sys.argv[1])
