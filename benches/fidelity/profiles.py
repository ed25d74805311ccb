"""The profiles that the fidelity bench compares: the machine's baseline, the tuned one, and five more from all
over the space. `wan22-tune profiles new` writes them for this machine."""

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


def made_with(cli, knobs):
    """The profile of this machine's baseline with these values."""
    sets = [word for name, value in knobs.items() for word in ("--set", f"{name}={value}")]
    run = subprocess.run([cli, "profiles", "new", *sets], check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout)


def write(options, folder):
    """Writes all profiles. For each precision the file of each profile by name; a file's name says what is in it,
    so that profiles of equal knobs are one file and are run once."""
    tuned = {"tuned": json.loads(options.tuned.read_text())} if options.tuned else {}
    blocks = {}
    for precision in options.precision.split(","):
        made = {name: made_with(options.cli, of_block(knobs, precision)) for name, knobs in PROFILES.items()}
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
