#!/usr/bin/env python3
"""Writes tests/data/optimizer_steps.txt: parameters after each of 20 steps of every optimiser, by PyTorch in f32.

Run by hand, when an optimiser is added: python tools/parity/optimizers.py > tests/data/optimizer_steps.txt
Parameters start at sin(i + 1); the gradient of step t is cos(0.7 t + i) (i + 1) / 10 + 0.2 theta, so that it depends
on what the optimiser did. tests/test_optimizers.c computes the same.
"""
import math

import torch

SIZE, STEPS = 5, 20
O = torch.optim
# Name and settings as Glia spells them; what PyTorch calls them; the clip norm.
CASES = [
    ("sgd", "learning_rate=0.1", lambda p: O.SGD(p, lr=0.1)),
    ("sgd", "learning_rate=0.1 weight_decay=0.05", lambda p: O.SGD(p, lr=0.1, weight_decay=0.05)),
    ("sgd", "learning_rate=0.1 clip_norm=0.5", lambda p: O.SGD(p, lr=0.1)),
    ("momentum", "learning_rate=0.05", lambda p: O.SGD(p, lr=0.05, momentum=0.9)),
    ("momentum", "learning_rate=0.05 momentum=0.5 weight_decay=0.1",
     lambda p: O.SGD(p, lr=0.05, momentum=0.5, weight_decay=0.1)),
    ("nesterov", "learning_rate=0.05", lambda p: O.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    ("adagrad", "", lambda p: O.Adagrad(p)),
    ("adagrad", "learning_rate=0.3 weight_decay=0.1", lambda p: O.Adagrad(p, lr=0.3, weight_decay=0.1)),
    ("adadelta", "", lambda p: O.Adadelta(p)),
    ("adadelta", "learning_rate=0.5 rho=0.8 epsilon=1e-4", lambda p: O.Adadelta(p, lr=0.5, rho=0.8, eps=1e-4)),
    ("rmsprop", "", lambda p: O.RMSprop(p)),
    ("rmsprop", "learning_rate=0.05 rho=0.9 epsilon=1e-3 weight_decay=0.1",
     lambda p: O.RMSprop(p, lr=0.05, alpha=0.9, eps=1e-3, weight_decay=0.1)),
    ("adam", "", lambda p: O.Adam(p)),
    ("adam", "learning_rate=0.1 beta1=0.8 beta2=0.95 epsilon=1e-2 weight_decay=0.1",
     lambda p: O.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-2, weight_decay=0.1)),
    ("adam", "learning_rate=0.1 clip_norm=0.3", lambda p: O.Adam(p, lr=0.1)),
    ("adamw", "learning_rate=0.1", lambda p: O.AdamW(p, lr=0.1)),
    ("adamw", "learning_rate=0.1 weight_decay=0.3", lambda p: O.AdamW(p, lr=0.1, weight_decay=0.3)),
]


def main():
    print(f"# torch {torch.__version__.split('+')[0]}, f32; made by tools/parity/optimizers.py")
    ramp = torch.arange(SIZE, dtype=torch.float64)
    for name, settings, make in CASES:
        print(f"case {name} {settings}".rstrip())
        theta = torch.nn.Parameter(torch.sin(ramp + 1).float())
        optimizer = make([theta])
        for t in range(1, STEPS + 1):
            fixed = torch.tensor([math.cos(0.7 * t + i) * (i + 1) / 10 for i in range(SIZE)]).float()
            theta.grad = fixed + 0.2 * theta.detach()
            clip = [w[10:] for w in settings.split() if w.startswith("clip_norm=")]
            if clip:
                torch.nn.utils.clip_grad_norm_([theta], float(clip[0]))
            optimizer.step()
            print(" ".join(f"{v:.9g}" for v in theta.tolist()))


main()
