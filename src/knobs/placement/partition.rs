//! Partitions: disjoint sets for the model and for each pool, along domain boundaries.

use super::domains::{Domain, Siblings};
use super::pools::{Placement, PoolSizes};
use crate::machine::CpuSet;

/// Gives the model whole domains, as many as its threads fill with a core each, and splits the
/// domains that are left between the three pools. At least one domain, the last, is left; `None`
/// where that one has fewer CPUs than there are pools.
pub fn partition(domains: &[Domain], l3s: &[Domain], demand: PoolSizes) -> Option<Placement> {
    if domains.len() < 2 || domains.last()?.cpus().len() < POOLS {
        return None;
    }
    let (model, rest) = domains.split_at(domains_for(domains, demand.model));
    let [io, preprocess, batch] = split(rest, l3s, [demand.io, demand.preprocess, demand.batch]);
    let model: CpuSet = model.iter().flat_map(|d| d.cores.iter().flatten().copied()).collect();
    let process = [&io, &preprocess, &batch].into_iter().fold(model.clone(), |a, b| a.union(b));
    Some(Placement { process, model, io, preprocess, batch })
}

const POOLS: usize = 3;

/// How many of the first domains have a core for each of `threads`, leaving at least one.
fn domains_for(domains: &[Domain], threads: usize) -> usize {
    let mut cores = 0;
    let enough = domains.iter().position(|domain| {
        cores += domain.cores.len();
        cores >= threads
    });
    enough.map_or(domains.len(), |last| last + 1).min(domains.len() - 1)
}

/// Splits domains between the pools by their threads: whole domains where there are enough,
/// else what of each L3 lies in them, else cores, else CPUs.
fn split(domains: &[Domain], l3s: &[Domain], threads: [usize; POOLS]) -> [CpuSet; POOLS] {
    let all = domains.iter().fold(CpuSet::empty(), |all, domain| all.union(&domain.cpus()));
    let cores = domains.iter().flat_map(|domain| &domain.cores);
    let whole = domains.iter().map(Domain::cpus).collect();
    let within = l3s.iter().map(|l3| l3.cpus().intersection(&all)).filter(|cpus| !cpus.is_empty());
    let cores = cores.map(|siblings: &Siblings| siblings.iter().copied().collect()).collect();
    let single = all.iter().map(|cpu| [cpu].into_iter().collect()).collect();
    let choices: [Vec<CpuSet>; 4] = [whole, within.collect(), cores, single];
    let enough = choices.into_iter().find(|units| units.len() >= POOLS);
    let units = enough.expect("partition() saw that there are enough CPUs");
    let mut units = units.into_iter();
    shares(units.len(), threads)
        .map(|share| units.by_ref().take(share).fold(CpuSet::empty(), |all, unit| all.union(&unit)))
}

/// Splits `units`, at least one for each pool, in proportion to `threads`: each unit goes to the
/// pool with the most threads a unit, so that no pool is more crowded than it must be.
fn shares(units: usize, threads: [usize; POOLS]) -> [usize; POOLS] {
    let mut shares = [1; POOLS];
    for _ in POOLS..units {
        let crowd = |pool: &usize| threads[*pool] as f64 / shares[*pool] as f64;
        let crowded = (0..POOLS).rev().max_by(|a, b| crowd(a).total_cmp(&crowd(b)));
        shares[crowded.expect("there are pools")] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_share_in_proportion_and_get_at_least_one() {
        assert_eq!(shares(3, [1, 8, 1]), [1, 1, 1]);
        assert_eq!(shares(10, [2, 6, 2]), [2, 6, 2]);
        assert_eq!(shares(5, [1, 1, 1]), [2, 2, 1]);
        assert_eq!(shares(4, [0, 0, 0]), [2, 1, 1]);
    }
}
