#!/usr/bin/env python3
"""Trains 64 factors on the Gowalla split with this project and with the Python package `implicit`,
in turns, with 2 threads each, and prints seconds per epoch and Recall@20 of both.

    SETLIST_GOWALLA=<folder with train.txt and test.txt> scripts/bench/ials_vs_implicit.py [rounds] [binary]

`binary` is the example `ials`, already built; without it, cargo builds and runs it. "setlist" trains as the
defaults say; "setlist, plain" does what `implicit` does. The time of an epoch is the mean, so that what
happens once (our first epoch spreads the initial factors) counts.

Run it with a Python that has `implicit`. Other work on the machine disturbs both; take a quiet one.
"""
import json, os, statistics, subprocess, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as implicit asks: its own threads do the work
import numpy as np
import scipy.sparse as sparse
from implicit.als import AlternatingLeastSquares

FACTORS, EPOCHS, THREADS, K = 64, 10, 2, 20


def read(path):
    rows, columns = [], []
    with open(path) as lines:
        for line in lines:
            user, *items = map(int, line.split()) if line.strip() else (0,)
            rows += [user] * len(items)
            columns += items
    return np.array(rows), np.array(columns)


def recall(users, items, train, test):
    total, count = 0.0, 0
    for start in range(0, users.shape[0], 1024):
        scores = users[start:start + 1024] @ items.T
        for at, row in enumerate(scores):
            user = start + at
            held = test.indices[test.indptr[user]:test.indptr[user + 1]]
            if len(held):
                row[train.indices[train.indptr[user]:train.indptr[user + 1]]] = -np.inf
                total += len(np.intersect1d(np.argpartition(-row, K)[:K], held)) / len(held)
                count += 1
    return total / count


def theirs(train, test, alpha, regularization):
    model = AlternatingLeastSquares(factors=FACTORS, iterations=EPOCHS, alpha=alpha, regularization=regularization,
                                    num_threads=THREADS, use_gpu=False, random_state=1)
    seconds = []
    model.fit(train, show_progress=False, callback=lambda *step: seconds.append(step[1]))
    return seconds, recall(model.user_factors, model.item_factors, train, test)


def ours(folder, binary, *settings):
    command = [binary] if binary else ["cargo", "run", "--release", "-q", "-p", "learning", "--example", "ials", "--"]
    out = subprocess.run([*command, folder, f"factors={FACTORS}", f"threads={THREADS}", *settings],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    report = json.loads(out)
    row = next(row for row in report["rows"] if row["name"] == "factors" and row["k"] == K)
    return report["epochs"], row["recall"]["mean"]


def main():
    folder = os.environ.get("SETLIST_GOWALLA")
    if not folder:
        sys.exit("SETLIST_GOWALLA must name the folder that holds train.txt and test.txt")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    binary = sys.argv[2] if len(sys.argv) > 2 else None
    plain = (f"epochs={EPOCHS}", "alpha=100", "regularisation=0.003", "item_damping=0", "user_damping=0", "spread=false", "fading=0")
    (tu, ti), (hu, hi) = (read(os.path.join(folder, name)) for name in ("train.txt", "test.txt"))
    shape = (max(tu.max(), hu.max()) + 1, max(ti.max(), hi.max()) + 1)
    train, test = (sparse.csr_matrix((np.ones(len(u), np.float32), (u, i)), shape=shape) for u, i in ((tu, ti), (hu, hi)))
    seconds, reached = {"implicit": [], "setlist": [], "setlist, plain": []}, {}
    for _ in range(rounds):
        for name, run in (("implicit", lambda: theirs(train, test, 100.0, 100.0)), ("setlist", lambda: ours(folder, binary)),
                          ("setlist, plain", lambda: ours(folder, binary, *plain))):
            walls, reached[name] = run()
            seconds[name] += walls
    print(f"{'':16}{'mean s':>10}{'best s':>10}{'Recall@20':>11}")
    for name, walls in seconds.items():
        print(f"{name:16}{statistics.mean(walls):10.3f}{min(walls):10.3f}{reached[name]:11.4f}")
    for name in ("setlist", "setlist, plain"):
        print(f"{name} / implicit, mean: {statistics.mean(seconds[name]) / statistics.mean(seconds['implicit']):.2f}")


if __name__ == "__main__":
    main()
