//! How long, and in how much memory, a thousand results folders compare:
//! `cargo bench --no-default-features --bench compare [FOLDERS] [CANDIDATES]`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

#[path = "../tests/harness/folders.rs"]
mod folders;

use std::path::Path;
use std::time::Instant;

use folders::MadeUp;

/// Folders that are really different; the others are copies on other hosts.
const DIFFERENT: usize = 50;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(1000);
    let candidates = numbers.get(1).copied().unwrap_or(60);
    let root = tempfile::tempdir().unwrap();
    generate(root.path(), count, candidates);
    for form in ["--json", "--csv", "--html=fleet.html"] {
        let program = env!("CARGO_BIN_EXE_wan22-tune");
        let started = Instant::now();
        let mut command = std::process::Command::new(program);
        command.args(["compare", ".", form]).current_dir(root.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        println!(
            "{count} folders of {} trials, compare {form}: {:.2} s, {} printed",
            candidates + 10,
            started.elapsed().as_secs_f64(),
            bytesize::ByteSize(output.stdout.len() as u64)
        );
    }
    println!("most memory of them: {} MiB", peak_kib() / 1024);
}

fn generate(root: &Path, count: usize, candidates: usize) {
    let different = DIFFERENT.min(count);
    for i in 0..count {
        let name = format!("run-{i:04}");
        if i < different {
            let (cores, groups) = (2 + i % 31, 1 + i % 4);
            let topology = format!("package:1 [numa] l3:{groups} core:{cores} pu:{}", 1 + i % 2);
            let mut made = MadeUp::new(&name, &topology);
            (made.candidates, made.model) = (candidates, (i % 3 == 0, 1.0 / (1 + i % 5) as f64));
            made.isa.extend((i % 3 == 0).then_some("avx512_bf16"));
            made.write(root);
        } else {
            copy(&root.join(format!("run-{:04}", i % different)), &root.join(&name), i % different);
        }
    }
}

/// The same on another host.
fn copy(from: &Path, to: &Path, original: usize) {
    std::fs::create_dir(to).unwrap();
    for file in ["space.toml", "trials.csv"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let machine = std::fs::read_to_string(from.join("machine.json")).unwrap();
    let host = to.file_name().unwrap().to_string_lossy();
    let machine = machine.replace(&format!("run-{original:04}"), &host);
    std::fs::write(to.join("machine.json"), machine).unwrap();
}

/// The most memory that any child had resident.
fn peak_kib() -> i64 {
    // SAFETY: an all-zero rusage is one, and it outlives the call.
    #[allow(unsafe_code, reason = "no crate that is here anyway has getrusage for children")]
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage.ru_maxrss
    }
}
