#!/usr/bin/env python3
"""Weights and what others compute with them, for tests/test_parity_weights.sh."""
import gzip
import io
import json
import os
import sys
import zipfile

import numpy as np


def repack(source, target):
    arrays = dict(np.load(source))
    assert arrays and all(a.dtype == np.float32 for a in arrays.values())
    np.savez_compressed(target, **{k: np.asfortranarray(v) for k, v in arrays.items()})


def exported(ours, pytorch, keras):
    """The tutorial network's weights, as they are and under the names of others: the same numbers."""
    from safetensors import safe_open

    a, k = np.load(ours), np.load(keras)
    with safe_open(pytorch, "np") as file:
        t = {name: file.get_tensor(name) for name in file.keys()}
        assert file.metadata()["format"] == "pt"
    assert sorted(t) == sorted(a) and all((t[n] == a[n]).all() for n in a)
    assert sorted(k) == ["conv2d/bias", "conv2d/kernel", "dense/bias", "dense/kernel"]
    assert (k["conv2d/kernel"] == a["conv2d.weight"].transpose(2, 3, 1, 0)).all()
    flat = a["dense.weight"].reshape(3, 4, 3, 3)  # units, then channels, height, width
    assert (k["dense/kernel"] == flat.transpose(2, 3, 1, 0).reshape(36, 3)).all()
    print("ok")


def keras_loader(ours, written):
    """Finds the arrays of an .h5 file as Keras's load_weights does: by lists of names in attributes."""
    import h5py

    want, got = np.load(ours), {}
    text = lambda s: s.decode() if isinstance(s, bytes) else s
    with h5py.File(written) as file:
        for layer_name in map(text, file.attrs["layer_names"]):
            group = file[layer_name]
            for name in map(text, group.attrs["weight_names"]):
                got[f"{layer_name}/{name}"] = group[name][...]
    assert list(got) == list(want) and all((got[n] == want[n]).all() for n in want)
    print("ok")


def torch_module(weights, model, inputs, outputs):
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    net = torch.nn.Sequential()
    net.features = torch.nn.Sequential(
        torch.nn.Conv2d(2, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    net.classifier = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(54, 7), torch.nn.BatchNorm1d(7), torch.nn.ReLU(), torch.nn.Linear(7, 4))
    x = torch.randn(20, 2, 8, 8)
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(16, 2, 8, 8))
        net.eval()
        np.save(outputs, torch.softmax(net(x), 1).numpy())
    np.save(inputs, x.numpy())
    save_file({"module." + k: v for k, v in net.state_dict().items()}, weights, {"format": "pt"})
    with open(model, "w") as file:
        file.write("""data: {source: "npy:inputs.npy"}
model:
  - conv2d: {name: features_0, filters: 6, kernel: 3}
  - batch_norm: {name: features_1, activation: relu}
  - max_pool2d: 2
  - flatten
  - dense: {name: classifier_1, units: 7}
  - batch_norm: {name: classifier_2, activation: relu}
  - dense: {name: classifier_4, units: 4}
loss: softmax_cross_entropy
""")


def torch_recurrent(weights, model, inputs, outputs):
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(3)
    lstm, gru, head = torch.nn.LSTM(5, 6, batch_first=True, bidirectional=True), torch.nn.GRU(12, 4, batch_first=True), torch.nn.Linear(4, 3)
    x = torch.randn(20, 7, 5)
    with torch.no_grad():
        np.save(outputs, torch.softmax(head(gru(lstm(x)[0])[0][:, -1]), 1).numpy())
    np.save(inputs, x.numpy())
    arrays = {f"{n}.{k}": v for n, m in (("words", lstm), ("gru", gru), ("head", head)) for k, v in m.state_dict().items()}
    save_file(arrays, weights, {"format": "pt"})
    with open(model, "w") as file:
        file.write("""data: {source: "npy:inputs.npy"}
model:
  - lstm: {name: words, units: 6, bidirectional: yes, return_sequences: yes}
  - gru: 4
  - dense: {units: 3, name: head}
loss: softmax_cross_entropy
""")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def keras_lstm(x, kernel, recurrent, bias):
    """[N, T, units], gates i, f, c, o, as Keras's documentation has them."""
    h = c = np.zeros((len(x), recurrent.shape[0]))
    out = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out, 1)


def keras_gru(x, kernel, recurrent, bias):
    """The last state; gates z, r, h, with reset_after."""
    h = np.zeros((len(x), recurrent.shape[0]))
    for t in range(x.shape[1]):
        xz, xr, xh = np.split(x[:, t] @ kernel + bias[0], 3, 1)
        hz, hr, hh = np.split(h @ recurrent + bias[1], 3, 1)
        z = sigmoid(xz + hz)
        h = z * h + (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh)
    return h


def keras_recurrent(weights, inputs, outputs):
    """Arrays as Keras 2 calls them in an .h5 file: an LSTM, a GRU and a dense layer."""
    r = np.random.default_rng(4)
    lstm = {"kernel": r.normal(size=(5, 24)), "recurrent_kernel": r.normal(size=(6, 24)), "bias": r.normal(size=24)}
    gru = {"kernel": r.normal(size=(6, 12)), "recurrent_kernel": r.normal(size=(4, 12)), "bias": r.normal(size=(2, 12))}
    dense = {"kernel": r.normal(size=(4, 3)), "bias": r.normal(size=3)}
    x = r.normal(size=(20, 7, 5))
    y = keras_gru(keras_lstm(x, lstm["kernel"], lstm["recurrent_kernel"], lstm["bias"]), gru["kernel"], gru["recurrent_kernel"], gru["bias"])
    np.save(outputs, softmax(y @ dense["kernel"] + dense["bias"]).astype(np.float32))
    layers = {"lstm/lstm/lstm_cell": lstm, "gru/gru/gru_cell": gru, "dense/dense": dense}
    np.save(inputs, x.astype(np.float32))
    np.savez(weights, **{f"model_weights/{n}/{k}:0": v.astype(np.float32) for n, arrays in layers.items() for k, v in arrays.items()})
    with open("keras_recurrent.yaml", "w") as file:
        file.write("""data: {source: "npy:inputs.npy"}
model:
  - lstm: {units: 6, return_sequences: yes}
  - gru: 4
  - dense: 3
loss: softmax_cross_entropy
""")


def conv(x, kernel, bias, same):
    """x [N, H, W, C], kernel HWIO, stride 1."""
    kh, kw = kernel.shape[:2]
    if same:
        x = np.pad(x, ((0, 0), ((kh - 1) // 2, kh // 2), ((kw - 1) // 2, kw // 2), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(1, 2))
    return np.einsum("nhwcyx,yxco->nhwo", views, kernel, optimize=True) + bias


def pool(x):
    n, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def channels_first(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)


def layer(kind, **config):
    return {"module": "keras.layers", "class_name": kind, "config": config}


def keras(path, inputs, outputs):
    """A file as Keras 3 writes it: a picture of 6×5×2, convolved, normalised, flattened."""
    import h5py

    r = np.random.default_rng(2)
    x = r.normal(size=(9, 6, 5, 2))
    kernel, bias = r.normal(size=(3, 2, 2, 4)), r.normal(size=4)
    gamma, beta, mean, var = r.normal(size=4), r.normal(size=4), r.normal(size=4), r.uniform(0.5, 2, 4)
    dense, offset = r.normal(size=(3 * 2 * 4, 5)) / 5, r.normal(size=5)
    last, end = r.normal(size=(5, 5)), r.normal(size=5)
    y = conv(x, kernel, bias, True)
    y = np.maximum((y - mean) / np.sqrt(var + 1e-3) * gamma + beta, 0)
    y = np.tanh(pool(y).reshape(9, -1) @ dense + offset)
    np.save(outputs, softmax(y @ last + end).astype(np.float32))
    np.save(inputs, channels_first(x))
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [
        layer("InputLayer", batch_shape=[None, 6, 5, 2], name="in"),
        layer("Conv2D", name="first", filters=4, kernel_size=[3, 2], strides=[1, 1], padding="same",
              data_format="channels_last", dilation_rate=[1, 1], groups=1, activation="linear", use_bias=True),
        layer("BatchNormalization", name="norm", axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True),
        layer("Activation", name="a", activation="relu"),
        layer("MaxPooling2D", name="p", pool_size=[2, 2], padding="valid", strides=[2, 2], data_format="channels_last"),
        layer("Flatten", name="f", data_format="channels_last"), layer("Dropout", name="drop", rate=0.5),
        layer("Dense", name="hidden", units=5, activation="tanh", use_bias=True),
        layer("Dense", name="head", units=5, activation="softmax", use_bias=True)]}}
    groups = {"conv2d": [kernel, bias], "batch_normalization": [gamma, beta, mean, var], "dense": [dense, offset],
              "dense_1": [last, end]}
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        for name, arrays in groups.items():
            for i, a in enumerate(arrays):
                file.create_dataset(f"layers/{name}/vars/{i}", data=a.astype(np.float32))
        file.create_dataset("optimizer/vars/0", data=np.int64(7))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", image.getvalue())


def idx(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path) as file:
        return np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28, 28, 1)


def keras_mnist(path, folder, inputs, outputs):
    import h5py

    file = next(f for f in sorted(os.listdir(folder)) if f.startswith("t10k-images"))
    x = idx(os.path.join(folder, file))[:500]
    with h5py.File(path) as f:
        w = {k: [f[f"model_weights/{k}/{k}/{a}:0"][...].astype(np.float64) for a in ("kernel", "bias")]
             for k in ("conv2d", "dense", "dense_1", "dense_2")}
    y = pool(np.maximum(conv(x / 255.0, *w["conv2d"], True), 0)).reshape(len(x), -1)
    for k in ("dense", "dense_1"):
        y = np.maximum(y @ w[k][0] + w[k][1], 0)
    np.save(inputs, np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    np.save(outputs, softmax(y @ w["dense_2"][0] + w["dense_2"][1]).astype(np.float32))


def compare(predictions, expected, tolerance):
    """Glia's predictions as JSON lines against an array of probabilities."""
    want = np.load(expected)
    got = np.full_like(want, np.nan)
    with open(predictions) as file:
        for i, line in enumerate(file):
            p = json.loads(line)
            for c in p["top"]:
                got[i, c["class"]] = c["probability"]
    seen = ~np.isnan(got)
    assert seen.any(1).all(), "predictions are missing"
    worst = np.abs(got - want)[seen].max()
    print("ok" if worst <= float(tolerance) else "DIFFERS", f"{seen.sum()} probabilities, largest difference {worst:.2g}")
    return int(worst > float(tolerance))


if __name__ == "__main__":
    commands = {"repack": repack, "exported": exported, "keras_loader": keras_loader, "torch": torch_module, "keras": keras, "keras_mnist": keras_mnist,
                "torch_recurrent": torch_recurrent, "keras_recurrent": keras_recurrent, "compare": compare}
    sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
