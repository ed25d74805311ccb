//! Count: what the knobs have in common that are a number of threads.

use crate::knobs::Migration;
use crate::knobs::effect::{Effect, Mismatch, compare};

/// Far more threads than CPUs can't be meant; the baseline itself needs a few more.
pub fn check_range(count: usize, most: usize) -> Result<(), String> {
    if (1..=most).contains(&count) { Ok(()) } else { Err(format!("it takes 1 to {most}")) }
}

/// Scales a count with the cores, and says so. Threads above a quota are stopped in turn, however
/// many a core could have.
pub fn scale(count: &mut usize, to: &Migration<'_>) -> Option<String> {
    let (machine, there) = (to.here.machine, to.cores_there);
    let here = machine.core_limit();
    let ceiling = machine.quota_ceiling();
    *count = ((*count * here + there / 2) / there).clamp(1, ceiling.unwrap_or(usize::MAX));
    Some(match machine.limits.cpu_quota.filter(|_| ceiling.is_some()) {
        Some(quota) => format!("{there} cores there, a quota of {quota} CPUs' time here"),
        None => format!("{there} cores there, {here} here"),
    })
}

/// How many threads are in the pool called `name`, against how many were asked for.
pub fn mismatch(got: &Effect, name: &str, asked: usize) -> Vec<Mismatch> {
    let pool = got.pools.get(name).map_or(0, |pool| pool.threads);
    let what = || format!("{name} pool's threads");
    compare(&asked, &pool).map(|wrong| wrong.in_what(what())).into_iter().collect()
}
