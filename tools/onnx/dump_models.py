#!/usr/bin/env python3
"""dump_models.py FOLDER MODEL.onnx...: for each model a folder as tests/onnx_nodes takes it: random inputs, and the outputs that ONNX
Runtime gives for them, and the outputs that are stored beside the model (MODEL_output_0.pb), if they are. Open dimensions are 2, but
for those of the models' own demands below."""
import os
import shutil
import sys

import numpy as np
import onnxruntime
from onnx import numpy_helper

onnxruntime.set_default_logger_severity(3)
DEMANDS = {"silero_vad_16k_op15": {"input": [1, 576], "state": [2, 1, 128], "sr": []}}


def write(path, array, name):
    with open(path, "wb") as f:
        f.write(numpy_helper.from_array(array, name).SerializeToString())


def dump(folder, model):
    name = os.path.splitext(os.path.basename(model))[0]
    data = os.path.join(folder, name, "test_data_set_0")
    os.makedirs(data)
    shutil.copy(model, os.path.join(folder, name, "model.onnx"))
    with open(os.path.join(folder, name, "tolerance.txt"), "w", encoding="utf-8") as f:
        f.write("1e-3 1e-5\n")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    random, feed = np.random.default_rng(0), {}
    for k, info in enumerate(session.get_inputs()):
        shape = DEMANDS.get(name, {}).get(info.name, [d if isinstance(d, int) else 2 for d in info.shape])
        floats = "float" in info.type
        feed[info.name] = random.random(shape, dtype=np.float32) if floats else np.asarray(16000, dtype=np.int64)
        write(os.path.join(data, f"input_{k}.pb"), np.asarray(feed[info.name]), info.name)
    for k, array in enumerate(session.run(None, feed)):
        write(os.path.join(data, f"output_{k}.pb"), array, str(k))
    stored = os.path.splitext(model)[0] + "_output_0.pb"
    if os.path.exists(stored):  # for the input that ONNX's own tests of models give it
        data = os.path.join(folder, name, "test_data_set_1")
        os.makedirs(data)
        (info,) = session.get_inputs()
        count = int(np.prod(info.shape))
        ramp = (np.arange(count).reshape(info.shape) / count).astype(np.float32)
        write(os.path.join(data, "input_0.pb"), ramp, info.name)
        shutil.copy(stored, os.path.join(data, "output_0.pb"))


for path in sys.argv[2:]:
    dump(sys.argv[1], path)
