#!/usr/bin/env python3
"""The same rows through `setlist evaluate policy` and through the estimators of Open Bandit Pipeline (Saito et al., 2021).
scripts/bench/offpolicy calls it.

    offpolicy_peers.py check                                  whether the estimators can be loaded
    offpolicy_peers.py <setlist> <dataset> <model> [--seed N] [--rounds N]

Both get the same probabilities and the same expected rewards: what is compared is the estimators.
"""
import importlib.util, json, os, subprocess, sys, tempfile, types
import numpy as np


def estimators():
    """Obp's estimators without the rest of the package, which wants torch."""
    place = importlib.util.find_spec("obp").submodule_search_locations[0]
    torch = types.ModuleType("torch")
    torch.Tensor = torch.tensor = type("Tensor", (), {})
    sys.modules.setdefault("torch", torch)
    for name, folder in (("obp", place), ("obp.ope", os.path.join(place, "ope"))):
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package
    import obp.ope.estimators as single
    import obp.ope.estimators_slate as slate
    return single, slate


def table(folder, name):
    return np.loadtxt(os.path.join(folder, name), delimiter=",", ndmin=2)


def decisions(single, folder):
    rounds = np.loadtxt(os.path.join(folder, "rounds.csv"), delimiter=",", skiprows=1)
    action, position, reward = rounds[:, 0].astype(int), rounds[:, 1].astype(int), rounds[:, 2]
    policy = table(folder, "policy.csv")
    # Obp wants whole reward columns and probabilities for each position.
    dist = np.repeat(policy.T[None], len(action), axis=0)
    expected = np.repeat(table(folder, "expected.csv")[:, :, None], policy.shape[0], axis=2)
    given = dict(reward=reward, action=action, position=position, pscore=rounds[:, 3], action_dist=dist,
                 estimated_rewards_by_reg_model=expected)
    named = {
        "IPS": single.InverseProbabilityWeighting(),
        "SNIPS": single.SelfNormalizedInverseProbabilityWeighting(),
        "DM": single.DirectMethod(),
        "DR": single.DoublyRobust(),
        "SNDR": single.SelfNormalizedDoublyRobust(),
        "SWITCH-DR": single.SwitchDoublyRobust(lambda_=10.0),
    }
    return {name: estimator.estimate_policy_value(**given) for name, estimator in named.items()}


def lists(slate, folder):
    rows = np.loadtxt(os.path.join(folder, "lists.csv"), delimiter=",", skiprows=1)
    ids, position, action = (rows[:, at].astype(int) for at in range(3))
    reward, logged, policy, logged_at, policy_at = rows[:, 3:8].T
    length = position.max() + 1
    def joint(of):
        return np.cumprod(of.reshape(-1, length), axis=1)
    def last(of):
        return np.repeat(joint(of)[:, -1], length)
    chances, expected = table(folder, "chances.csv"), table(folder, "expected.csv")
    plain = dict(slate_id=ids, reward=reward, position=position)
    whole = dict(plain, pscore=last(logged), evaluation_policy_pscore=last(policy))
    alone = dict(plain, pscore_item_position=logged_at, evaluation_policy_pscore_item_position=policy_at)
    after = dict(plain, pscore_cascade=joint(logged).ravel(), evaluation_policy_pscore_cascade=joint(policy).ravel())
    doubly = dict(after, action=action, q_hat=expected.ravel(), evaluation_policy_action_dist=chances.ravel())
    made = {
        "SIPS": (slate.SlateStandardIPS(len_list=length), whole),
        "SNSIPS": (slate.SelfNormalizedSlateStandardIPS(len_list=length), whole),
        "IIPS": (slate.SlateIndependentIPS(len_list=length), alone),
        "SNIIPS": (slate.SelfNormalizedSlateIndependentIPS(len_list=length), alone),
        "RIPS": (slate.SlateRewardInteractionIPS(len_list=length), after),
        "SNRIPS": (slate.SelfNormalizedSlateRewardInteractionIPS(len_list=length), after),
        "cascade DR": (slate.SlateCascadeDoublyRobust(len_list=length, n_unique_action=chances.shape[1]), doubly),
    }
    return {name: estimator.estimate_policy_value(**given) for name, (estimator, given) in made.items()}


def compare(title, ours, theirs):
    print(f"\n{title}\n{'estimator':<12} {'setlist':>12} {'obp':>12} {'difference':>12}")
    apart = 0.0
    for estimate in ours:
        name, value = estimate["estimator"], estimate["value"]
        if name not in theirs:
            print(f"{name:<12} {value:>12.8f} {'(has none)':>12}")
            continue
        difference = abs(value - theirs[name])
        apart = max(apart, difference / max(abs(theirs[name]), 1e-12))
        print(f"{name:<12} {value:>12.8f} {theirs[name]:>12.8f} {difference:>12.1e}")
    return apart


def main():
    single, slate = estimators()
    if sys.argv[1:] == ["check"]:
        return
    binary, dataset, model, *rest = sys.argv[1:]
    apart = 0.0
    with tempfile.TemporaryDirectory() as folder:
        ours = [binary, "evaluate", "policy", "--dump", folder]
        seed = rest[rest.index("--seed"):][:2] if "--seed" in rest else []
        subprocess.run(ours + ["--dataset", dataset, "--model", model] + seed, check=True)
        subprocess.run(ours + ["--world", "--runs", "2"] + rest, check=True, stdout=subprocess.DEVNULL)
        for name in sorted(os.listdir(folder)):
            place = os.path.join(folder, name)
            with open(os.path.join(place, "estimates.json")) as file:
                estimates = json.load(file)["estimates"]
            theirs = lists(slate, place) if name == "lists" else decisions(single, place)
            apart = max(apart, compare(name, estimates, theirs))
    print(f"\nlargest difference: {apart:.1e} of the value")
    # Sums run in another order.
    sys.exit(0 if apart < 1e-9 else 1)


main()
