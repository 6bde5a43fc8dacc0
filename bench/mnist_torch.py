#!/usr/bin/env python3
"""The tutorial network of examples/mnist_cnn.yaml in PyTorch: the peer of bench/run.sh and bench/accuracy.sh.

Same architecture, Glorot uniform kernels and zero biases, inputs / 255, 55,000 examples to train and 5,000 to validate,
shuffled batches of 128 with the partial last one, Adam 0.001, the weights of the epoch with the best validation loss.
Everything lies in memory as float32 and a batch is one indexing: the fast way to feed PyTorch.

Usage: mnist_torch.py DIR [--epochs N] [--seed N] [--threads N] [--channels-last], DIR with the four IDX files.
Prints a JSON object a line: one for each epoch, and one with the test accuracy.
"""
import argparse
import copy
import gzip
import json
import os
import time

import numpy
import torch

VALIDATION, BATCH = 5000, 128


def read_idx(folder, name, header):
    path = os.path.join(folder, name)
    opened = gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb")
    with opened as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=header)


def read_part(folder, part):
    images = read_idx(folder, part + "-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    labels = read_idx(folder, part + "-labels-idx1-ubyte", 8)
    return torch.from_numpy(numpy.divide(images, 255, dtype=numpy.float32)), torch.from_numpy(labels.astype(numpy.int64))


def network():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 32, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
                              torch.nn.Linear(5408, 10))
    for layer in (net[0], net[4]):
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return net


def evaluate(net, x, y):
    """Mean loss and accuracy."""
    net.eval()
    loss = right = 0
    with torch.no_grad():
        for at in range(0, len(x), BATCH):
            logits, target = net(x[at:at + BATCH]), y[at:at + BATCH]
            loss += torch.nn.functional.cross_entropy(logits, target, reduction="sum").item()
            right += (logits.argmax(1) == target).sum().item()
    net.train()
    return loss / len(x), right / len(x)


def train_epoch(net, optimizer, x, y):
    """Examples a second."""
    start = time.perf_counter()
    total = 0.0
    for rows in torch.randperm(len(x)).split(BATCH):
        loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    return len(x) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--channels-last", action="store_true")
    a = parser.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    x, y = read_part(a.folder, "train")
    order = torch.randperm(len(x))
    held, used = order[:VALIDATION], order[VALIDATION:]
    x_val, y_val, x, y = x[held], y[held], x[used].contiguous(), y[used]
    net = network()
    if a.channels_last:
        net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)

    best, best_weights = float("inf"), None
    for epoch in range(1, a.epochs + 1):
        rate = train_epoch(net, optimizer, x, y)
        val_loss, val_accuracy = evaluate(net, x_val, y_val)
        if val_loss < best:
            best, best_weights = val_loss, copy.deepcopy(net.state_dict())
        print(json.dumps({"epoch": epoch, "examples_per_second": rate, "val_loss": val_loss,
                          "val_accuracy": val_accuracy}), flush=True)
    net.load_state_dict(best_weights)
    x_test, y_test = read_part(a.folder, "t10k")
    print(json.dumps({"test_accuracy": evaluate(net, x_test, y_test)[1], "torch": torch.__version__}))


if __name__ == "__main__":
    main()
