#!/usr/bin/env python3
"""Writes tests/data/batch_norm_steps.txt: a small network with two batch normalisations, trained for some steps by
PyTorch in f64: losses, then every parameter and running statistic, then what the network says outside of training.

Run by hand: python tools/parity/batch_norm.py > tests/data/batch_norm_steps.txt
Element i of parameter k (in Glia's order, statistics left out) starts at sin(i + k) / 2; element i of the batch of step t
is sin(0.3 i + t), its targets are (row + t) mod 3. tests/test_batch_norm.c computes the same.
"""
import torch

SIZES = [8, 8, 5, 8, 8, 5]  # of the batches
SHAPE = (2, 4, 4)


def batch(t, rows):
    count = rows * SHAPE[0] * SHAPE[1] * SHAPE[2]
    x = torch.sin(0.3 * torch.arange(count, dtype=torch.float64) + t).reshape(rows, *SHAPE)
    return x, (torch.arange(rows) + t) % 3


def main():
    torch.set_default_dtype(torch.float64)
    print(f"# torch {torch.__version__.split('+')[0]}, f64; made by tools/parity/batch_norm.py")
    nn = torch.nn
    net = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5),
                        nn.BatchNorm1d(5, eps=1e-3, momentum=0.3), nn.Tanh(), nn.Linear(5, 3))
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_((torch.sin(torch.arange(p.numel(), dtype=torch.float64) + k) / 2).reshape(p.shape))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05)
    for t, rows in enumerate(SIZES, 1):
        x, y = batch(t, rows)
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"loss {loss.item():.9g}")
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            print(name, " ".join(f"{v:.9g}" for v in value.flatten().tolist()))
    net.eval()
    print("logits", " ".join(f"{v:.9g}" for v in net(batch(99, 2)[0]).flatten().tolist()))


main()
