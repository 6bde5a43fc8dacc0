"""The character GPT of examples/shakespeare_gpt.yaml in PyTorch, as nanoGPT trains it: time and validation loss.

python bench/char_gpt_torch.py $GLIA_DATA/tinyshakespeare/input.txt [--steps 2000] [--learning-rate 0.001]
"""

import argparse
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

LAYERS, HEADS, WIDTH, CONTEXT, BATCH = 4, 4, 128, 64, 12


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc, self.fc_proj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (y.view(n, t, HEADS, -1).transpose(1, 2) for y in self.attn(self.ln_1(x)).split(WIDTH, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.fc_proj(F.gelu(self.fc(self.ln_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.ln = nn.LayerNorm(WIDTH)
        for name, p in self.named_parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, 0.02 / math.sqrt(2 * LAYERS) if "proj" in name else 0.02)
            elif "bias" in name:
                nn.init.zeros_(p)

    def forward(self, x, y):
        h = self.ln(self.blocks(self.wte(x) + self.wpe.weight[: x.shape[1]]))
        return F.cross_entropy((h @ self.wte.weight.T).flatten(0, 1), y.flatten())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    torch.manual_seed(o.seed)
    text = open(o.text, encoding="utf-8").read()
    number = {c: i for i, c in enumerate(sorted(set(text)))}
    data = torch.tensor([number[c] for c in text])
    cut = int(0.9 * len(data))
    train, held = data[:cut], data[cut:]
    model = GPT(len(number))
    groups = [{"params": [p for p in model.parameters() if (p.dim() > 1) == decays], "weight_decay": 0.1 * decays}
              for decays in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=o.learning_rate, betas=(0.9, 0.99))
    start = time.perf_counter()
    for step in range(o.steps):
        share = max(0.0, (step - 100) / max(o.steps - 100, 1))
        rate = (step + 1) / 101 if step < 100 else 0.1 + 0.45 * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = o.learning_rate * rate
        at = torch.randint(len(train) - CONTEXT, (BATCH,))
        x = torch.stack([train[i : i + CONTEXT] for i in at])
        y = torch.stack([train[i + 1 : i + 1 + CONTEXT] for i in at])
        optimizer.zero_grad(set_to_none=True)
        model(x, y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    seconds = time.perf_counter() - start
    windows = (len(held) - 1) // CONTEXT
    x, y = (held[k : k + windows * CONTEXT].view(windows, CONTEXT) for k in (0, 1))
    with torch.no_grad():
        loss = sum(model(a, b).item() * len(a) for a, b in zip(x.split(256), y.split(256))) / windows
    print(f"PyTorch {torch.__version__}: {o.steps} steps in {seconds:.1f} s, validation loss {loss:.4f}")


main()
