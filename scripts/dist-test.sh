#!/bin/sh
# Unpacks a release and runs it as on a machine without Rust: dist-test.sh ARCHIVE
set -eu
archive=$(readlink -f "$1")
repository=$(cd "$(dirname "$0")/.." && pwd)
cargo=${CARGO_HOME:-$HOME/.cargo}
libtorch=${LIBTORCH:-$repository/libtorch}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$(dirname "$archive")" && sha256sum --quiet -c "$(basename "$archive").sha256")
tar -xzf "$archive" -C "$folder"
cd "$folder"/wan22-tune-*
sha256sum --quiet -c SHA256SUMS
alone() { env -i PATH=/usr/bin:/bin HOME="$folder" "$@"; }
fail() { echo "dist-test: $1" >&2; exit 1; }

for program in bin/wan22-tune libexec/wan22-worker; do
    readelf -S "$program" | grep -q '\.debug_info' && fail "$program is not stripped"
    readelf -d "$program" | grep -E 'R(UN)?PATH' | grep -qE 'work|home|root|build' && fail "$program knows where it was built"
done
for program in bin/wan22-tune bin/libwan22-mkl.so libexec/wan22-worker; do
    for path in "$cargo" "$repository" "$libtorch/include"; do
        found=$(strings -a "$program" | grep -F "$path/" | head -1 | cut -c 1-200)
        [ -z "$found" ] || fail "$program tells of $path ($found): dist.sh has the flags that map it"
    done
done
alone ldd bin/wan22-tune | grep -q "$PWD/lib/libhwloc" || alone ldd bin/wan22-tune | grep -q '/../lib/libhwloc' || fail "libhwloc is not the archive's"
alone ldd bin/wan22-tune | grep -q 'not found' && fail "the tuner lacks a library"
[ -z "$(alone LD_PRELOAD="$PWD/bin/libwan22-mkl.so" true 2>&1)" ] || fail "libwan22-mkl.so does not load"
alone bin/wan22-tune --version >/dev/null
alone bin/wan22-tune machine >/dev/null
alone bin/wan22-tune space >/dev/null
alone bin/wan22-tune doctor >/dev/null
alone bin/wan22-worker --help >/dev/null 2>&1 && fail "the worker runs without libtorch: which one has it found?"
alone LIBTORCH="$libtorch" bin/wan22-worker --help >/dev/null || fail "the worker does not find libtorch by LIBTORCH"
ln -s "$libtorch" libtorch
alone bin/wan22-worker --help >/dev/null || fail "the worker does not find libtorch beside it"
man --local-file share/man/man1/wan22-tune.1 >/dev/null 2>&1 || true
bash -n share/completions/wan22-tune.bash
grep -q 'MIT' share/doc/licences-of-crates.txt
echo "dist-test: $(basename "$archive") runs without Rust"
