"""The profiles that the fidelity bench compares: the machine's baseline, the tuned one, and five more from all
over the space. They are written for this machine from the profile of a tune that keeps the baseline."""

import hashlib
import json
import subprocess
from pathlib import Path

# The next precision below that of the baseline.
LOWER = {"fp32": "bf16", "bf16": "bf16-vae"}
# What each sets beside the baseline's knobs and the baseline's precision.
PROFILES = {
    "baseline": {},
    "lower precision": {"precision": LOWER},
    "memory": {"allocator": "glibc-keep", "huge_pages": "libtorch"},
    "small tiles": {
        "tile_size": 192, "vae_tile_size": 192, "memory_format": "channels-last", "allocator": "glibc-keep",
    },
    "large tiles": {
        "tile_size": 768, "vae_tile_size": 768, "conv_backend": "slow-conv3d", "matmul_precision": "medium",
    },
    "one thread": {"intra_op_threads": 1, "precision": LOWER},
}
KEEP = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456"
ENVIRONMENT = {
    ("allocator", "glibc-keep"): ("GLIBC_TUNABLES", KEEP),
    ("huge_pages", "libtorch"): ("THP_MEM_ALLOC_ENABLE", "1"),
}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "TORCH_NUM_THREADS")
NOTHING_TO_TUNE = 'schema = 1\nname = "baseline"\nwhy = "The baseline alone."\n\n' \
    '[knob.omp_wait]\nwhy = "One value."\nvalues = ["default"]\n'


def baseline(cli, folder):
    """The baseline's profile: that of a tune of an empty command which has nothing to choose from."""
    space = folder / "baseline.toml"
    space.write_text(NOTHING_TO_TUNE)
    results = folder / "baseline"
    command = [cli, "--quiet", "--wait", "--budget", "10s", "--trials", "1", "--space", space, "--results", results]
    subprocess.run([*command, "--", "true"], check=True, stdout=subprocess.DEVNULL)
    newest = max(results.glob("*/profile.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text())


def with_knobs(profile, knobs):
    """The profile with other values of knobs that leave places and memory policy as they are."""
    made = json.loads(json.dumps(profile))
    made["candidate"].update(knobs)
    made["evidence"] = None
    optimal, environment = made["optimal_settings"], made["launch"]["environment"]
    for name, value in knobs.items():
        if name in ("tile_size", "vae_tile_size"):
            optimal[name] = [value, value]
        if name == "intra_op_threads":
            optimal["num_threads"] = value
            environment.update({variable: str(value) for variable in THREADS})
        if (name, value) in ENVIRONMENT:
            variable, text = ENVIRONMENT[name, value]
            environment[variable] = text
    return made


def write(options, folder):
    """Writes all profiles. For each precision the file of each profile by name; a file's name says what is in it,
    so that profiles of equal knobs are one file and are run once."""
    base = baseline(options.cli, folder)
    tuned = {"tuned": json.loads(options.tuned.read_text())} if options.tuned else {}
    blocks = {}
    for precision in options.precision.split(","):
        made = {name: with_knobs(base, of_block(knobs, precision)) for name, knobs in PROFILES.items()}
        made.update(tuned)
        chosen = options.only.split(",") if options.only else made
        unknown = [name for name in chosen if name not in made]
        if unknown:
            raise SystemExit(f"--only {options.only}: there is no {unknown[0]}: {', '.join(made)}")
        blocks[precision] = {name: file(folder, made[name]) for name in made if name in ("baseline", *chosen)}
    return blocks


def of_block(knobs, precision):
    knobs = {"precision": precision, **knobs}
    return {knob: value[precision] if value is LOWER else value for knob, value in knobs.items()}


def file(folder, profile):
    digest = hashlib.sha256(json.dumps(profile["candidate"], sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"{digest}.json"
    path.write_text(json.dumps(profile, indent=2) + "\n")
    return path


def located(path):
    """A results folder stands for the profile in it."""
    path = Path(path)
    return path / "profile.json" if path.is_dir() else path
