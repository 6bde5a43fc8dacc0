#!/usr/bin/env python3
"""Runs an ONNX file by ONNX Runtime and compares with `glia predict --json --top 100`: probabilities within 1e-5, the same
labels wherever two of them are not that close.

    onnx_run.py MODEL.onnx INPUT.idx[.gz] PREDICTIONS.jsonl
"""
import gzip
import json
import struct
import sys

import numpy as np
import onnx
import onnxruntime as ort

LEAST = 1e-5


def read_idx(path):
    raw = (gzip.open if path.endswith(".gz") else open)(path, "rb").read()
    rank = raw[3]
    shape = struct.unpack(f">{rank}I", raw[4:4 + 4 * rank])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape[0], 1, *shape[1:]).astype(np.float32)


def main():
    model, images, predictions = sys.argv[1:4]
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[0] == "N", session.get_inputs()[0].shape
    x = read_idx(images)
    found = session.run(None, {session.get_inputs()[0].name: x})[0]
    wanted = np.zeros_like(found)
    labels = np.zeros(len(found), np.int64)
    for i, line in enumerate(open(predictions, encoding="utf-8")):
        top = json.loads(line)["top"]
        labels[i] = top[0]["class"]
        for entry in top:
            wanted[i, entry["class"]] = entry["probability"]
    assert i + 1 == len(x), (i + 1, len(x))
    most = float(np.abs(found - wanted).max())
    same = int((found.argmax(1) == labels).sum())
    print(f"{'equal' if most <= LEAST and same == len(x) else 'DIFFERENT'}: {len(x)} examples, same label {same}, "
          f"probabilities differ by {most:.3g} at most")
    return 0 if most <= LEAST and same == len(x) else 1


if __name__ == "__main__":
    sys.exit(main())
