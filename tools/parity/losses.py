#!/usr/bin/env python3
"""Writes tests/data/losses.txt: losses by PyTorch in f64, with their gradients by the first input.

Run by hand: python tools/parity/losses.py > tests/data/losses.txt
Element i of the predictions is 2·sin(i + 1). Class i of n is (3 i + 2) % classes, numbers are cos(i) (of distributions:
softmax of them over the last dimension; counts: i % 4). tests/test_losses.c computes the same.
A case is: the words of the model file, the shape of the predictions, the kind of target; loss; gradient.
"""
import torch
import torch.nn.functional as F

WEIGHTS = [1, 2, 0.5, 3, 1]


def predictions(shape):
    return (2 * torch.sin(torch.arange(torch.Size(shape).numel(), dtype=torch.float64) + 1)).reshape(shape)


def classes(shape, count):
    return ((3 * torch.arange(torch.Size(shape).numel()) + 2) % count).reshape(shape)


def numbers(shape):
    return torch.cos(torch.arange(torch.Size(shape).numel(), dtype=torch.float64)).reshape(shape)


def counts(shape):
    return (torch.arange(torch.Size(shape).numel(), dtype=torch.float64) % 4).reshape(shape)


def cross_entropy(x, y, **options):
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"], dtype=torch.float64)
    return F.cross_entropy(x.reshape(-1, x.shape[-1]), y.reshape(-1), **options)


def hot(x, y):
    return F.one_hot(y, x.shape[-1]).to(x.dtype)


def focal(x, y, gamma=2, alpha=0.25):
    # torchvision.ops.sigmoid_focal_loss
    y = hot(x, y)
    p = torch.sigmoid(x)
    entropy = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    p_t = p * y + (1 - p) * (1 - y)
    loss = entropy * (1 - p_t) ** gamma
    return ((alpha * y + (1 - alpha) * (1 - y)) * loss if alpha >= 0 else loss).mean()


def overlap(x, y):
    p, y = torch.softmax(x, -1), hot(x, y)
    places = tuple(range(1, x.dim() - 1))
    return [t.sum(places) if places else t for t in (p * y, p, y)]


def dice(x, y):
    both, p, y = overlap(x, y)
    return (1 - (2 * both + 1) / (p + y + 1)).mean()


def jaccard(x, y):
    both, p, y = overlap(x, y)
    return (1 - (both + 0.5) / (p + y - both + 0.5)).mean()


def kl(x, y):
    return F.kl_div(torch.log_softmax(x, -1), torch.softmax(y, -1), reduction="batchmean")


def gaussian(x, y):
    k = x.shape[-1] // 2
    return F.gaussian_nll_loss(x[:, :k], y[:, :k], torch.exp(x[:, k:]))


def hinge(x, y):
    return F.relu(1 - (2 * hot(x, y) - 1) * x).mean()


def cosine(x, y):
    return F.cosine_embedding_loss(x, y, torch.ones(len(x), dtype=x.dtype))


CASES = [
    ("softmax_cross_entropy", (6, 5), "classes", cross_entropy),
    ("softmax_cross_entropy label_smoothing=0.1", (6, 5), "classes",
     lambda x, y: cross_entropy(x, y, label_smoothing=0.1)),
    ("softmax_cross_entropy class_weights=1,2,0.5,3,1", (6, 5), "classes",
     lambda x, y: cross_entropy(x, y, weight=WEIGHTS)),
    ("softmax_cross_entropy label_smoothing=0.2 ignore_index=2 class_weights=1,2,0.5,3,1", (6, 5), "classes",
     lambda x, y: cross_entropy(x, y, weight=WEIGHTS, label_smoothing=0.2, ignore_index=2)),
    ("softmax_cross_entropy ignore_index=0", (3, 4, 5), "classes",
     lambda x, y: cross_entropy(x, y, ignore_index=0)),
    ("softmax_cross_entropy label_smoothing=0.1", (3, 4, 5), "classes",
     lambda x, y: cross_entropy(x, y, label_smoothing=0.1)),
    ("sigmoid_cross_entropy", (6, 5), "classes",
     lambda x, y: F.binary_cross_entropy_with_logits(x, hot(x, y))),
    ("focal", (6, 5), "classes", focal),
    ("focal gamma=3 alpha=-1", (3, 4, 5), "classes", lambda x, y: focal(x, y, 3, -1)),
    ("dice", (3, 4, 5), "classes", dice),
    ("jaccard smooth=0.5", (3, 4, 5), "classes", jaccard),
    ("hinge", (6, 5), "classes", hinge),
    ("kl_divergence", (6, 5), "distributions", kl),
    ("poisson", (6, 5), "counts", lambda x, y: F.poisson_nll_loss(x, y)),
    ("gaussian_nll", (6, 4), "halves", gaussian),
    ("cosine", (6, 5), "numbers", cosine),
    ("mse", (6, 5), "numbers", F.mse_loss),
    ("mae", (6, 5), "numbers", F.l1_loss),
    ("huber delta=0.5", (6, 5), "numbers", lambda x, y: F.huber_loss(x, y, delta=0.5)),
]


def shifted(shape, step):
    return (2 * torch.sin(step * torch.arange(torch.Size(shape).numel(), dtype=torch.float64) + step)).reshape(shape)


def contrastive(a, b, y):
    d = F.pairwise_distance(a, b)
    return (0.5 * (y * d ** 2 + (1 - y) * F.relu(3 - d) ** 2)).mean()


def info_nce(a, b):
    scores = F.normalize(a) @ F.normalize(b).T / 0.2
    return F.cross_entropy(scores, torch.arange(len(a)))


def show(name, value):
    print(name, " ".join(f"{v:.10g}" for v in value.flatten().tolist()))


def main():
    print(f"# torch {torch.__version__.split('+')[0]}, f64; made by tools/parity/losses.py")
    for text, shape, kind, loss in CASES:
        x = predictions(shape).requires_grad_()
        y = {"classes": lambda: classes(shape[:-1], shape[-1]), "distributions": lambda: numbers(shape),
             "counts": lambda: counts(shape), "numbers": lambda: numbers(shape),
             "halves": lambda: numbers(shape)}[kind]()
        value = loss(x, y)
        value.backward()
        print("case", kind, "x".join(str(d) for d in shape), text)
        show("loss", value)
        show("gradient", x.grad)
    a, b, c = (shifted((4, 3), step) for step in (1, 0.7, 0.3))
    y = torch.tensor([1.0, 0, 0, 1], dtype=torch.float64)
    for name, loss in [("triplet", lambda a: F.triplet_margin_loss(a, b, c, margin=2)),
                       ("contrastive", lambda a: contrastive(a, b, y)), ("info_nce", lambda a: info_nce(a, b)),
                       ("bpr", lambda a: -F.logsigmoid(a - b).mean())]:
        x = a.clone().requires_grad_()
        value = loss(x)
        value.backward()
        print("embeddings", name)
        show("loss", value)
        show("gradient", x.grad)
    # ctc: steps of example n, labels that end at −100; the third does not fit, the fourth has none
    x = predictions((4, 6, 5)).requires_grad_()
    labels = torch.tensor([[1, 2, 0], [3, 3, 1], [1, 1, 1], [0, 0, 0]])
    lengths, counts_of = torch.tensor([6, 5, 4, 6]), torch.tensor([2, 3, 3, 0])
    value = F.ctc_loss(F.log_softmax(x, -1).transpose(0, 1), labels, lengths, counts_of, reduction="none",
                       zero_infinity=True)
    (value * torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)).sum().backward()
    print("ctc")
    show("loss", value)
    show("gradient", x.grad)


if __name__ == "__main__":
    main()
