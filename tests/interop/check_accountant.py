"""check_accountant.py LOOM [SETTINGS [SEED]]: opacus's accountants give what `loom privacy` gives, for random settings.

Noise, rate, steps and delta are drawn; rdp and prv must agree, and the noise found for an epsilon must keep it by the
accountant of opacus and be no larger than the one that opacus finds.
"""
import math
import random
import sys
import warnings

from common import loom_json, need, verdict

accountants, utils = need("opacus.accountants", "opacus.accountants.utils")

# Absolute below an epsilon of 1, else relative.  The distributions of both are cut off at different ends, and opacus
# integrates the mean loss of a step only to 1e-8 or so, which the number of steps multiplies: with its integral made
# exact, its prv of 7,476 steps moved by 1.3e-5, onto that of loom.
RDP, PRV = 1e-8, 1e-4
ORDER = 1e-9
EPSILON_MAX = 50                 # nobody promises more
NOISE_ABOVE, SEARCHED = 1e-3, 5  # of opacus's; settings whose noise is searched for


def settings(count, seed):
    """Of the kind that training has."""
    rng = random.Random(seed)
    drawn = lambda low, high: math.exp(rng.uniform(math.log(low), math.log(high)))
    while count > 0:
        noise, rate, steps, delta = drawn(0.5, 5), drawn(5e-4, 0.2), round(drawn(50, 20000)), drawn(1e-8, 1e-4)
        if theirs("rdp", noise, rate, steps, delta) < EPSILON_MAX:
            count -= 1
            yield noise, rate, steps, delta


def theirs(kind, noise, rate, steps, delta):
    accountant = accountants.create_accountant(kind)
    accountant.history = [(noise, rate, steps)]
    return accountant.get_epsilon(delta)


def order_of(noise, rate, steps, delta):
    accountant = accountants.create_accountant("rdp")
    accountant.history = [(noise, rate, steps)]
    return accountant.get_privacy_spent(delta=delta)[1]


def ours(program, noise, rate, steps, delta):
    return loom_json(program, "privacy", "epsilon", f"--noise={noise!r}", f"--rate={rate!r}", f"--steps={steps}",
                     f"--delta={delta!r}")


def searched(program, kind, epsilon, rate, steps, delta):
    told = loom_json(program, "privacy", "noise", f"--epsilon={epsilon!r}", f"--rate={rate!r}", f"--steps={steps}",
                     f"--delta={delta!r}", f"--accountant={kind}")
    return told["noise"]


def main():
    program, count, seed = sys.argv[1], int((sys.argv[2:] or [25])[0]), int((sys.argv[3:] or [1])[0])
    warnings.filterwarnings("ignore")   # of opacus, that its best order is the last one
    worst = {"rdp": 0.0, "prv": 0.0, "order": 0.0}
    bad, least, most = [], math.inf, 0.0
    for number, case in enumerate(settings(count, seed)):
        told = ours(program, *case)
        for kind, allowed in (("rdp", RDP), ("prv", PRV)):
            want = theirs(kind, *case)
            if told[kind] is None:
                bad.append(f"{kind} of {case}: loom says none, opacus {want}")
                continue
            off = abs(told[kind] - want) / max(1, want)
            worst[kind] = max(worst[kind], off)
            if not off <= allowed:
                bad.append(f"{kind} of {case}: {told[kind]}, opacus {want}")
            least, most = min(least, want), max(most, want)
        off = abs(told["rdp_order"] - order_of(*case))
        worst["order"] = max(worst["order"], off)
        if off > ORDER:
            bad.append(f"order of {case}: {told['rdp_order']}, opacus {order_of(*case)}")
        if number >= SEARCHED:
            continue
        for kind in ("rdp", "prv"):
            goal = 0.5 + 1.5 * number
            noise = searched(program, kind, goal, *case[1:])
            limit = utils.get_noise_multiplier(target_epsilon=goal, target_delta=case[3], sample_rate=case[1],
                                               steps=case[2], accountant=kind)
            if theirs(kind, noise, *case[1:]) > goal + PRV or noise > limit + NOISE_ABOVE:
                bad.append(f"noise for {kind} {goal} of {case[1:]}: {noise}, opacus {limit}")
    verdict(not bad, f"{count} random settings (epsilon {least:.3g} to {most:.3g}): rdp differs by at most "
                     f"{worst['rdp']:.1e} (allowed {RDP:.0e}), prv {worst['prv']:.1e} ({PRV:.0e}); noise for "
                     f"{2 * min(SEARCHED, count)} goals keeps them" + "".join(f"; {line}" for line in bad[:3]))


if __name__ == "__main__":
    main()
