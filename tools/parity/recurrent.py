#!/usr/bin/env python3
"""Writes tests/data/recurrent.txt: rnn, lstm and gru by PyTorch in f64, forward and in reverse, on sequences of different
lengths: states, and gradients of everything.

Run by hand: python tools/parity/recurrent.py > tests/data/recurrent.txt
x is sin(0.7 i) of its index i; element i of parameter k (weight_ih, weight_hh, bias_ih, bias_hh, then those in reverse) is
sin(i + k) / 2; the loss is the sum of y · sin(i) and of the last states (forward, then in reverse) · cos(i).
The cases "stack" are two layers in both directions that begin with states h and c, cos(i) / 2 and sin(i) / 2 as [N, 4·H] (layer 0
forward and in reverse, layer 1 …); the loss adds the last of both, in this order, · cos(i) and · sin(i).
tests/test_recurrent.c computes the same.
"""
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

N, T, IN, H = 3, 4, 2, 3
LENGTHS = [4, 2, 3]
CASES = [("rnn", lambda: torch.nn.RNN(IN, H, batch_first=True, bidirectional=True)),
         ("rnn_relu", lambda: torch.nn.RNN(IN, H, batch_first=True, bidirectional=True, nonlinearity="relu")),
         ("lstm", lambda: torch.nn.LSTM(IN, H, batch_first=True, bidirectional=True)),
         ("gru", lambda: torch.nn.GRU(IN, H, batch_first=True, bidirectional=True))]


def wave(function, shape, step=1.0, shift=0.0):
    count = torch.Size(shape).numel()
    return function(step * torch.arange(count, dtype=torch.float64) + shift).reshape(shape)


def show(name, value):
    print(name, " ".join(f"{v:.12g}" for v in value.flatten().tolist()))


def stack(name, make):
    """States here are [layers·2, N, H]."""
    net = make()
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_(wave(torch.sin, p.shape, shift=k) / 2)
    x = wave(torch.sin, (N, T, IN), step=0.7).requires_grad_()
    first = [(wave(f, (N, 4 * H)) / 2).requires_grad_() for f in (torch.cos, torch.sin)][: 2 if name == "lstm" else 1]
    given = [s.reshape(N, 4, H).transpose(0, 1).contiguous() for s in first]
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    out, states = net(packed, tuple(given) if name == "lstm" else given[0])
    y, _ = pad_packed_sequence(out, batch_first=True, total_length=T)
    last = [s.transpose(0, 1).reshape(N, 4 * H) for s in (states if name == "lstm" else [states])]
    loss = (y * wave(torch.sin, y.shape)).sum()
    for s, f in zip(last, (torch.cos, torch.sin)):
        loss = loss + (s * wave(f, s.shape)).sum()
    loss.backward()
    print("stack", name)
    show("y", y)
    for s, key in zip(last, "hc"):
        show(key, s)
    show("dx", x.grad)
    for s, key in zip(first, ("dh", "dc")):
        show(key, s.grad)
    for key, p in net.named_parameters():
        show(key, p.grad)


def main():
    torch.set_default_dtype(torch.float64)
    print(f"# torch {torch.__version__.split('+')[0]}, f64; made by tools/parity/recurrent.py")
    for name, make in CASES:
        net = make()
        with torch.no_grad():
            for k, p in enumerate(net.parameters()):
                p.copy_(wave(torch.sin, p.shape, shift=k) / 2)
        x = wave(torch.sin, (N, T, IN), step=0.7).requires_grad_()
        packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        out, state = net(packed)
        y, _ = pad_packed_sequence(out, batch_first=True, total_length=T)
        last = state[0] if isinstance(state, tuple) else state
        loss = (y * wave(torch.sin, y.shape)).sum() + (last * wave(torch.cos, last.shape)).sum()
        loss.backward()
        print("case", name)
        show("y", y)
        show("last", last)
        show("dx", x.grad)
        for key, p in net.named_parameters():
            show(key, p.grad)
    for name, kind in ("rnn", torch.nn.RNN), ("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU):
        stack(name, lambda: kind(IN, H, num_layers=2, batch_first=True, bidirectional=True))


main()
