#!/usr/bin/env python3
"""Transformers in plain PyTorch for tests/test_parity_layers.c: weights, inputs, results and gradients as safetensors.

Each case is three files: NAME.weights (the module's state dict, with Glia's layer and its options as metadata),
NAME.gradients (the same of the gradients of Σ cotangent·result) and NAME.case (input.0 …, cotangent, result, gradient.0 …).
GPT-2's dense layers are turned, as in the transformers library.

Usage: transformers.py FOLDER [small]     small: those that are kept in tests/data/parity
"""
import math
import os
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


class Turned(nn.Module):
    """A dense layer whose weight is [in, out]: transformers' Conv1D."""

    def __init__(self, units, width):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(width, units) * 0.2), nn.Parameter(torch.randn(units) * 0.1)

    def forward(self, x):
        return x @ self.weight + self.bias


def heads_of(x, heads):
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def attend(q, k, v, heads, mask):
    q, k, v = (heads_of(x, heads) for x in (q, k, v))
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    scores = scores if mask is None else scores.masked_fill(~mask, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class GPT2Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": Turned(3 * width, width), "c_proj": Turned(width, width)})
        self.mlp = nn.ModuleDict({"c_fc": Turned(4 * width, width), "c_proj": Turned(width, 4 * width)})

    def forward(self, x):
        q, k, v = self.attn["c_attn"](self.ln_1(x)).chunk(3, -1)
        past = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        x = x + self.attn["c_proj"](attend(q, k, v, self.heads, past))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self, vocabulary, length, layers, heads, width):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.h = nn.ModuleList(GPT2Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


class BertBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads

        def added(units):
            return nn.ModuleDict({"dense": nn.Linear(units, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)})

        this = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.attention = nn.ModuleDict({"self": this, "output": added(width)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, 4 * width)})
        self.output = added(4 * width)

    def forward(self, x, seen):
        q, k, v = (self.attention["self"][name](x) for name in ("query", "key", "value"))
        y = attend(q, k, v, self.heads, seen[:, None, None, :])
        x = self.attention["output"]["LayerNorm"](x + self.attention["output"]["dense"](y))
        y = self.output["dense"](F.gelu(self.intermediate["dense"](x)))
        return self.output["LayerNorm"](x + y)


class Bert(nn.Module):
    def __init__(self, vocabulary, length, layers, heads, width, classes):
        super().__init__()
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(vocabulary, width),
                                         "position_embeddings": nn.Embedding(length, width),
                                         "token_type_embeddings": nn.Embedding(2, width),
                                         "LayerNorm": nn.LayerNorm(width, eps=1e-12)})
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(BertBlock(width, heads) for _ in range(layers))})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})
        self.classifier = nn.Linear(width, classes)

    def forward(self, tokens, kinds, lengths):
        e = self.embeddings
        x = e["word_embeddings"](tokens) + e["position_embeddings"](torch.arange(tokens.shape[1]))
        x = e["LayerNorm"](x + e["token_type_embeddings"](kinds))
        for block in self.encoder["layer"]:
            x = block(x, torch.arange(tokens.shape[1]) < lengths[:, None])
        return self.classifier(torch.tanh(self.pooler["dense"](x[:, 0])))


class Called(nn.Module):
    """A module of PyTorch under the name that Glia's layer has."""

    def __init__(self, name, module, arguments=lambda *inputs: (inputs, {})):
        super().__init__()
        self.name, self.arguments = name, arguments
        self.add_module(name, module)

    def forward(self, *inputs):
        positional, named = self.arguments(*inputs)
        return getattr(self, self.name)(*positional, **named)


def causal(steps):
    return nn.Transformer.generate_square_subsequent_mask(steps)


def padded(x, lengths):
    return (x,), {"src_key_padding_mask": torch.arange(x.shape[1]) >= lengths[:, None]}


def looking(x, memory):
    return (x, memory), {"tgt_mask": causal(x.shape[1])}


def write(folder, name, module, options, inputs):
    kind = module.name if isinstance(module, Called) else type(module).__name__.lower()
    for p in module.parameters():  # nothing is at its neutral value
        if p.dim() == 1:
            p.data += 0.1 * torch.randn_like(p)
    inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
    result = module.train()(*inputs)
    cotangent = torch.randn_like(result)
    (result * cotangent).sum().backward()
    case = {f"input.{i}": x.detach() for i, x in enumerate(inputs)} | {"result": result.detach(), "cotangent": cotangent}
    case |= {f"gradient.{i}": x.grad for i, x in enumerate(inputs) if x.is_floating_point()}
    path = os.path.join(folder, name)
    save_file(module.state_dict(), f"{path}.weights.safetensors", {"model": f"{kind} {options}"})
    save_file({n: p.grad for n, p in module.named_parameters()}, f"{path}.gradients.safetensors")
    save_file({n: x.contiguous() for n, x in case.items()}, f"{path}.case.safetensors")


def tokens(*shape, below):
    return torch.randint(0, below, shape)


def main():
    folder, small = sys.argv[1], sys.argv[2:] == ["small"]
    torch.manual_seed(1)
    os.makedirs(folder, exist_ok=True)
    v, n, length, layers, heads, width = (11, 2, 6, 1, 2, 8) if small else (211, 3, 70, 3, 4, 64)
    write(folder, "gpt2", GPT2(v, length + 2, layers, heads, width),
          f"vocabulary={v} length={length + 2} layers={layers} heads={heads} width={width}",
          [tokens(n, length, below=v)])
    write(folder, "bert", Bert(v, length + 2, layers, heads, width, 3),
          f"vocabulary={v} length={length + 2} layers={layers} heads={heads} width={width} classes=3",
          [tokens(n, length, below=v), tokens(n, length, below=2), torch.arange(n) + length - n + 1])
    if small:
        return
    for norm in ("post", "pre"):
        layer = nn.TransformerEncoderLayer(width, heads, 96, 0.0, "gelu", batch_first=True, norm_first=norm == "pre")
        last = [nn.LayerNorm(width) if norm == "pre" else None for _ in range(2)]
        encoder = nn.TransformerEncoder(layer, layers, last[0], enable_nested_tensor=False)
        write(folder, f"encoder_{norm}", Called("transformer_encoder", encoder, padded),
              f"layers={layers} heads={heads} units=96 norm={norm}",
              [torch.randn(n, length, width), torch.arange(n) + length - n + 1])
        layer = nn.TransformerDecoderLayer(width, heads, 96, 0.0, "relu", batch_first=True, norm_first=norm == "pre")
        decoder = nn.TransformerDecoder(layer, layers, last[1])
        write(folder, f"decoder_{norm}", Called("transformer_decoder", decoder, looking),
              f"layers={layers} heads={heads} units=96 norm={norm} activation=relu",
              [torch.randn(n, length, width), torch.randn(n, 33, width)])


if __name__ == "__main__":
    main()
