#!/usr/bin/env python3
"""Prints the table of tests/test_schedule.c: learning rates by torch.optim.lr_scheduler, 4 steps an epoch, 5 epochs.

Run by hand: python tools/parity/schedules.py
A warm-up is LinearLR from 1/w over the first w steps, then the other schedule over the steps that are left.
"""
import torch
from torch.optim import lr_scheduler as S

STEPS, EPOCHS = 4, 5
ALL = STEPS * EPOCHS


def rates(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], lr=1.0)
    scheduler, out = make(optimizer), []
    for _ in range(ALL):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return out


def warm(w, then):
    return lambda o: S.SequentialLR(o, [S.LinearLR(o, 1 / w, 1.0, w - 1), then(o, ALL - w)], [w])


CASES = [
    ('.kind = "step", .step_epochs = 2, .gamma = 0.5', lambda o: S.StepLR(o, 2 * STEPS, 0.5)),
    ('.kind = "linear", .final = 0.1', lambda o: S.LinearLR(o, 1.0, 0.1, ALL)),
    ('.kind = "cosine"', lambda o: S.CosineAnnealingLR(o, ALL)),
    ('.kind = "cosine", .final = 0.25, .warmup = 1.5', warm(6, lambda o, n: S.CosineAnnealingLR(o, n, 0.25))),
    ('.kind = "linear", .warmup = 1', warm(4, lambda o, n: S.LinearLR(o, 1.0, 1e-12, n))),
]
print(f"/* torch {torch.__version__.split('+')[0]} */")
for options, make in CASES:
    print(f"    {{{{{options}}},\n     {{" + ", ".join(f"{r:.10g}" for r in rates(make)) + "}},")
