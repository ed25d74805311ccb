#!/bin/sh
# Records the spaces of benches/spaces exhaustively on this machine, into results/: tables of the
# project's own for `cargo bench --bench strategies`. BUDGET is spent on each: half an hour or so on all
# candidates (an hour for those of `pipeline`, whose second measurements take another), the rest on
# repetitions; cut short, the next run of this script goes on where it stopped. What was recorded on
# another machine has to be moved away first. Nothing else may run meanwhile.
#
#   scripts/record.sh [preprocess|decode|pipeline] [BUDGET]
set -eu
cd "$(dirname "$0")/.."
budget=${2:-45m}
run() {
    name=$1; shift
    folder=$(ls -d "results/recorded-$name/"*/ 2>/dev/null | head -n 1 || true)
    if [ -n "$folder" ]; then
        target/release/wan22-tune resume "$folder" --budget "$budget"
    else
        target/release/wan22-tune --budget "$budget" --strategy grid --seed 0 --repetitions 3 \
            --space "benches/spaces/$name.toml" --workload "benches/jobs/$name.toml" \
            --results "results/recorded-$name" "$@"
    fi
}
# The allocators of the spaces.
scripts/packages.sh libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0
# What tiles do to the picture of a tiny model with random weights says nothing about a real one's.
decode() { run decode --weights tests/goldens/wan --min-psnr 0; }
case ${1:-both} in
preprocess) run preprocess ;;
decode) decode ;;
pipeline) budget=${2:-2h30m}; run pipeline --weights tests/goldens/wan --min-psnr 0 ;;
both) run preprocess; decode ;;
*) echo "scripts/record.sh [preprocess|decode|pipeline] [BUDGET]" >&2; exit 2 ;;
esac
