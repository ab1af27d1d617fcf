"""Trains small models with their own libraries and writes what those say of rows that are likely to tell readers apart.

    python3 make.py <folder> [--rows 10000] [--small]

For each case: the model, and a CSV of rows with the library's raw score in the last column; `cases.json` lists them.
Among the rows are NaN, zeros of both signs, the smallest and the largest numbers, infinities, and numbers exactly at
each feature's thresholds and next to them. `--small` makes the models that are kept beside the tests.
"""
import argparse
import json
import os
import re

import catboost
import lightgbm
import numpy as np
import onnx
import onnxruntime
import xgboost
from onnx import TensorProto, helper, numpy_helper

# Names of the schema, in another order than there.
NAMES = ["trend", "user_dot", "age", "duration", "item_plays", "popularity", "recent_max", "impressions"]
SPECIAL = [np.nan, 0.0, -0.0, 1e-45, -1e-45, 1e-38, 1e-35, -1e-35, 1.0000001e-35, np.inf, -np.inf, 3.4028235e38, -3.4028235e38]


def training(rows, missing, seed):
    """Features of several kinds, a binary label and one of four grades."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, len(NAMES))).astype(np.float32)
    x[:, 4] = random.poisson(1.0, rows)
    x[:, 7] = np.round(x[:, 7], 1)
    signal = x[:, 0] + np.sin(2 * x[:, 1]) + (x[:, 4] > 1) * x[:, 2] + 0.3 * x[:, 7]
    x[random.random(x.shape) < 0.1] = np.nan if missing == "nan" else 0.0
    noisy = signal + random.normal(size=rows)
    return x, (noisy > 0).astype(int), np.clip(np.round(noisy + 1), 0, 3).astype(int)


def questions(rows, thresholds, seed):
    """Rows; three in ten of their numbers are special, or at or next to a threshold of their feature."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, len(NAMES))).astype(np.float32)
    for feature in range(len(NAMES)):
        at = np.array(sorted(set(thresholds.get(feature, [0.0]))), dtype=np.float64)
        at = np.clip(at, -3e38, 3e38).astype(np.float32)
        near = np.concatenate([at, np.nextafter(at, np.float32(np.inf)), np.nextafter(at, np.float32(-np.inf))])
        pool = np.concatenate([near, np.resize(np.array(SPECIAL, dtype=np.float32), max(len(near) // 2, len(SPECIAL)))])
        chosen = random.random(rows) < 0.3
        x[chosen, feature] = random.choice(pool, chosen.sum())
    return x


class Writer:
    def __init__(self, folder, rows):
        self.folder, self.rows, self.cases = folder, rows, []
        os.makedirs(folder, exist_ok=True)

    def path(self, file):
        return os.path.join(self.folder, file)

    def add(self, name, kind, file, x, raw, output=None, tolerance=1e-6):
        with open(self.path(name + ".csv"), "w") as out:
            out.write(",".join(NAMES) + ",raw\n")
            for row, score in zip(x, np.asarray(raw, dtype=np.float64).ravel()):
                out.write(",".join([*map(str, row), repr(float(score))]) + "\n")
        self.cases.append({"name": name, "format": kind, "file": file, "output": output, "tolerance": tolerance})

    def finish(self):
        with open(self.path("cases.json"), "w") as out:
            json.dump(self.cases, out, indent=1)
            out.write("\n")


def lightgbm_cases(w, small):
    def thresholds(text):
        found = {}
        for tree in text.split("\nTree=")[1:]:
            features = re.search(r"^split_feature=(.*)$", tree, re.M)
            at = re.search(r"^threshold=(.*)$", tree, re.M)
            if features and at:
                for feature, threshold in zip(features[1].split(), at[1].split()):
                    found.setdefault(int(feature), []).append(float(threshold))
        return found

    def case(name, trees, missing="nan", grades=False, groups=False, output=None, expected=None, **settings):
        x, binary, graded = training(400 if small else 3000, missing, len(name))
        rows = len(x)
        data = lightgbm.Dataset(x, graded if grades else binary, feature_name=NAMES, group=[20] * (rows // 20) if groups else None)
        settings = {"verbose": -1, "num_threads": 2, "deterministic": True, "min_data_in_leaf": 2, **settings}
        if small:
            settings["num_leaves"] = min(settings["num_leaves"], 9)
        model = lightgbm.train(settings, data, 4 if small else trees)
        file = name + ".txt"
        model.save_model(w.path(file))
        text = open(w.path(file)).read()
        if small:
            # The parameters at the end are larger than the model, and nobody reads them.
            text = text[: text.index("end of trees")] + "end of trees\n"
            open(w.path(file), "w").write(text)
        at = questions(w.rows, thresholds(text), 11)
        raw = model.predict(at, raw_score=True)
        raw = raw[:, output] if output is not None else raw
        w.add(name, "lightgbm", file, at, expected(model, at, raw) if expected else raw, output)

    case("lightgbm-binary", 30, objective="binary", num_leaves=63)
    case("lightgbm-zero-as-missing", 20, missing="zero", objective="binary", num_leaves=31, zero_as_missing=True)
    case("lightgbm-lambdarank", 20, grades=True, groups=True, objective="lambdarank", num_leaves=31)
    if small:
        return
    case("lightgbm-no-missing", 20, objective="binary", num_leaves=31, use_missing=False)
    case("lightgbm-regression", 15, grades=True, objective="regression", num_leaves=200)
    case("lightgbm-many-leaves", 5, grades=True, objective="regression", num_leaves=1400, min_data_in_leaf=1)
    case("lightgbm-cross-entropy", 15, objective="cross_entropy", num_leaves=15)
    case("lightgbm-dart", 15, objective="binary", boosting="dart", num_leaves=15)
    case("lightgbm-sigmoid", 15, objective="binary", num_leaves=15, sigmoid=2.0, expected=lambda m, x, raw: 2 * raw)
    case("lightgbm-multiclass", 10, grades=True, output=2, objective="multiclass", num_class=4, num_leaves=15)
    # Of a random forest the mean over trees is the prediction; its raw score is their sum.
    case("lightgbm-random-forest", 15, grades=True, objective="regression", boosting="rf", bagging_fraction=0.6,
         bagging_freq=1, num_leaves=31, expected=lambda m, x, raw: m.predict(x))


def xgboost_cases(w, small):
    def case(name, trees, missing="nan", grades=False, groups=False, output=None, **settings):
        x, binary, graded = training(400 if small else 3000, missing, len(name))
        data = xgboost.DMatrix(x, graded if grades else binary, feature_names=NAMES)
        if groups:
            data.set_group([20] * (len(x) // 20))
        settings = {"nthread": 2, **settings}
        if small:
            settings["max_depth"] = 3
        model = xgboost.train(settings, data, 4 if small else trees)
        file = name + ".json"
        model.save_model(w.path(file))
        found = {}
        trained = json.load(open(w.path(file)))["learner"]["gradient_booster"]
        for tree in trained.get("model", trained.get("gbtree", {}).get("model"))["trees"]:
            for left, feature, at in zip(tree["left_children"], tree["split_indices"], tree["split_conditions"]):
                if left != -1:
                    found.setdefault(feature, []).append(at)
        at = questions(w.rows, found, 12)
        # XGBoost refuses infinities; no threshold tells them from the largest numbers.
        asked = xgboost.DMatrix(np.clip(at, -3.4028235e38, 3.4028235e38), feature_names=NAMES)
        raw = model.predict(asked, output_margin=True)
        w.add(name, "xgboost", file, at, raw[:, output] if output is not None else raw, output)

    case("xgboost-logistic", 30, objective="binary:logistic", max_depth=6)
    case("xgboost-ndcg", 15, grades=True, groups=True, objective="rank:ndcg", max_depth=4)
    if small:
        return
    case("xgboost-deep", 5, objective="binary:logistic", max_depth=12, min_child_weight=0)
    case("xgboost-exact-pruned", 15, objective="reg:squarederror", tree_method="exact", gamma=2.0, max_depth=7)
    case("xgboost-dart", 15, objective="binary:logistic", booster="dart", rate_drop=0.3, max_depth=4)
    case("xgboost-poisson", 10, grades=True, objective="count:poisson", max_depth=4)
    case("xgboost-multiclass", 10, grades=True, output=1, objective="multi:softprob", num_class=4, max_depth=4)
    case("xgboost-base-score", 10, objective="binary:logistic", base_score=0.2, max_depth=4)


def catboost_cases(w, small):
    def case(name, trees, missing="nan", grades=False, groups=False, output=None, **settings):
        x, binary, graded = training(400 if small else 3000, missing, len(name))
        group = np.arange(len(x)) // 20 if groups else None
        pool = catboost.Pool(x, graded if grades else binary, feature_names=NAMES, group_id=group)
        model = catboost.CatBoost({"verbose": False, "thread_count": 2, "allow_writing_files": False,
                                   "iterations": 4 if small else trees, "random_seed": 5, **settings})
        model.fit(pool)
        file = name + ".json"
        model.save_model(w.path(file), format="json")
        trained = json.load(open(w.path(file)))
        if small:
            trained.pop("model_info")
            json.dump(trained, open(w.path(file), "w"))
        found = {}
        for tree in trained["oblivious_trees"]:
            for split in tree["splits"] or []:
                found.setdefault(split["float_feature_index"], []).append(split["border"])
        at = questions(w.rows, found, 13)
        raw = model.predict(at, prediction_type="RawFormulaVal")
        w.add(name, "catboost", file, at, raw[:, output] if output is not None else raw, output)

    case("catboost-logloss", 30, loss_function="Logloss", depth=3 if small else 6)
    if small:
        return
    case("catboost-no-nan", 20, missing="zero", loss_function="Logloss", depth=6)
    case("catboost-nan-max", 20, loss_function="Logloss", depth=6, nan_mode="Max")
    case("catboost-yetirank", 15, grades=True, groups=True, loss_function="YetiRank", depth=5)
    case("catboost-rmse-deep", 5, grades=True, loss_function="RMSE", depth=10)
    case("catboost-multiclass", 10, grades=True, output=1, loss_function="MultiClass", depth=4)


def onnx_cases(w, small):
    def case(name, nodes, weights, outputs=1, output=None, asked=None):
        graph = helper.make_graph(
            nodes, name, [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(NAMES)])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", outputs])],
            [numpy_helper.from_array(np.asarray(value, dtype=kind), key) for key, (value, kind) in weights.items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        helper.set_model_props(model, {"feature_names": ",".join(NAMES)})
        onnx.checker.check_model(model)
        file = name + ".onnx"
        onnx.save(model, w.path(file))
        random = np.random.default_rng(14)
        at = random.normal(size=(w.rows, len(NAMES))).astype(np.float32)
        at[random.random(at.shape) < 0.1] = 0.0
        at[random.random(at.shape) < 0.02] = -0.0
        at[random.random(at.shape) < 0.02] = 1e-45
        if asked:
            del model.graph.node[-1]
            model.graph.output[0].name = asked
        run = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"features": at})[0]
        w.add(name, "onnx", file, at, run[:, output or 0].astype(np.float64), output, 2e-6)

    random = np.random.default_rng(15)
    normal = lambda *shape: (random.normal(size=shape) / np.sqrt(shape[0]), np.float32)
    wide = 8 if small else 64
    node = helper.make_node
    case("onnx-perceptron",
         [node("Gemm", ["features", "a", "b"], ["h1"], transB=1), node("Relu", ["h1"], ["r1"]),
          node("Gemm", ["r1", "c", "d"], ["h2"], transB=1), node("LeakyRelu", ["h2"], ["r2"], alpha=0.1),
          node("Gemm", ["r2", "e", "f"], ["out"], transB=1, alpha=0.5)],
         {"a": normal(wide, len(NAMES)), "b": normal(wide), "c": normal(wide, wide), "d": normal(wide),
          "e": normal(1, wide), "f": normal(1)})
    if small:
        return
    case("onnx-normalised",
         [node("Sub", ["features", "mean"], ["centred"]), node("Div", ["centred", "scale"], ["scaled"]),
          node("MatMul", ["scaled", "a"], ["m1"]), node("Add", ["m1", "b"], ["h1"]),
          node("BatchNormalization", ["h1", "g", "s", "m", "v"], ["n1"]), node("Tanh", ["n1"], ["t1"]),
          node("Concat", ["t1", "scaled"], ["joined"], axis=1), node("MatMul", ["joined", "c"], ["m2"]),
          node("Softplus", ["m2"], ["p2"]), node("Clip", ["p2", "low", "high"], ["k2"]),
          node("Gemm", ["k2", "d"], ["out"])],
         {"mean": normal(len(NAMES)), "scale": (np.full((1, len(NAMES)), 1.5), np.float32), "a": normal(len(NAMES), 31),
          "b": normal(31), "g": normal(31), "s": normal(31), "m": normal(31), "v": (np.abs(normal(31)[0]) + 0.1, np.float32),
          "c": normal(31 + len(NAMES), 17), "low": (0.1, np.float32), "high": (3.0, np.float32), "d": normal(17, 3)},
         outputs=3, output=2)
    # The last Sigmoid is left out: what is served is its input, `z`.
    case("onnx-sigmoid",
         [node("Gemm", ["features", "a", "b"], ["h1"], transB=1), node("Sigmoid", ["h1"], ["s1"]),
          node("Gemm", ["s1", "c"], ["z"], transB=1), node("Sigmoid", ["z"], ["out"])],
         {"a": normal(16, len(NAMES)), "b": normal(16), "c": normal(1, 16)}, asked="z")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    writer = Writer(options.folder, options.rows)
    for cases in (lightgbm_cases, xgboost_cases, catboost_cases, onnx_cases):
        cases(writer, options.small)
    writer.finish()


if __name__ == "__main__":
    main()
