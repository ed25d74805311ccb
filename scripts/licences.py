#!/usr/bin/env python3
"""Prints the licences of every crate that is linked into the release, with their texts."""

import json
import pathlib
import subprocess
import sys


def linked(metadata):
    """Packages that the program is linked with: neither build scripts' nor tests'."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    seen, todo = set(), [metadata["resolve"]["root"]]
    while todo:
        package = todo.pop()
        if package in seen:
            continue
        seen.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    seen.discard(metadata["resolve"]["root"])
    return [package for package in metadata["packages"] if package["id"] in seen]


def texts(package):
    """The licence files that the crate came with."""
    folder = pathlib.Path(package["manifest_path"]).parent
    wanted = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")
    files = [file for file in sorted(folder.iterdir()) if file.name.upper().startswith(wanted)]
    return [file.read_text(errors="replace").strip() for file in files if file.is_file()]


def main():
    target = next(
        line.split()[1]
        for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines()
        if line.startswith("host:")
    )
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    metadata = json.loads(subprocess.check_output(command))
    packages = sorted(linked(metadata), key=lambda package: (package["name"], package["version"]))
    crates = {}
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if not package["license"] and not texts(package):
            sys.exit(f"{name}: no licence; it can't be shipped")
        print(f"{name}: {package['license'] or 'see below'}")
        for text in texts(package):
            crates.setdefault(text, []).append(name)
    for text, names in sorted(crates.items(), key=lambda pair: pair[1]):
        print(f"\n{'=' * 80}\n{', '.join(names)}\n{'=' * 80}\n{text}")


main()
