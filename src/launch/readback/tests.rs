//! Readback: what counts as a mismatch, and what does not.

use super::read::deciding;
use super::*;

#[test]
fn a_process_is_read_from_its_files() {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut write =
        |path: &str, text: &str| files.push((format!("proc/self/{path}"), text.to_owned()));
    let zeros = "0 ".repeat(35);
    for (id, name, cpus, last) in [
        (1, "wan-model", "0-3", 2),
        (2, "wan-model", "0-3", 3),
        (3, "wan-pre-0", "4-5", 4),
        (4, "cuda) 1 (x", "0-5", 0),
    ] {
        write(
            &format!("task/{id}/status"),
            &format!("Name:\t{name}\nCpus_allowed_list:\t{cpus}\n"),
        );
        write(&format!("task/{id}/stat"), &format!("{id} ({name}) S {zeros}{last} 0 0\n"));
    }
    write("environ", "PATH=/bin\0OMP_NUM_THREADS=4\0MALLOC_ARENA_MAX=4\0");
    write(
        "maps",
        "7f00-7f01 r--p 0 fe:00 1 /usr/lib/libtcmalloc_minimal.so.4\n\
         7f02-7f03 r-xp 0 fe:00 2 /opt/torch/lib/libgomp.so.1\n7f04-7f05 rw-p 0 00:00 0 [heap]\n",
    );
    write("smaps_rollup", "Rss: 9 kB\nAnonHugePages:      2048 kB\n");
    let (_tree, roots) = SystemRoots::of_files(&files);
    let effect = Effect::of_files(&roots);
    let model = &effect.pools["model"];
    assert_eq!((model.threads, model.ran_on.to_string().as_str()), (2, "2-3"));
    assert_eq!(model.masks(), "0-3");
    assert_eq!(effect.pools["preprocess"].threads, 1);
    assert_eq!(effect.pools["other"].ran_on.to_string(), "0");
    assert_eq!(
        effect.environment.keys().collect::<Vec<_>>(),
        ["MALLOC_ARENA_MAX", "OMP_NUM_THREADS"]
    );
    assert_eq!(effect.allocator, "tcmalloc");
    assert_eq!(effect.openmp, ["libgomp.so.1"]);
    assert_eq!(effect.huge_page_bytes, 2 << 20);
}

#[test]
fn this_very_process_can_be_read() {
    let named = std::thread::Builder::new().name("wan-model".to_owned());
    let effect = named.spawn(Effect::read).unwrap().join().unwrap();
    let model = &effect.pools["model"];
    assert_eq!(model.threads, 1);
    assert_eq!(
        model.allowed.iter().collect::<Vec<_>>(),
        [&crate::knobs::placement::bound().unwrap()]
    );
    assert!(model.ran_on.is_subset(model.allowed.first().unwrap()));
    assert_eq!(effect.allocator, "glibc");
}

#[test]
fn tunables_that_glibc_took_apart_are_read_as_they_were_set() {
    let environ =
        b"A=1\0GLIBC_TUNABLES=glibc.malloc.mmap_max=0\0glibc.malloc.top_pad=7\0OMP_NUM_THREADS=2\0";
    let read = deciding(environ);
    assert_eq!(read["GLIBC_TUNABLES"], "glibc.malloc.mmap_max=0:glibc.malloc.top_pad=7");
    assert_eq!(read["OMP_NUM_THREADS"], "2");
}
