#!/usr/bin/env python3
"""Writes accountant.csv: what opacus says of settings of DP-SGD.

Needs opacus (made with 1.6.0).  A setting is one phase or two; `steps` 0 means that there is no second one.
The first rows are those that others have published figures for; then 20 drawn from a fixed seed, then 5 of two phases.
"""
import math
import random
import warnings

from opacus.accountants import GaussianAccountant, PRVAccountant, RDPAccountant

FIXED = [
    (1.5, 0.04, 2250, 1e-5),
    (1.5, 0.04, 2249, 1e-5),
    (1.0, 0.01, 1000, 1e-5),
    (1.1, 256 / 60000, 14062, 1e-5),
    (0.8, 0.001, 10000, 1e-6),
    (0.6, 0.005, 2000, 1e-5),
    (2.0, 0.02, 5000, 1e-6),
    (4.0, 0.1, 1000, 1e-5),
    (0.5, 0.001, 1000, 1e-5),
]


def drawn(rng):
    sigma = round(math.exp(rng.uniform(math.log(0.6), math.log(5))), 3)
    q = round(math.exp(rng.uniform(math.log(0.0005), math.log(0.2))), 5)
    return sigma, q, int(math.exp(rng.uniform(math.log(20), math.log(6000))))


def main():
    warnings.simplefilter("ignore")
    rng = random.Random(1)
    rows = [(s, q, n, 0, 0, 0, d) for s, q, n, d in FIXED]
    rows += [(*drawn(rng), 0, 0, 0, 10.0 ** -rng.randint(4, 7)) for _ in range(20)]
    rows += [(*drawn(rng), *drawn(rng), 1e-5) for _ in range(5)]
    with open("accountant.csv", "w", encoding="ascii") as out:
        out.write("sigma,q,steps,sigma2,q2,steps2,delta,rdp,order,prv,gdp\n")
        for row in rows:
            phases = [row[0:3], row[3:6]] if row[5] else [row[0:3]]
            rdp, prv, gdp = RDPAccountant(), PRVAccountant(), GaussianAccountant()
            for accountant in (rdp, prv, gdp):
                accountant.history = [tuple(p) for p in phases]
            bound, order = rdp.get_privacy_spent(delta=row[6])
            # opacus computes GDP for one phase only
            central = gdp.get_epsilon(delta=row[6]) if len(phases) == 1 else 0
            upper = prv.get_epsilon(delta=row[6], eps_error=0.01, delta_error=row[6] / 1000)
            out.write(",".join(repr(float(x)) for x in (*row, bound, order, upper, central)) + "\n")


if __name__ == "__main__":
    main()
