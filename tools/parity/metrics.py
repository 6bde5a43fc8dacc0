#!/usr/bin/env python3
"""Writes tests/data/metrics.txt: figures of classifiers and regressions by numpy, from their definitions (those of
scikit-learn), areas by comparing all pairs and by visiting all thresholds.

Run by hand: python tools/parity/metrics.py > tests/data/metrics.txt
Score i is round(4·sin(1.3 i))/2, which makes ties; class i is (5 i + i² / 7) % classes; number i is cos(i) + score i / 3.
tests/test_figures.c computes the same.
"""
import numpy as np


def scores(count):
    return np.round(4 * np.sin(1.3 * np.arange(count))) / 2


def labels(count, classes):
    i = np.arange(count)
    return (5 * i + i * i // 7) % classes


def roc_auc(score, positive):
    above = score[positive][:, None] - score[~positive][None, :]
    return np.mean((above > 0) + 0.5 * (above == 0))


def pr_auc(score, positive):
    area, recall = 0, 0
    for threshold in np.unique(score)[::-1]:
        found = score >= threshold
        now = np.sum(found & positive) / np.sum(positive)
        area += (now - recall) * np.sum(found & positive) / np.sum(found)
        recall = now
    return area


def show(name, values):
    print("case", name)
    for key, value in values.items():
        print(key, f"{value:.12g}")


def classifier(y, found, p):
    classes = p.shape[1]
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (y, found), 1)
    hits, true, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    n, there = len(y), confusion.sum(1) > 0
    spread = np.sqrt(n * n - np.sum(predicted ** 2)) * np.sqrt(n * n - np.sum(true ** 2))
    log_loss = -np.mean(np.log(p[np.arange(n), y]))
    which = [1] if classes == 2 else range(classes)
    return {"accuracy": np.mean(y == found), "balanced_accuracy": np.mean(hits[there] / true[there]),
            "mcc": (hits.sum() * n - np.sum(true * predicted)) / spread,
            "mean_iou": np.mean(hits / (true + predicted - hits)), "dice": np.mean(2 * hits / (true + predicted)),
            "f1": np.mean(2 * hits / (true + predicted)), "log_loss": log_loss, "perplexity": np.exp(log_loss),
            "roc_auc": np.mean([roc_auc(p[:, k], y == k) for k in which]),
            "pr_auc": np.mean([pr_auc(p[:, k], y == k) for k in which])}


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def main():
    print(f"# numpy {np.__version__}, f64; made by tools/parity/metrics.py")
    n = 60
    x, y = scores(n), labels(n, 2)
    p = 1 / (1 + np.exp(-x))
    show("one_unit", classifier(y, (x > 0).astype(int), np.stack([1 - p, p], 1)))
    x, y = scores(4 * n).reshape(n, 4), labels(n, 4)
    p = softmax(x)
    values = classifier(y, x.argmax(1), p)
    show("four_classes", values)
    h = scores(2 * n).reshape(n, 2)
    y = np.cos(np.arange(2 * n)).reshape(n, 2) + h / 3
    e = h - y
    show("numbers", {"mae": np.mean(np.abs(e)), "rmse": np.sqrt(np.mean(e * e)), "mape": np.mean(np.abs(e) / np.abs(y)),
                     "r2": np.mean(1 - np.sum(e * e, 0) / np.sum((y - y.mean(0)) ** 2, 0))})


if __name__ == "__main__":
    main()
