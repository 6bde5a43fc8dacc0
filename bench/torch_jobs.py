#!/usr/bin/env python3
"""PyTorch's twin of glia_bench (bench/jobs.c): the same jobs, the same options, the same line of JSON.

Weights, examples with their order and made-up batches come from the file that `glia_bench --save` wrote, so that both do the
same work and the first losses must agree. Everything lies in memory as float32 and a batch is one indexing: the fast way
to feed PyTorch. Adam and SGD are the fused ones, gradients are set to None, denormal numbers are zeros. What may or may
not be faster is an option: --channels-last, --compile (torch.compile, with frozen weights where nothing is trained),
--threads; bench/run.sh tries each, and several allocators.

Usage: torch_jobs.py MODEL.yaml epoch|evaluate|forward|step|generate --load FILE [option ...]
"""
import argparse
import json
import os
import time
from contextlib import nullcontext

import numpy
import torch
from torch import nn

LOSSES = 10


# --- the networks, with the layers in the order of the model files ---------------------------------------------------

def mnist_cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5408, 10))


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
                         nn.Linear(512, 10))


def vgg16(classes=1000):
    layers, channels = [], 3
    for filters in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        layers += ([nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(inplace=True)] if filters
                   else [nn.MaxPool2d(2)])
        channels = filters or channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(25088, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5),
                         nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(4096, classes))


def vgg16_bn(classes=10):
    layers, channels = [], 3
    for filters in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        layers += ([nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
                   if filters else [nn.MaxPool2d(2)])
        channels = filters or channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, classes))


class Residual(nn.Module):
    """Two convolutions and what they are added to; called as in torchvision."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride > 1 or channels != filters:
            self.downsample = nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(nn.functional.relu(self.bn1(self.conv1(x)), inplace=True)))
        y += x if self.downsample is None else self.downsample(x)
        return nn.functional.relu(y, inplace=True)


class ResNet18(nn.Module):
    """For pictures of 32×32: the first convolution is 3×3 with steps of 1, and no pool follows."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        for i, (channels, filters) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512))):
            blocks = nn.Sequential(Residual(channels, filters, 1 + (i > 0)), Residual(filters, filters, 1))
            setattr(self, f"layer{i + 1}", blocks)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = nn.functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


class GPT2Block(nn.Module):
    """Called as in the transformers library, whose block this is."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(width, 3 * width), "c_proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x, cache, at):
        """cache: keys and values, [2, N, heads, steps, size], of which those of the first `at` steps are there; or None."""
        n, steps, width = x.shape
        q, k, v = (y.view(n, steps, self.heads, -1).transpose(1, 2)
                   for y in self.attn["c_attn"](self.ln_1(x)).split(width, 2))
        if cache is not None:
            end = at + steps
            cache[0, :, :, at:end], cache[1, :, :, at:end] = k, v
            k, v = cache[0, :, :, :end], cache[1, :, :, :end]
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=steps > 1)
        x = x + self.attn["c_proj"](y.transpose(1, 2).reshape(n, steps, width))
        return x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self, vocabulary=50257, length=1024, layers=12, heads=12, width=768):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.h = nn.ModuleList(GPT2Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, tokens, caches=None, at=0):
        """Logits of the token after each; with caches of the last one's alone."""
        x = self.wte(tokens) + self.wpe.weight[at:at + tokens.shape[1]]
        for i, block in enumerate(self.h):
            x = block(x, None if caches is None else caches[i], at)
        return nn.functional.linear(self.ln_f(x if caches is None else x[:, -1:]), self.wte.weight)


class LastState(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0][:, -1]


def lstm():
    return nn.Sequential(LastState(nn.LSTM(128, 256, batch_first=True)), nn.Linear(256, 10))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.001, fused=True)


def adam_small(parameters):
    return torch.optim.Adam(parameters, lr=0.0001, fused=True)


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=0.0003, momentum=0.9, weight_decay=0.0005, fused=True)


def nesterov(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=0.0005, nesterov=True, fused=True)


MODELS = {"mnist_cnn": (mnist_cnn, adam), "mlp": (mlp, adam), "vgg16": (vgg16, momentum),
          "vgg16_bn_cifar10": (vgg16_bn, nesterov), "resnet18_cifar10": (ResNet18, nesterov), "lstm": (lstm, adam),
          "gpt2": (GPT2, adam_small)}


class Safetensors:
    """The arrays of a file, read straight to where they belong, so that they are in memory once."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.header = json.loads(self.file.read(int.from_bytes(self.file.read(8), "little")))
        self.header.pop("__metadata__", None)
        self.start = self.file.tell()

    def read_to(self, name, array):
        t = self.header.pop(name)
        assert tuple(t["shape"]) == array.shape
        self.file.seek(self.start + t["data_offsets"][0])
        self.file.readinto(memoryview(array.detach().numpy()).cast("B"))

    def read(self, name):
        t = self.header[name]
        array = torch.empty(t["shape"], dtype={"F32": torch.float32, "I64": torch.int64}[t["dtype"]])
        self.read_to(name, array)
        return array


# --- the jobs --------------------------------------------------------------------------------------------------------

class Job:
    def __init__(self, a):
        self.a, self.losses, self.seconds = a, [], []
        make, optimizer = MODELS[os.path.basename(a.model).removesuffix(".yaml")]
        file = Safetensors(a.load)
        self.file = {name: file.read(name) for name in ("examples", "labels", "order", "inputs", "targets", "prompt")
                     if name in file.header}
        if make is GPT2 and "inputs" in self.file:
            self.file["inputs"] = self.file["inputs"].long()
        with torch.device("meta"):
            self.net = make()
        self.net = self.net.to_empty(device="cpu")
        self.load(file)
        for layer in self.net.modules():
            if isinstance(layer, nn.Dropout) and a.no_dropout:
                layer.p = 0.0
        if a.channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        self.training = a.what in ("epoch", "step")
        self.net.train(self.training)
        bf16 = a.precision == "bf16"
        if bf16 and not self.training:
            self.net = self.net.to(torch.bfloat16)
        self.cast = torch.autocast("cpu", torch.bfloat16) if bf16 and self.training else nullcontext()
        self.optimizer = optimizer(self.net.parameters()) if self.training else None
        for group in self.optimizer.param_groups if self.training and a.learning_rate else ():
            group["lr"] = a.learning_rate
        self.plain = self.net
        if a.compile:
            torch._inductor.config.freezing = not self.training
            self.net = torch.compile(self.net)

    def load(self, file):
        """By name where both call them alike, else in order; not the numbers of batches that a BatchNorm has seen."""
        arrays = {name: array for name, array in self.net.state_dict(keep_vars=True).items() if array.dim()}
        if arrays.keys() != file.header.keys():
            ordered = [array for layer in self.net for array in (*layer.parameters(), *layer.buffers()) if array.dim()]
            arrays = dict(zip(list(file.header), ordered, strict=True))
        for name, array in arrays.items():
            file.read_to(name, array)

    def place(self, x):
        x = x.contiguous(memory_format=torch.channels_last) if self.a.channels_last and x.dim() == 4 else x
        half = self.a.precision == "bf16" and not self.training and x.is_floating_point()
        return x.to(torch.bfloat16) if half else x

    def step(self, x, y):
        with self.cast:
            loss = nn.functional.cross_entropy(self.net(x).flatten(0, -2).float(), y.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def add_loss(self, loss):
        if len(self.losses) < LOSSES:
            self.losses.append(loss)

    def timed(self, run):
        start = time.perf_counter()
        result = run()
        self.seconds.append(time.perf_counter() - start)
        return result

    def epoch(self):
        x, y, order = self.place(self.file["examples"]), self.file["labels"], self.file["order"]
        batches = order.split(self.a.batch)
        for rows in batches[:2 * LOSSES] + batches[-1:]:  # not timed: these warm up, the smaller last one too
            self.add_loss(self.step(x[rows], y[rows]))
        for _ in range(self.a.repeats):
            rows = torch.randperm(len(x))[:self.a.examples].split(self.a.batch)
            self.timed(lambda: sum(self.step(x[r], y[r]) * len(r) for r in rows))

    @torch.inference_mode()
    def evaluate(self):
        x, y = self.place(self.file["examples"][:self.a.examples]), self.file["labels"]
        right = loss = 0

        def run():
            nonlocal right, loss
            right = loss = 0
            for at in range(0, len(x), self.a.batch):
                logits, target = self.net(x[at:at + self.a.batch]), y[at:at + self.a.batch]
                loss += nn.functional.cross_entropy(logits.float(), target, reduction="sum").item()
                right += (logits.argmax(1) == target).sum().item()
        run()
        self.losses = [loss / len(x), right / len(x)]
        for _ in range(self.a.repeats):
            self.timed(run)

    @torch.inference_mode()
    def forward(self):
        x = self.place(self.file["inputs"])
        logits = self.net(x).float()
        self.add_loss(nn.functional.cross_entropy(logits.flatten(0, -2), self.file["targets"].flatten()).item())
        self.add_loss(logits.square().mean().sqrt().item())
        self.net(x)
        for _ in range(self.a.repeats):
            self.timed(lambda: self.net(x))

    def steps(self):
        x, y = self.place(self.file["inputs"]), self.file["targets"]
        for _ in range(3):
            self.add_loss(self.step(x, y))
        for _ in range(self.a.repeats):
            self.add_loss(self.timed(lambda: self.step(x, y)))

    @torch.inference_mode()
    def generate(self):
        """Greedy, with a cache of keys and values; a run is a token after the first."""
        prompt, tokens = self.file["prompt"], 64
        heads, (vocabulary, width) = self.plain.h[0].heads, self.plain.wte.weight.shape
        shape = (len(self.plain.h), 2, 1, heads, prompt.shape[1] + tokens, width // heads)
        for repeat in range(1 + self.a.repeats):
            caches = torch.zeros(shape, dtype=self.plain.wte.weight.dtype)
            token = self.plain(prompt, caches).argmax(-1)
            said, start = [token], time.perf_counter()
            for at in range(prompt.shape[1], shape[4] - 1):
                token = self.net(token, caches, at).argmax(-1)
                said.append(token)
            if repeat:
                self.seconds.append((time.perf_counter() - start) / (tokens - 1))
        self.losses = [float(token) for token in said[:LOSSES]]

    def run(self):
        {"epoch": self.epoch, "evaluate": self.evaluate, "forward": self.forward, "step": self.steps,
         "generate": self.generate}[self.a.what]()


def peak_megabytes():
    with open("/proc/self/status") as file:
        kilobytes = [line.split()[1] for line in file if line.startswith("VmHWM:")]
    return int(kilobytes[0]) * 1024 / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("what", choices=("epoch", "evaluate", "forward", "step", "generate"))
    parser.add_argument("--load", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--examples", type=int)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--input", help="taken from the file")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("overrides", nargs="*",
                        help="as for glia_bench; of them count KEY.rate=0, no dropout, and KEY.learning_rate=NUMBER")
    a = parser.parse_intermixed_args()
    a.no_dropout = any(word.endswith(".rate=0") for word in a.overrides)
    a.learning_rate = next((float(word.split("=")[1]) for word in a.overrides if ".learning_rate=" in word), None)
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    job = Job(a)
    job.run()
    print(json.dumps({"model": a.model, "what": a.what, "batch": a.batch, "losses": job.losses, "seconds": job.seconds,
                      "peak_mb": round(peak_megabytes(), 1), "torch": torch.__version__,
                      "isa": torch.backends.cpu.get_cpu_capability()}))


if __name__ == "__main__":
    main()
