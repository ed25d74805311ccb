//! What holds in a process against what its settings ask, in words.

use strum::VariantArray;

use super::{Effect, GOMP, MODEL, OPENMP, OTHER, Pool, places};
use crate::knobs::huge_pages::HugePages;
use crate::knobs::memory::MemoryPolicy;
use crate::knobs::mkl::MklDispatch;
use crate::knobs::places::Places;
use crate::knobs::{Numerics, Settings};
use crate::launch::page_placement;
use crate::machine::CpuSet;

impl Effect {
    /// In words, whatever differs from what `settings` ask; empty when everything is as asked.
    pub fn mismatches(&self, settings: &Settings) -> Vec<String> {
        let asked = Self::as_asked(settings);
        let mut found = self.count_mismatches(&asked);
        found.extend(self.pool_mismatches(&asked, settings));
        found.extend(self.memory_mismatches(settings));
        found.extend(self.environment_mismatches(&asked));
        if self.allocator != asked.allocator {
            found.push(differs("allocator", &asked.allocator, &self.allocator));
        }
        if asked.mkl_dispatch.is_some() && self.mkl_dispatch != asked.mkl_dispatch {
            let word = |dispatch: Option<MklDispatch>| {
                dispatch.map_or("not reported".to_owned(), |dispatch| dispatch.to_string())
            };
            let (asked, got) = (word(asked.mkl_dispatch), word(self.mkl_dispatch));
            found.push(differs("MKL's dispatch", &asked, &got));
        }
        if self.numerics != asked.numerics {
            let words = |numerics: Option<Numerics>| {
                serde_json::to_string(&numerics).expect("numerics are plain data")
            };
            found.push(differs("numerics", &words(asked.numerics), &words(self.numerics)));
        }
        found.extend(self.openmp_mismatch(&asked));
        found.extend(self.huge_page_mismatch(settings));
        found
    }

    /// The runtime that was asked for answers; where none was, libtorch's own does.
    fn openmp_mismatch(&self, asked: &Self) -> Option<String> {
        let runtime = |file: &str| OPENMP.into_iter().find(|name| file.starts_with(name));
        let wanted = asked.openmp_in_use.as_deref();
        let wanted = wanted.and_then(runtime).unwrap_or(GOMP);
        let got = self.openmp_in_use.as_deref().and_then(runtime);
        // A process without OpenMP has not put another in the place of libtorch's.
        let is_right = got.map_or(asked.openmp_in_use.is_none(), |got| got == wanted);
        (!is_right).then(|| differs("OpenMP library", wanted, got.unwrap_or("none")))
    }

    /// Large memory of which nothing came in huge pages although it was asked for.
    fn huge_page_mismatch(&self, settings: &Settings) -> Option<String> {
        let is_set = |(name, value): (&str, &str)| {
            settings.environment.get(name).is_some_and(|got| got.contains(value))
        };
        let asked = HugePages::VARIANTS.iter().filter_map(|who| who.variable()).any(is_set);
        let anonymous: u64 = self.anonymous_bytes.values().sum();
        let is_wrong =
            asked && anonymous >= page_placement::LEAST_BYTES && self.huge_page_bytes == 0;
        is_wrong.then(|| {
            let got = format!("none in {} MiB", anonymous >> 20);
            differs("huge pages", "some", &got)
        })
    }

    fn count_mismatches(&self, asked: &Self) -> Vec<String> {
        let counts = [
            ("intra-op threads", asked.intra_op_threads, self.intra_op_threads),
            ("inter-op threads", asked.inter_op_threads, self.inter_op_threads),
        ];
        let word = |count: Option<usize>| count.map_or("not reported".into(), |n| n.to_string());
        let wrong = counts.into_iter().filter(|(_, asked, got)| asked != got);
        wrong.map(|(what, asked, got)| differs(what, &word(asked), &word(got))).collect()
    }

    fn pool_mismatches(&self, asked: &Self, settings: &Settings) -> Vec<String> {
        let mut found = Vec::new();
        let process = &settings.placement.process;
        let places = places(settings);
        for (name, asked) in &asked.pools {
            let Some(pool) = self.pools.get(name) else {
                found.push(format!(
                    "{name} pool: asked for {} threads, there are none",
                    asked.threads
                ));
                continue;
            };
            // libtorch starts the model's threads as it needs them: a few less or more are right.
            if name != MODEL && pool.threads != asked.threads {
                let what = format!("{name} pool's threads");
                found.push(differs(&what, &asked.threads.to_string(), &pool.threads.to_string()));
            }
            if let Some(Places(places)) = places.as_ref().filter(|_| name == MODEL) {
                let model = &settings.placement.model;
                found.extend(place_mismatch(pool, places, asked.allowed.len(), model));
            } else if pool.allowed != asked.allowed {
                found.push(differs(&format!("{name} pool's CPUs"), &masks(asked), &masks(pool)));
            }
        }
        if let Some(other) = self.pools.get(OTHER)
            && !other.allowed.iter().all(|mask| mask.is_subset(process))
        {
            let asked = format!("within {process}");
            found.push(differs("CPUs of other threads", &asked, &masks(other)));
        }
        found
    }

    fn memory_mismatches(&self, settings: &Settings) -> Vec<String> {
        let mut found = Vec::new();
        match &self.memory {
            Some(got) if *got != settings.memory => {
                found.push(differs(
                    "memory policy",
                    &settings.memory.to_string(),
                    &got.to_string(),
                ));
            }
            // A container that forbids to read a policy forbids to set one: it is the default.
            None if settings.memory != MemoryPolicy::Default => {
                found.push(differs("memory policy", &settings.memory.to_string(), "not readable"));
            }
            _ => {}
        }
        let wrong = page_placement::mismatch(&settings.memory, &self.anonymous_bytes);
        found.extend(wrong.map(|wrong| format!("anonymous memory: {wrong}")));
        let wrong = page_placement::mismatch(&settings.weights_memory, &self.weights_bytes);
        found.extend(wrong.map(|wrong| format!("weights: {wrong}")));
        found
    }

    pub(super) fn environment_mismatches(&self, asked: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, asked) in &asked.environment {
            match self.environment.get(name) {
                Some(got) if got == asked => {}
                Some(got) => found.push(differs(name, asked, got)),
                None => found.push(differs(name, asked, "not set")),
            }
        }
        let extra =
            self.environment.iter().filter(|(name, _)| !asked.environment.contains_key(*name));
        found.extend(extra.map(|(name, value)| differs(name, "not set", value)));
        found
    }
}

pub(super) fn differs(what: &str, asked: &str, got: &str) -> String {
    format!("{what}: asked for {asked}, got {got}")
}

pub(super) fn masks(pool: &Pool) -> String {
    pool.allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// OpenMP's threads are in their places: as many places are taken as there are threads for, and
/// what is in none (a thread that OpenMP did not start) is at least among the model's CPUs.
fn place_mismatch(pool: &Pool, places: &[CpuSet], least: usize, model: &CpuSet) -> Option<String> {
    let taken = pool.allowed.iter().filter(|mask| places.contains(mask)).count();
    let astray = pool.allowed.iter().any(|mask| !places.contains(mask) && mask != model);
    (taken < least || astray).then(|| {
        let asked = format!("{least} places of OMP_PLACES");
        differs("model pool's CPUs", &asked, &format!("{taken} in {}", masks(pool)))
    })
}
