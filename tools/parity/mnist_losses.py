#!/usr/bin/env python3
"""Writes tests/data/mnist_losses.txt: the first 50 losses of the tutorial network on MNIST, by PyTorch in f32.

Run by hand: python tools/parity/mnist_losses.py DIR > tests/data/mnist_losses.txt
where DIR holds train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz (or the same without .gz).
Weights begin as a hash of their index, so that no file is needed for them; batch t holds examples 128 t ... 128 t +
127 in the order of the files. tests/test_parity.c does the same.
"""
import gzip
import os
import sys

import numpy
import torch

BATCH, STEPS = 128, 50
CASES = [
    ("sgd", "learning_rate=0.1", lambda p: torch.optim.SGD(p, lr=0.1)),
    ("momentum", "learning_rate=0.02", lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9)),
    ("adagrad", "learning_rate=0.01", lambda p: torch.optim.Adagrad(p, lr=0.01)),
    ("adam", "learning_rate=0.001", lambda p: torch.optim.Adam(p, lr=0.001)),
]


def read_idx(folder, name, header):
    path = os.path.join(folder, name)
    opened = gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb")
    with opened as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=header)


def hashed(count, salt, limit):
    """splitmix64 of the index, as a number in [-limit, limit)."""
    with numpy.errstate(over="ignore"):
        z = (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(1 + salt * 1000003)) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    unit = (z >> numpy.uint64(40)).astype(numpy.float64) / 2**24
    return torch.from_numpy(((2 * unit - 1) * limit).astype(numpy.float32))


def network():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 32, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
                              torch.nn.Linear(5408, 10))
    with torch.no_grad():
        net[0].weight.copy_(hashed(32 * 9, 1, 0.14).reshape(32, 1, 3, 3))
        net[0].bias.zero_()
        net[4].weight.copy_(hashed(54080, 2, 0.033).reshape(10, 5408))
        net[4].bias.zero_()
    return net


def main():
    folder = sys.argv[1]
    torch.set_num_threads(1)
    images = read_idx(folder, "train-images-idx3-ubyte", 16)[: BATCH * STEPS * 784].reshape(-1, 1, 28, 28)
    labels = read_idx(folder, "train-labels-idx1-ubyte", 8)[: BATCH * STEPS]
    x = torch.from_numpy(images.astype(numpy.float32)) * numpy.float32(1 / 255)
    y = torch.from_numpy(labels.astype(numpy.int64))
    print(f"# torch {torch.__version__.split('+')[0]}, f32; made by tools/parity/mnist_losses.py")
    for name, settings, make in CASES:
        net = network()
        optimizer = make(net.parameters())
        print(f"case {name} {settings}")
        for t in range(STEPS):
            part = slice(t * BATCH, (t + 1) * BATCH)
            loss = torch.nn.functional.cross_entropy(net(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.9g}")


main()
