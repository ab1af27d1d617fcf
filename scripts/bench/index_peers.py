#!/usr/bin/env python3
"""Measures faiss and hnswlib on the factors and the queries that scripts/bench/index left in a folder: recall@k against
exact search, and processor time a query of one thread.

    scripts/bench/index_peers.py <folder> [k]

Needs numpy, faiss-cpu and hnswlib; what is not installed is left out.
"""
import glob, os, struct, sys, time
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
import numpy as np


def factors(folder):
    path = max(glob.glob(os.path.join(folder, "demo", "*", "factors.bin")), key=os.path.getmtime)
    with open(path, "rb") as file:
        head = file.read(64)
    rows, dimensions, entries = struct.unpack_from("<QQQ", head, 16)
    values = np.fromfile(path, "<f4", entries, offset=64 + 4 * dimensions * dimensions)
    return values.reshape(rows, -1)


def table(name, build, queries, truth, k, search, settings):
    for setting in settings:
        found, started = [], time.process_time()
        for query in queries:
            found.append(search(setting, query[None, :], k))
        microseconds = (time.process_time() - started) / len(queries) * 1e6
        recall = np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found, truth)])
        print(f"{name:24} {str(setting):>8} {recall:10.4f} {microseconds:9.0f} {build:9.1f}", flush=True)


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    folder, k = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    rows = factors(folder)
    queries = np.fromfile(os.path.join(folder, "queries", "queries.f32"), "<f4").reshape(-1, rows.shape[1])
    truth = np.fromfile(os.path.join(folder, "queries", "truth.u32"), "<u4").reshape(len(queries), -1)
    print(f"{len(rows)} rows, {len(queries)} queries, k {k}")
    print(f"{'engine':24} {'setting':>8} {'recall':>10} {'us CPU':>9} {'build s':>9}")
    try:
        import faiss
    except ImportError:
        print("faiss is not installed")
    else:
        faiss.omp_set_num_threads(1)
        for factory in ("IVF2048,SQ8", "IVF4096,PQ32x4fs,RFlat"):
            started = time.process_time()
            index = faiss.index_factory(rows.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
            index.train(rows[np.random.default_rng(1).permutation(len(rows))[:200_000]])
            index.add(rows)
            build = time.process_time() - started
            parameters = faiss.ParameterSpace()

            def search(probes, query, k, index=index, parameters=parameters):
                parameters.set_index_parameter(index, "nprobe", probes)
                return index.search(query, k)[1][0]
            table(f"faiss {factory}", build, queries, truth, k, search, (16, 32, 64, 128, 256))
    try:
        import hnswlib
    except ImportError:
        print("hnswlib is not installed")
    else:
        index = hnswlib.Index(space="ip", dim=rows.shape[1])
        index.init_index(max_elements=len(rows), ef_construction=100, M=16)
        index.set_num_threads(1)
        started = time.process_time()
        index.add_items(rows)
        build = time.process_time() - started

        def search(ef, query, k):
            index.set_ef(ef)
            return index.knn_query(query, k=k, num_threads=1)[0][0]
        table("hnswlib M 16", build, queries, truth, k, search, (200, 400, 800))


if __name__ == "__main__":
    main()
