#!/bin/sh
# Builds a release and packs it into dist/: stripped programs, the one library that not every Debian
# has, completions, manual pages, licences and checksums.
set -eu
cd "$(dirname "$0")/.."

# Panics and libtorch's assertions name source files; these flags take from their paths where they
# lay on the machine that built them. Cargo builds everything again where flags differ, so a release
# has a folder of its own: after it, `make build` and plain cargo find theirs as they left it.
here=$(pwd)
cargo=${CARGO_HOME:-$HOME/.cargo}
if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
    libtorch=$(python3 -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent)')
else
    libtorch=${LIBTORCH:-$here/libtorch}
fi
maps="-ffile-prefix-map=$here=. -ffile-prefix-map=$cargo=cargo -ffile-prefix-map=$libtorch=libtorch"
CARGO_TARGET_DIR=target/dist \
    RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$here=. --remap-path-prefix=$cargo=cargo" \
    CFLAGS="${CFLAGS:-} $maps" CXXFLAGS="${CXXFLAGS:-} $maps" cargo build --release --quiet
built=target/dist/release

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=wan22-tune-$version-$(rustc -vV | sed -n 's/^host: //p')
stage=target/dist/$name
rm -rf "$stage"
mkdir -p "$stage/bin" "$stage/libexec" "$stage/lib" "$stage/share/doc" dist

install -m 755 $built/wan22-tune "$stage/bin/"
install -m 755 $built/wan22-worker "$stage/libexec/"
# Looked for beside the tuner, which has it loaded where a profile asks.
install -m 644 $built/libwan22-mkl.so "$stage/bin/"
strip "$stage/bin/wan22-tune" "$stage/bin/libwan22-mkl.so" "$stage/libexec/wan22-worker"
hwloc=$(ldd $built/wan22-tune | sed -n 's/.*libhwloc.* => \(.*\) (.*/\1/p')
install -m 644 "$hwloc" "$stage/lib/"
# No library is looked for where it was built.
patchelf --set-rpath '$ORIGIN/../lib' "$stage/bin/wan22-tune"
patchelf --set-rpath '$ORIGIN/../libtorch/lib:$ORIGIN/../lib' "$stage/libexec/wan22-worker"
cat >"$stage/bin/wan22-worker" <<'END'
#!/bin/sh
# libtorch is looked for where LIBTORCH says, else in the folder libtorch beside bin.
here=$(dirname "$(readlink -f "$0")")
if [ -n "${LIBTORCH:-}" ]; then
    LD_LIBRARY_PATH=$LIBTORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
fi
exec "$here/../libexec/wan22-worker" "$@"
END
chmod 755 "$stage/bin/wan22-worker"

$built/wan22-tune man --output "$stage/share/man/man1"
for shell in bash zsh fish; do
    mkdir -p "$stage/share/completions"
    $built/wan22-tune completions $shell >"$stage/share/completions/wan22-tune.$shell"
done
cp -r README.md docs LICENSE-MIT LICENSE-APACHE scripts/libtorch.py "$stage/"
cp schema/profile.schema.json "$stage/share/"
python3 scripts/licences.py >"$stage/share/doc/licences-of-crates.txt"
cp src/report/plots/fonts/LICENSE "$stage/share/doc/licence-of-fonts.txt"
cp /usr/share/doc/libhwloc15/copyright "$stage/share/doc/licence-of-hwloc.txt"

(cd "$stage" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" \
    -C target/dist -cf - "$name" | gzip -9n >"dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
scripts/dist-test.sh "dist/$name.tar.gz"
echo "dist/$name.tar.gz"
