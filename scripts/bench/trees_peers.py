#!/usr/bin/env python3
"""Trains LightGBM, CatBoost and the trees of this project on the same rows. scripts/bench/trees calls it.

    trees_peers.py ranking <example trees> dataset=<folder> [trees=300] [seeds=5] [folds=3] [threads=2]
    trees_peers.py binary <example trees> [rows=1000000] [columns=80] [trees=300] [threads=2] [rounds=1] [only=a,b]

ranking: for each seed the training queries are divided into folds; each engine takes the best of the same eight settings
(rate, size of trees, share of columns) by mean NDCG@10 over the folds, is trained on all training queries and measured
on the test queries. One function measures all. 95 % intervals by bootstrap over the test queries.

binary: rows are generated from a rule with steps, products and waves, some numbers missing. Seconds are of training with
binning, reading aside: processor seconds of all threads, and of the wall.
"""
import json, os, resource, subprocess, sys, tempfile, time
import numpy as np


def trained_here(binary, folder, train, test, **settings):
    """Trains with the example; gives scores of the test file and its report."""
    scores = os.path.join(folder, "scores")
    command = [binary, f"train={train}", f"test={test}", f"scores={scores}", "quiet=true"]
    out = subprocess.run(command + [f"{name}={value}" for name, value in settings.items()], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return np.loadtxt(scores), json.loads(out)


# ---- ranking ----

def read_svm(path):
    labels, rows, width = [], [], 0
    for line in open(path):
        label, *words = line.split()
        labels.append(float(label))
        rows.append({int(c): float(v) for c, v in (word.split(":") for word in words)})
        width = max(width, max(rows[-1], default=0) + 1)
    table = np.zeros((len(rows), width), np.float32)
    for at, row in enumerate(rows):
        table[at, list(row)] = list(row.values())
    return np.array(labels), table, np.loadtxt(path + ".query", dtype=int)


def write_svm(path, labels, table, groups):
    with open(path, "w") as out:
        for label, row in zip(labels, table):
            columns = np.nonzero(row)[0]
            out.write(f"{label:g} " + " ".join(f"{c}:{row[c]:.6g}" for c in columns) + "\n")
    np.savetxt(path + ".query", groups, fmt="%d")


def ndcg(labels, scores, groups, at=10):
    values, start = [], 0
    for size in groups:
        gains = 2.0 ** labels[start:start + size] - 1
        discounts = 1 / np.log2(np.arange(2, size + 2))
        discounts[at:] = 0
        best = (np.sort(gains)[::-1] * discounts).sum()
        if best > 0:
            order = np.argsort(-scores[start:start + size], kind="stable")
            values.append((gains[order] * discounts).sum() / best)
        start += size
    return np.array(values)


def take(part, queries):
    labels, table, groups = part
    starts = np.concatenate([[0], np.cumsum(groups)])
    rows = np.concatenate([np.arange(starts[q], starts[q + 1]) for q in queries])
    return labels[rows], table[rows], groups[queries]


def rank_lightgbm(train, test, trees, seed, threads, rate, depth, share, **_):
    import lightgbm
    labels, table, groups = train
    model = lightgbm.LGBMRanker(objective="lambdarank", n_estimators=trees, learning_rate=rate, num_leaves=2 ** depth - 1,
                                colsample_bytree=share, min_child_samples=20, random_state=seed, n_jobs=threads, verbose=-1)
    model.fit(table, labels, group=groups)
    return model.predict(test[1])


def rank_catboost(train, test, trees, seed, threads, rate, depth, share, **_):
    import catboost
    labels, table, groups = train
    pool = catboost.Pool(table, labels, group_id=np.repeat(np.arange(len(groups)), groups))
    model = catboost.CatBoost(dict(loss_function="YetiRank", iterations=trees, learning_rate=rate, depth=depth, rsm=share,
                                   random_seed=seed, thread_count=threads, verbose=False, allow_writing_files=False))
    model.fit(pool)
    return model.predict(test[1])


def rank_setlist(train, test, trees, seed, threads, rate, depth, share, binary, folder):
    paths = [os.path.join(folder, name) for name in ("train.svm", "test.svm")]
    for path, part in zip(paths, (train, test)):
        write_svm(path, *part)
    return trained_here(binary, folder, *paths, objective="lambdarank", trees=trees, seed=seed, threads=threads, rate=rate,
                        depth=depth, columns=share, min_weight=0.001, l2=1)[0]


def ranking(binary, dataset, trees=300, seeds=5, folds=3, threads=2, only="lightgbm,catboost,setlist"):
    train, test = (read_svm(os.path.join(dataset, name)) for name in ("rank.train", "rank.test"))
    width = max(train[1].shape[1], test[1].shape[1])
    train, test = ((l, np.pad(t, ((0, 0), (0, width - t.shape[1]))), g) for l, t, g in (train, test))
    grid = [dict(rate=rate, depth=depth, share=share) for rate in (0.03, 0.1) for depth in (4, 6) for share in (0.5, 1.0)]
    engines = dict(lightgbm=rank_lightgbm, catboost=rank_catboost, setlist=rank_setlist)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in only.split(","):
            fit, found[name] = engines[name], []
            for seed in range(1, seeds + 1):
                parts = np.array_split(np.random.default_rng(seed).permutation(len(train[2])), folds)
                common = dict(trees=trees, seed=seed, threads=threads, binary=binary, folder=folder)

                def validated(settings):
                    values = []
                    for fold in parts:
                        rest = np.setdiff1d(np.arange(len(train[2])), fold)
                        held = take(train, np.sort(fold))
                        scores = fit(take(train, rest), held, **common, **settings)
                        values.append(ndcg(held[0], scores, held[2]))
                    return np.concatenate(values).mean()
                best = max(grid, key=validated)
                values = ndcg(test[0], fit(train, test, **common, **best), test[2])
                found[name].append(values)
                print(f"{name:10} seed {seed}: {values.mean():.4f}  {best}", flush=True)
    print(f"\nNDCG@10 of {len(test[2])} test queries, mean of {seeds} seeds, {trees} trees [95 % over queries; lowest and highest seed]")
    random = np.random.default_rng(0)
    means = {name: np.mean(values, axis=0) for name, values in found.items()}
    for name, per_query in means.items():
        draws = random.choice(per_query, (10_000, len(per_query))).mean(axis=1)
        by_seed = [values.mean() for values in found[name]]
        print(f"{name:10} {per_query.mean():.4f} [{np.quantile(draws, 0.025):.4f}, {np.quantile(draws, 0.975):.4f}; "
              f"{min(by_seed):.4f}, {max(by_seed):.4f}]")
    others = [means[name].mean() for name in means if name != "setlist"]
    if "setlist" in means and others:
        print(f"setlist / the better: {means['setlist'].mean() / max(others):.4f}")


# ---- binary ----

def generate(path, rows, columns, seed):
    random = np.random.default_rng(seed)
    table = np.empty((rows, columns + 1), np.float32, order="F")
    for column in range(columns):
        kind = column % 5
        if kind == 0:
            numbers = random.normal(size=rows)
        elif kind == 1:
            numbers = random.exponential(size=rows)
        elif kind == 2:
            numbers = np.floor(random.exponential(scale=6, size=rows))
        elif kind == 3:
            numbers = random.random(rows) < 0.2
        else:
            numbers = random.random(rows)
            numbers[random.random(rows) < 0.15] = np.nan
        table[:, column + 1] = numbers
    known = np.nan_to_num(table[:, 1:], nan=0.3)
    rule = np.random.default_rng(99)
    logit = np.full(rows, -1.5)
    for _ in range(24):
        logit += rule.normal() * 0.35 * np.tanh(known[:, rule.integers(columns)] - rule.random())
    for _ in range(30):
        a, b = rule.integers(columns, size=2)
        logit += rule.normal() * 0.5 * ((known[:, a] > rule.random()) & (known[:, b] > rule.random() * 1.5))
    for _ in range(12):
        a, b = rule.integers(columns, size=2)
        logit += rule.normal() * 0.3 * np.sin(2 * known[:, a]) * known[:, b].clip(-2, 2)
    table[:, 0] = random.random(rows) < 1 / (1 + np.exp(-logit))
    np.save(path, table)
    return table


def quality(labels, raw):
    order = np.argsort(raw, kind="stable")
    ranks = np.empty(len(raw))
    ranks[order] = np.arange(1, len(raw) + 1)
    ups = labels.sum()
    auc = (ranks[labels > 0.5].sum() - ups * (ups + 1) / 2) / (ups * (len(labels) - ups))
    loss = np.mean(np.logaddexp(0, raw) - labels * raw)
    return auc, loss


def timed(fit):
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    model = fit()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    return model, wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def binary_lightgbm(train, test, trees, threads, leaves=64, **_):
    import lightgbm
    table, labels = np.ascontiguousarray(train[:, 1:]), train[:, 0].copy()
    settings = dict(objective="binary", num_leaves=leaves, learning_rate=0.1, num_threads=threads, verbose=-1, max_bin=255)
    model, wall, cpu = timed(lambda: lightgbm.train(settings, lightgbm.Dataset(table, labels), trees))
    return model.predict(np.ascontiguousarray(test[:, 1:]), raw_score=True), wall, cpu


def binary_catboost(train, test, trees, threads, **_):
    import catboost
    table, labels = np.ascontiguousarray(train[:, 1:]), train[:, 0].copy()
    model = catboost.CatBoostClassifier(iterations=trees, depth=6, learning_rate=0.1, thread_count=threads, verbose=False,
                                        border_count=254, allow_writing_files=False)
    model, wall, cpu = timed(lambda: model.fit(table, labels))
    return model.predict(np.ascontiguousarray(test[:, 1:]), prediction_type="RawFormulaVal"), wall, cpu


def binary(path, rows=1_000_000, columns=80, trees=300, threads=2, rounds=1, only="setlist,lightgbm,catboost", **settings):
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("train.npy", "test.npy")]
        train, test = (generate(file, n, columns, seed) for file, n, seed in zip(files, (rows, max(rows // 5, 1)), (1, 2)))
        print(f"{rows} rows, {columns} columns, {threads} threads, rate 0.1")
        print(f"{'engine':22}{'trees':>6}{'AUC':>9}{'log loss':>10}{'wall s':>8}{'CPU s':>8}")

        def row(name, count, raw, wall, cpu):
            auc, loss = quality(test[:, 0], raw)
            print(f"{name:22}{count:6}{auc:9.5f}{loss:10.5f}{wall:8.1f}{cpu:8.1f}", flush=True)
            return cpu
        for _ in range(rounds):
            seconds = {}
            for name, fit in (("lightgbm", binary_lightgbm), ("catboost", binary_catboost)):
                if name in only.split(","):
                    seconds[name] = row(name, trees, *fit(train, test, trees, threads))
            if "setlist" in only.split(","):
                def here(count):
                    raw, report = trained_here(path, folder, *files, objective="logistic", trees=count, depth=6, rate=0.1,
                                               threads=threads, **settings)
                    return raw, report["training_seconds"], report["training_cpu_seconds"]
                seconds["setlist"] = row("setlist", trees, *here(trees))
                if "lightgbm" in seconds:
                    count = int(trees * seconds["lightgbm"] / seconds["setlist"])
                    row("setlist, time of LGBM", count, *here(count))
            others = [value for name, value in seconds.items() if name != "setlist"]
            if "setlist" in seconds and others:
                print(f"CPU of setlist / the faster: {seconds['setlist'] / min(others):.2f}")


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("ranking", "binary"):
        sys.exit(__doc__)
    settings = dict(argument.split("=", 1) for argument in sys.argv[3:])
    settings = {name: int(value) if value.isdigit() else value for name, value in settings.items()}
    {"ranking": ranking, "binary": binary}[sys.argv[1]](sys.argv[2], **settings)


if __name__ == "__main__":
    main()
