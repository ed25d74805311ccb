#!/usr/bin/env python3
"""Puts libtorch, CPU part only, from PyPI's torch wheel into a folder.

usage: libtorch.py FOLDER

The wheel is built for CUDA, so three things are put right (docs/reference.md, "libtorch"):
libtorch.so becomes a link to libtorch_cpu.so, libgomp.so a link to libgomp.so.1,
and the two small CUDA runtime libraries that libtorch_cpu.so names are added.
A folder that is already complete for this version is left alone.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

TORCH = "2.13.0"  # tch 0.26 binds exactly this one
WHEELS = [f"torch=={TORCH}", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]
LIBRARIES = {
    "torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13",
}
LINKS = {"libtorch.so": "libtorch_cpu.so", "libgomp.so": "libgomp.so.1"}


def download(into: Path) -> list[Path]:
    # Any CPython's wheel holds the same libtorch; naming one keeps this working
    # under Pythons that torch has no wheel for.
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp",
         "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_25_x86_64",
         "--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64",
         "--dest", str(into), *WHEELS],
        check=True,
    )
    return sorted(into.glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name in LIBRARIES:
                target = folder / "lib" / name.rsplit("/", 1)[1]
            elif name.startswith("torch/include/") and not name.endswith("/"):
                target = folder / name.removeprefix("torch/")
            elif name.startswith("torch-") and "/licenses/" in name and not name.endswith("/"):
                target = folder / "licenses" / name.split("/licenses/", 1)[1]
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).absolute()
    stamp = folder / "build-version"  # the name torch's own archives use
    if stamp.exists() and stamp.read_text().strip() == TORCH:
        return
    print(f"libtorch {TORCH}: downloading 540 MB from PyPI into {folder}", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".libtorch-") as scratch:
        fresh = Path(scratch) / "libtorch"
        for wheel in download(Path(scratch)):
            unpack(wheel, fresh)
        missing = [name for name in LIBRARIES if not (fresh / "lib" / name.rsplit("/", 1)[1]).exists()]
        if missing:
            sys.exit(f"libtorch.py: the wheels lack {', '.join(missing)}; is {TORCH} still what tch needs?")
        for link, target in LINKS.items():
            os.symlink(target, fresh / "lib" / link)
        (fresh / "build-version").write_text(TORCH + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)


try:
    main()
except subprocess.CalledProcessError as error:
    sys.exit(f"libtorch.py: pip failed ({error.returncode}); see its message above")
