#!/usr/bin/env python3
"""Writes tests/data/zoo.txt: networks of src/zoo written in plain PyTorch, with the names of their models there, computed in f64: what they
say outside of training, their loss in training, and of each parameter's gradient the length and the product with a hash. The first number
after `net` is the length of the whole gradient.

Run by hand: python tools/parity/zoo.py > tests/data/zoo.txt
Weights and images are hashes of their index and name, so that no file is needed for them; tests/test_zoo_parity.c does the
same. With `--save DIR` nothing is computed; each network goes to DIR: weights in f32, as PyTorch saves them, and a model file.
"""
import argparse
import copy
import os
import sys

import numpy
import torch
from torch import nn

BATCH, CLASSES = 4, 5


def hashed(name, count):
    """splitmix64 of the index, salted by the FNV-1a hash of the name, as a number in [-1, 1)."""
    salt = 2166136261
    for byte in name.encode():
        salt = (salt ^ byte) * 16777619 % 2**32
    with numpy.errstate(over="ignore"):
        z = (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(1 + salt * 1000003)) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return torch.from_numpy((2 * ((z >> numpy.uint64(40)).astype(numpy.float64) / 2**24) - 1).astype(numpy.float32)).double()


# --- the networks ------------------------------------------------------------------------------------------------------------

def conv_norm(channels, filters, kernel, stride=1, groups=1):
    return (nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(filters))


class Block(nn.Module):
    def __init__(self, channels, width, stride, bottleneck):
        super().__init__()
        out = 4 * width if bottleneck else width
        if bottleneck:
            self.conv1, self.bn1 = conv_norm(channels, width, 1)
            self.conv2, self.bn2 = conv_norm(width, width, 3, stride)
            self.conv3, self.bn3 = conv_norm(width, out, 1)
        else:
            self.conv1, self.bn1 = conv_norm(channels, width, 3, stride)
            self.conv2, self.bn2 = conv_norm(width, width, 3)
        self.bottleneck = bottleneck
        self.downsample = nn.Sequential(*conv_norm(channels, out, 1, stride)) if stride > 1 or channels != out else None

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, blocks, bottleneck, small):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(3, 64, 3 if small else 7, 1 if small else 2)
        self.small, channels = small, 64
        for i, count in enumerate(blocks):
            stage = []
            for k in range(count):
                stage.append(Block(channels, 64 << i, 2 if i and not k else 1, bottleneck))
                channels = (64 << i) * (4 if bottleneck else 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


class VGG(nn.Module):
    def __init__(self, convs, normalised, units):
        super().__init__()
        layers, channels = [], 3
        for group, count in enumerate(convs):
            for _ in range(count):
                filters = min(64 << group, 512)
                layers += [nn.Conv2d(channels, filters, 3, padding=1)]
                layers += [nn.BatchNorm2d(filters)] if normalised else []
                layers += [nn.ReLU()]
                channels = filters
            layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(512, units), nn.ReLU(), nn.Dropout(0), nn.Linear(units, units), nn.ReLU(),
                                        nn.Dropout(0), nn.Linear(units, CLASSES))

    def forward(self, x):
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class Inverted(nn.Module):
    def __init__(self, channels, times, filters, stride):
        super().__init__()
        wide, layers = times * channels, []
        if times > 1:
            layers += [nn.Sequential(*conv_norm(channels, wide, 1), nn.ReLU6())]
        layers += [nn.Sequential(*conv_norm(wide, wide, 3, stride, wide), nn.ReLU6()), *conv_norm(wide, filters, 1)]
        self.conv = nn.Sequential(*layers)
        self.added = stride == 1 and channels == filters

    def forward(self, x):
        return x + self.conv(x) if self.added else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        layers, channels = [nn.Sequential(*conv_norm(3, 32, 3, 2), nn.ReLU6())], 32
        for times, filters, blocks, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                               (6, 160, 3, 2), (6, 320, 1, 1)):
            for i in range(blocks):
                layers.append(Inverted(channels, times, filters, 1 if i else stride))
                channels = filters
        layers.append(nn.Sequential(*conv_norm(320, 1280, 1), nn.ReLU6()))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0), nn.Linear(1280, CLASSES))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class UNet(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.depth = depth
        self.inc = Double(3, width)
        for i in range(depth):
            down = nn.Module()
            down.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), Double(width << i, width << (i + 1)))
            setattr(self, f"down{i + 1}", down)
            up, filters = nn.Module(), width << (depth - 1 - i)
            up.up, up.conv = nn.ConvTranspose2d(2 * filters, filters, 2, 2), Double(2 * filters, filters)
            setattr(self, f"up{i + 1}", up)
        self.outc = nn.Module()
        self.outc.conv = nn.Conv2d(width, CLASSES, 1)

    def forward(self, x):
        levels = [self.inc(x)]
        for i in range(self.depth):
            levels.append(getattr(self, f"down{i + 1}").maxpool_conv(levels[-1]))
        x = levels.pop()
        for i in range(self.depth):
            up = getattr(self, f"up{i + 1}")
            x = up.conv(torch.cat([levels.pop(), up.up(x)], 1))
        return self.outc.conv(x)


class Double(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()
        self.double_conv = nn.Sequential(*conv_norm(channels, filters, 3), nn.ReLU(), *conv_norm(filters, filters, 3), nn.ReLU())

    def forward(self, x):
        return self.double_conv(x)


class ViTBlock(nn.Module):
    def __init__(self, width, heads, units):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, units), nn.GELU(), nn.Dropout(0), nn.Linear(units, width))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class ViT(nn.Module):
    def __init__(self, side, patch, width, layers, heads, units):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder, self.heads = nn.Module(), nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.zeros(1, 1 + (side // patch) ** 2, width))
        self.encoder.layers = nn.Sequential()
        for i in range(layers):
            self.encoder.layers.add_module(f"encoder_layer_{i}", ViTBlock(width, heads, units))
        self.encoder.ln = nn.LayerNorm(width, eps=1e-6)
        self.heads.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.encoder.pos_embedding
        return self.heads.head(self.encoder.ln(self.encoder.layers(x))[:, 0])


# Name, Glia's layer and options, side of the images, network.
NETS = [
    ("resnet18", "resnet", "depth=18 classes=5 stem=cifar", 16, lambda: ResNet((2, 2, 2, 2), False, True)),
    ("resnet50", "resnet", "depth=50 classes=5", 64, lambda: ResNet((3, 4, 6, 3), True, False)),
    ("vgg11", "vgg", "depth=11 classes=5 units=48 pool=1 dropout=0", 32, lambda: VGG((1, 1, 2, 2, 2), False, 48)),
    ("vgg13_bn", "vgg", "depth=13 batch_norm=yes classes=5 units=48 pool=1 dropout=0", 32,
     lambda: VGG((2, 2, 2, 2, 2), True, 48)),
    ("mobilenet_v2", "mobilenet_v2", "classes=5 dropout=0", 64, MobileNetV2),
    ("vit", "vit", "patch=4 width=24 layers=2 heads=3 units=40 classes=5", 16, lambda: ViT(16, 4, 24, 2, 3, 40)),
    ("unet", "unet", "classes=5 width=8 depth=2", 16, lambda: UNet(8, 2)),
]


def fill(net):
    """Weights of the size that He's initialiser gives. Normalised channels lie wholly on one side of their corner or the other (six and more
    deviations away): one activation that rounding puts on its other side would change gradients by 1 part in 1,000."""
    with torch.no_grad():
        for name, p in net.state_dict().items():
            if not p.dim():
                continue
            h = hashed(name, p.numel()).reshape(p.shape)
            if p.dim() > 1:
                p.copy_((h * (6 / p[0].numel()) ** 0.5).float())
            elif name.endswith("running_mean"):
                p.copy_((h / 8).float())
            elif name.endswith("running_var"):
                p.copy_((1 + h / 4).float())
            elif name.endswith("bias"):
                p.copy_((3 * h.sign() + h / 4).float())
            else:
                p.copy_((0.4 + h / 16).float())


def train(net, x):
    """The loss and the gradients."""
    net.train()
    net.zero_grad()
    y = net(x)
    labels = torch.arange(y.numel() // CLASSES) % CLASSES
    loss = nn.functional.cross_entropy(y, labels.reshape(BATCH, *y.shape[2:]))
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in net.named_parameters()}


def save(net, path, layer, options, side):
    """Weights in f32, and a model file for them, whose first line has the side of its pictures."""
    from safetensors.torch import save_file
    save_file({n: p.float().contiguous() for n, p in net.state_dict().items()}, path + ".safetensors")
    settings = options.replace(" ", ", ").replace("=", ": ")
    with open(path + ".yaml", "w") as file:
        file.write(f"# 3x{side}x{side}\ndata: {{source: mnist}}\nmodel: {{{layer}: {{{settings}}}}}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--save")
    a = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    print(f"# torch {torch.__version__.split('+')[0]}, f64; made by tools/parity/zoo.py")
    for name, layer, options, side, make in NETS:
        net = make()
        fill(net)
        if a.save:
            save(net, os.path.join(a.save, name), layer, options, side)
            continue
        x = hashed("image", BATCH * 3 * side * side).reshape(BATCH, 3, side, side)
        logits = net.eval()(x)
        loss, gradients = train(net, x)
        _, rounded = train(copy.deepcopy(net).float(), x.float())
        length = sum(g.square().sum().item() for g in gradients.values()) ** 0.5
        apart = max((rounded[n] - g).norm().item() for n, g in gradients.items()) / length
        print(f"{name}: PyTorch's own gradients in f32 are {apart:.1e} of the whole one apart", file=sys.stderr)
        print(f"net {length:.7g} {layer} {side} {options}")
        print("logits", " ".join(f"{v:.7g}" for v in logits.flatten()[:BATCH * CLASSES].tolist()))
        print(f"loss {loss:.8g}")
        for n, g in gradients.items():
            print(f"{n} {g.norm().item():.7g} {(g.flatten() * hashed('product', g.numel())).sum().item():.7g}")


main()
