#!/usr/bin/env python3
"""Runs the ONNX files of `GLIA_ONNX_CASES=DIR test_onnx_ops` by ONNX Runtime and compares with what Glia computed.

    onnx_cases.py DIR LIST      LIST: the lines that test_onnx_ops printed

Every file is checked by onnx.checker (with shape inference). ONNX Runtime has not every operator for every dtype and rank;
ONNX's own reference evaluator runs what it declines. Prints a line for each difference and a summary; status 1 when there was one.
"""
import sys

import numpy as np
import onnx
import onnx.reference
import onnxruntime as ort

# Where ONNX Runtime differs from Glia by what it documents, or leaves open: part of the name or text → of the message.
KNOWN = [("prod-", "i32<9 [axes=1]", "2147483647"),  # it sums and multiplies i32 with saturation, Glia wraps
         ("resize-", ":bool", "not inexact"),  # the reference evaluator fails
         ("attention-", "0x5x6 0x5x6", "cannot reshape array of size 0"),  # so does it without examples
         ("mod-", "<9", "modulo by zero")]  # an error there, 0 in Glia
# What would end the process: no sequences at all, in ONNX Runtime's LSTM and GRU.
CRASHES = [("lstm-", "0x4x3"), ("gru-", "0x4x3")]

ort.set_default_logger_severity(4)


def run(path, feeds):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feeds), "runtime"
    except Exception as e:
        if "INVALID_GRAPH" in str(e) or "modulo by zero" in str(e):
            raise
    return onnx.reference.ReferenceEvaluator(path).run(None, feeds), "reference"


def compare(folder, name, opset, tolerance):
    path = f"{folder}/{name}-{opset}.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    feeds = {x.name: np.load(f"{folder}/{name}.in{i}.npy") for i, x in enumerate(model.graph.input)}
    results, by = run(path, feeds)
    for o, found in enumerate(results):
        wanted = np.load(f"{folder}/{name}.out{o}.npy")
        found = np.asarray(found)
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            return by, f"output {o} is {found.dtype} {found.shape}, Glia's is {wanted.dtype} {wanted.shape}"
        a, b = found.astype(np.float64), wanted.astype(np.float64)
        wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= tolerance * (1 + np.abs(b))))
        if wrong.any():
            at = int(np.argmax(wrong.reshape(-1)))
            return by, f"output {o}[{at}] is {a.reshape(-1)[at]!r}, Glia's is {b.reshape(-1)[at]!r}"
    return by, None


def main():
    folder, listing = sys.argv[1:3]
    count = {"runtime": 0, "reference": 0, "known": 0, "failed": 0}
    ops = set()
    for line in open(listing, encoding="utf-8"):
        words = line.split(" ", 3)
        if len(words) < 4 or not words[1].isdigit():
            continue
        name, opset, tolerance, text = words
        ops.add(name.rsplit("-", 1)[0])
        if any(a in name and text.startswith(b) for a, b in CRASHES):
            count["known"] += 1
            continue
        try:
            by, difference = compare(folder, name, opset, float(tolerance) or 1e-5)
        except Exception as e:
            by, difference = "failed", str(e).strip().splitlines()[-1][:300]
        if difference and any(a in name and b in text and c in difference for a, b, c in KNOWN):
            count["known"] += 1
            continue
        count["failed" if difference else by] += 1
        if difference:
            print(f"{name} opset {opset} ({text.strip()}): {difference}")
    print(f"{len(ops)} ops: {count['runtime']} files equal by ONNX Runtime {ort.__version__}, "
          f"{count['reference']} by the reference evaluator, "
          f"{count['known']} differ as is known, {count['failed']} failed")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
