//! Mismatches: what counts as one, and what does not.

use super::*;
use crate::knobs::Workers;
use crate::knobs::placement::{Layout, Placement, PoolSizes};
use crate::machine::Machine;

fn settings() -> Settings {
    let machine = Machine::synthetic("package:2 [numa(memory=8GB)] l3:2 core:4 pu:1");
    let demand = PoolSizes { model: 8, io: 1, preprocess: 2, batch: 1 };
    let placement: Placement = Layout::PartitionedNodes.place(&machine, demand).unwrap();
    Settings {
        intra_op_threads: 8,
        inter_op_threads: 2,
        placement,
        memory: MemoryPolicy::Preferred([0].into_iter().collect()),
        weights_memory: MemoryPolicy::Interleave([0, 1].into_iter().collect()),
        workers: Workers { io: 1, preprocess: 2, batch: 1 },
        tile_size: 512,
        vae_tile_size: 384,
        batch_size: 2,
        numerics: Numerics::default(),
        environment: [("OMP_NUM_THREADS".to_owned(), "8".to_owned())].into(),
        custom: [].into(),
        as_is: [].into(),
    }
}

#[test]
fn what_is_as_asked_has_no_mismatch() {
    let settings = settings();
    assert_eq!(Effect::as_asked(&settings).mismatches(&settings), []);
}

/// The one mismatch of an effect that is as asked but for `change`.
fn mismatch(change: impl FnOnce(&mut Effect)) -> String {
    let settings = settings();
    let mut effect = Effect::as_asked(&settings);
    change(&mut effect);
    let found = effect.mismatches(&settings);
    assert_eq!(found.len(), 1, "{found:?}");
    in_words(&found)
}

#[test]
fn every_difference_is_found_and_named() {
    let set = |text: &str| text.parse::<CpuSet>().unwrap();
    assert_eq!(
        mismatch(|effect| effect.intra_op_threads = Some(1)),
        "intra_op_threads: asked for 8, got 1"
    );
    assert_eq!(
        mismatch(|effect| effect.inter_op_threads = None),
        "inter_op_threads: asked for 2, got not reported"
    );
    assert_eq!(
        mismatch(|effect| {
            effect.pools.get_mut("model").unwrap().allowed.insert(set("3"));
        }),
        "affinity: model pool's CPUs: asked for 0-7, got 0-7 and 3"
    );
    assert_eq!(
        mismatch(|effect| drop(effect.pools.remove("io"))),
        "io_workers: io pool's threads: asked for 1, got 0"
    );
    assert_eq!(
        mismatch(|effect| effect.pools.get_mut("preprocess").unwrap().threads = 3),
        "preprocess_workers: preprocess pool's threads: asked for 2, got 3"
    );
    assert_eq!(
        mismatch(|effect| {
            let allowed = [set("0-63")].into();
            let stray = Pool { threads: 1, allowed, ran_on: set("40") };
            effect.pools.insert("other".to_owned(), stray);
        }),
        "affinity: CPUs of other threads: asked for within 0-15, got 0-63"
    );
    assert_eq!(
        mismatch(|effect| effect.memory = Some(MemoryPolicy::Default)),
        "memory_mode: memory policy: asked for preferred 0, got default"
    );
    assert_eq!(
        mismatch(|effect| effect.memory = None),
        "memory_mode: memory policy: asked for preferred 0, got not readable"
    );
    assert_eq!(
        mismatch(|effect| effect.weights_bytes = [(0, 4 << 30)].into()),
        "memory_mode: weights: asked for interleave 0-1, got only 0% on node 1"
    );
    assert_eq!(
        mismatch(|effect| effect.allocator = "tcmalloc".to_owned()),
        "allocator: asked for glibc, got tcmalloc"
    );
    assert_eq!(
        mismatch(|effect| drop(effect.environment.insert("OMP_PROC_BIND".into(), "true".into()))),
        "omp_places: OMP_PROC_BIND: asked for not set, got true"
    );
    assert_eq!(
        mismatch(|effect| effect.environment.clear()),
        "intra_op_threads: OMP_NUM_THREADS: asked for 8, got not set"
    );
}

#[test]
fn a_preloaded_library_must_be_there() {
    let mut settings = settings();
    let preload = "libjemalloc.so.2:/usr/lib/libiomp5.so".to_owned();
    settings.environment.insert("LD_PRELOAD".to_owned(), preload);
    let mut effect = Effect::as_asked(&settings);
    assert_eq!(
        (effect.allocator.as_str(), &effect.openmp[..]),
        ("jemalloc", &["libiomp5.so".to_owned()][..])
    );
    effect.openmp_in_use = Some("libgomp.so.1".to_owned());
    let found = in_words(&effect.mismatches(&settings));
    assert_eq!(found, "omp_runtime: OpenMP library: asked for libiomp5, got libgomp");
    effect.openmp_in_use = None;
    let found = in_words(&effect.mismatches(&settings));
    assert_eq!(found, "omp_runtime: OpenMP library: asked for libiomp5, got none");
}

#[test]
fn another_openmp_in_the_place_of_libtorchs_is_found() {
    let runtime = |file: &str| mismatches_with(|effect| effect.openmp_in_use = Some(file.into()));
    assert_eq!(runtime("libgomp-a34b3233.so.1"), "");
    let words = "omp_runtime: OpenMP library: asked for libgomp, got libomp";
    assert_eq!(runtime("libomp.so.5"), words);
}

/// The mismatches of an effect that is as asked but for `change`.
fn mismatches_with(change: impl FnOnce(&mut Effect)) -> String {
    let settings = settings();
    let mut effect = Effect::as_asked(&settings);
    change(&mut effect);
    in_words(&effect.mismatches(&settings))
}

#[test]
fn huge_pages_that_were_asked_for_must_be_there() {
    for (name, value) in [
        ("THP_MEM_ALLOC_ENABLE", "1"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=0:glibc.malloc.hugetlb=1"),
    ] {
        let mut settings = settings();
        settings.environment.insert(name.to_owned(), value.to_owned());
        let mut effect = Effect::as_asked(&settings);
        effect.anonymous_bytes = [(0, 63 << 20)].into();
        assert_eq!(effect.mismatches(&settings), []);
        effect.anonymous_bytes = [(0, 3 << 30)].into();
        let words = "huge_pages: asked for some, got none in 3072 MiB";
        assert_eq!(in_words(&effect.mismatches(&settings)), words);
        effect.huge_page_bytes = 2 << 20;
        assert_eq!(effect.mismatches(&settings), []);
    }
}

#[test]
fn threads_are_held_to_openmps_places() {
    let set = |text: &str| text.parse::<CpuSet>().unwrap();
    let masks = |texts: &[&str]| texts.iter().map(|text| set(text)).collect::<BTreeSet<_>>();
    let mut settings = settings();
    settings.intra_op_threads = 3;
    settings.environment.insert("OMP_PLACES".to_owned(), "{0:2},{2:2},{4:2},{6:2}".to_owned());
    settings.environment.insert("OMP_PROC_BIND".to_owned(), "spread".to_owned());
    let mut effect = Effect::as_asked(&settings);
    assert_eq!(effect.mismatches(&settings), []);
    let mut with = |texts: &[&str]| {
        effect.pools.get_mut("model").unwrap().allowed = masks(texts);
        in_words(&effect.mismatches(&settings))
    };
    // Whichever places, and a thread that OpenMP did not start.
    assert_eq!(with(&["0-1", "4-5", "6-7", "0-7"]), "");
    let words = "omp_places: model pool's CPUs: asked for 3 places of OMP_PLACES, got ";
    assert_eq!(with(&["0-7"]), format!("{words}0 in 0-7"));
    assert_eq!(with(&["0-1", "2-3"]), format!("{words}2 in 0-1 and 2-3"));
    assert_eq!(with(&["0-1", "2-3", "4-5", "6"]), format!("{words}3 in 0-1 and 2-3 and 4-5 and 6"));
}

#[test]
fn the_digest_follows_what_holds_and_not_where_threads_happened_to_run() {
    let mut effect = Effect::as_asked(&settings());
    let first = effect.digest();
    effect.pools.get_mut("model").unwrap().ran_on.insert(5);
    effect.anonymous_bytes = [(0, 123)].into();
    assert_eq!(effect.digest(), first);
    effect.memory = Some(MemoryPolicy::Default);
    assert_ne!(effect.digest(), first);
}

#[test]
fn each_knob_answers_for_its_part_of_a_list() {
    let mut settings = settings();
    let preload = "libjemalloc.so.2:libomp.so.5".to_owned();
    settings.environment.insert("LD_PRELOAD".to_owned(), preload);
    let with = |list: &str| {
        let mut effect = Effect::as_asked(&settings);
        effect.environment.insert("LD_PRELOAD".to_owned(), list.to_owned());
        in_words(&effect.mismatches(&settings))
    };
    let omp = "omp_runtime: LD_PRELOAD: asked for libomp.so.5, got not set";
    assert_eq!(with("libjemalloc.so.2"), omp);
    let allocator = "allocator: LD_PRELOAD: asked for libjemalloc.so.2, got not set";
    assert_eq!(with("libomp.so.5"), allocator);
    let more = "LD_PRELOAD: asked for libjemalloc.so.2:libomp.so.5, got evil.so:libjemalloc.so.2:libomp.so.5";
    assert_eq!(with("evil.so:libjemalloc.so.2:libomp.so.5"), more);
}
