"""The peers of scripts/bench/forest, which describes it: python3 forest_peers.py <target folder> [settings]."""
import argparse
import json
import os
import statistics
import subprocess
import time

import lightgbm
import lleaves
import numpy as np


def least(call, seconds):
    """The least processor time of a call, called for so long: what else runs on the machine takes none of it."""
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--leaves", type=int, default=63)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    folder = os.path.join(options.target, "forest")
    os.makedirs(folder, exist_ok=True)
    model_file = os.path.join(folder, f"{options.trees}x{options.leaves}x{options.features}.txt")
    random = np.random.default_rng(7)
    if not os.path.exists(model_file):
        x = random.normal(size=(40_000, options.features)).astype(np.float32)
        signal = x @ random.normal(size=options.features) / 6 + np.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2] * x[:, 3]
        label = (signal + random.normal(size=len(x)) > 0).astype(int)
        settings = {"objective": "binary", "verbose": -1, "num_leaves": options.leaves, "learning_rate": 0.05}
        lightgbm.train(settings, lightgbm.Dataset(x, label), options.trees).save_model(model_file)
    model = lightgbm.Booster(model_file=model_file)
    rows = np.random.default_rng(8).normal(size=(options.rows, options.features)).astype(np.float32)
    rows_file, raw_file = os.path.join(folder, "rows.f32"), os.path.join(folder, "raw.f64")
    np.ascontiguousarray(rows.T).tofile(rows_file)
    model.predict(rows, raw_score=True).tofile(raw_file)

    compiled = lleaves.Model(model_file=model_file)
    compiled.compile(raw_score=True)
    ours = [os.path.join(options.target, "release/examples/forest"), model_file, rows_file, raw_file, "300"]
    times = {"LightGBM": [], "lleaves": [], "ours": []}
    furthest = 0.0
    for _ in range(options.rounds):
        times["LightGBM"].append(least(lambda: model.predict(rows, raw_score=True, num_threads=1), 1.0))
        times["lleaves"].append(least(lambda: compiled.predict(rows, n_jobs=1), 1.0))
        told = json.loads(subprocess.run(ours, check=True, capture_output=True, text=True).stdout)
        times["ours"].append(told["microseconds"] * options.rows / 1e6)
        furthest = max(furthest, told["furthest"])

    print(f"{options.trees} trees x {options.leaves} leaves, {options.rows} rows x {options.features} features, one thread")
    for name, taken in times.items():
        each = [f"{seconds * 1e6 / options.rows:.2f}" for seconds in taken]
        print(f"{name:>9}: {statistics.median(taken) * 1e6 / options.rows:7.2f} µs a row (rounds: {' '.join(each)})")
    for peer in ("LightGBM", "lleaves"):
        ratios = [theirs / mine for theirs, mine in zip(times[peer], times["ours"])]
        print(f"ours is {statistics.median(ratios):.1f} times as fast as {peer} ({min(ratios):.1f} to {max(ratios):.1f})")
    print(f"scores are at most {furthest:.1e} from LightGBM's; load {told['load_milliseconds']} ms")


if __name__ == "__main__":
    main()
