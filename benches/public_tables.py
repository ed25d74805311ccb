"""Tables for benches/strategies.rs out of two public collections of configurations that were measured whole.

`python3 benches/public_tables.py HUB MOOT OUT`, HUB and MOOT folders with checkouts of
AutoTuningAssociation/benchmark_hub and timm/moot (both MIT); either may be missing. Writes `OUT/FAMILY_MACHINE.csv`,
but none of the eight tables with which the search was made (`--all`: those of HUB, too).
"""

import csv
import gzip
import json
import math
import sys
from pathlib import Path

# Folders of HUB, and the families that their tables belong to: a kernel each, a file per GPU.
KERNELS = {
    "conv": "cachefiles/convolution_milo",
    "dedisp": "cachefiles/dedispersion_milo",
    "gemm": "currently_unused/cachefiles/KernelTuner data/gemm",
    "pnpoly": "currently_unused/cachefiles/KernelTuner data/pnpoly",
    "oldconv": "currently_unused/cachefiles/KernelTuner data/convolution",
}
# Numbers that name something.
NAMES = {"between_method", "use_method"}
KNOWN = {"conv_A100", "dedisp_W6600", "gemm_RTX3090", "pnpoly_RTX3090"}

# Files of MOOT under optimize/, and whether more is better.
SYSTEMS = {
    "bdbc": ("systems/BDBC.csv", False),
    "dconvert": ("systems/dconvert.csv", False),
    "hsqldb": ("systems/HSQLDB.csv", False),
    "llvm": ("systems/LLVM.csv", False),
    "postgresql": ("systems/PostgreSQL.csv", False),
    "storm_rs6d": ("config/rs-6d-c3_obj2.csv", False),
    "storm_sol6d": ("config/sol-6d-c2-obj1.csv", True),
    "x264": ("config/X264_AllMeasurements.csv", False),
}


def is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True


def kind(name, words):
    return "ord" if name not in NAMES and all(map(is_number, words)) else "cat"


def write(path, names, rows):
    """Leaves out what has one value; of a configuration that was measured again, the mean."""
    words = [{row[i] for row in rows} for i in range(len(names))]
    kept = [i for i, found in enumerate(words) if len(found) > 1]
    costs = {}
    for row in rows:
        costs.setdefault(tuple(row[i] for i in kept), []).append(float(row[-1]))
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([f"{names[i]}:{kind(names[i], words[i])}" for i in kept] + ["value"])
        table.writerows([*cells, sum(found) / len(found)] for cells, found in costs.items())


def kernel(file):
    with gzip.open(file, "rt") as text:
        record = json.load(text)
    names = record["tune_params_keys"]
    number = {n: {v: i for i, v in enumerate(all_)} for n, all_ in record["tune_params"].items()}
    rows = []
    for run in record["cache"].values():
        # A word says how it failed.
        cost = run["time"] if isinstance(run["time"], (int, float)) else "inf"
        words = (run[n] if is_number(run[n]) else number[n][run[n]] for n in names)
        rows.append([str(word) for word in words] + [cost])
    return names, rows


def system(file, more_is_better):
    with file.open(newline="") as text:
        header, *rows = [[cell.strip() for cell in row] for row in csv.reader(text)]
    knobs = [i for i, name in enumerate(header) if name[-1] not in "+-"]
    costs = [float(row[len(knobs)]) for row in rows]
    if more_is_better:
        costs = [1 / cost if cost > 0 else math.inf for cost in costs]
    return [header[i] for i in knobs], [[row[i] for i in knobs] + [c] for row, c in zip(rows, costs)]


def main():
    flags = [word for word in sys.argv[1:] if word.startswith("--")]
    hub, moot, out = (Path(word) for word in sys.argv[1:] if not word.startswith("--"))
    out.mkdir(parents=True, exist_ok=True)
    for family, folder in KERNELS.items():
        for file in sorted((hub / folder).glob("*.json.gz")):
            machine = file.name.removesuffix(".json.gz")
            name = f"{family}_{machine.replace('RTX_', 'RTX').replace('_', '')}"
            if "_T4" in machine or "_original" in machine or (name in KNOWN and "--all" not in flags):
                continue
            write(out / f"{name}.csv", *kernel(file))
    for name, (file, more_is_better) in SYSTEMS.items():
        if (moot / "optimize" / file).exists():
            write(out / f"{name}.csv", *system(moot / "optimize" / file, more_is_better))


if __name__ == "__main__":
    main()
