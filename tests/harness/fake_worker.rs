//! Stands in for wan22-worker: answers at once with numbers that follow from the settings, or
//! misbehaves as `FAKE_WORKER` says when the candidate's batch size is 1. With `FAKE_WORKER_FIRST_S`
//! the first trial, the baseline's, takes that many seconds more, after which others may take long.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

use std::io::Write;
use std::process::{Command, Stdio, exit};
use std::time::Duration;

use wan22_tune::knobs::memory::MemoryPolicy;
use wan22_tune::launch::Effect;
use wan22_tune::runner::protocol::{Job, Message, VERSION};
use wan22_tune::trial::{Outcome, Quality, Sample};

fn main() {
    if std::env::args_os().nth(1).is_some_and(|word| word == "--version") {
        let libtorch = std::env::var("FAKE_LIBTORCH").unwrap_or_else(|_| "none".to_owned());
        println!("fake-worker 1, libtorch {libtorch}");
        return;
    }
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).unwrap();
    let job: Job = serde_json::from_str(&text).unwrap();
    if job.version != VERSION {
        eprintln!("version {}, not {VERSION}", job.version);
        exit(1);
    }
    let fault = std::env::var("FAKE_WORKER").unwrap_or_default();
    std::thread::sleep(Duration::from_secs(first_s(&job)));
    if job.settings.batch_size == 1 || fault.starts_with("always-") {
        misbehave(fault.trim_start_matches("always-"), &job);
    }
    answer(&job);
}

/// What the first trial takes longer.
fn first_s(job: &Job) -> u64 {
    if job.trial == 1 { from_environment("FAKE_WORKER_FIRST_S", 0) } else { 0 }
}

/// Seconds per clip: half of it shrinks with the threads, larger batches save a fifth each doubling.
fn seconds(job: &Job) -> f64 {
    let threads = job.settings.intra_op_threads as f64;
    let slower: f64 = from_environment("FAKE_WORKER_SLOWER", 1.0);
    let doublings = f64::from(job.settings.batch_size).log2();
    slower * (0.5 + 0.5 / threads) * 0.8_f64.powf(doublings)
}

fn from_environment<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    let said = std::env::var(name).ok();
    said.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} = {text}")))
}

fn answer(job: &Job) {
    measured(job);
    done(job, None);
}

fn measured(job: &Job) {
    say(&ready(job));
    for n in 0..job.repetitions.least {
        // A little noise that differs between trials, so that nothing is measured exactly.
        let noise = 1.0 + 0.001 * f64::from((job.trial as u32 * 7 + n * 3) % 5);
        sample(job, seconds(job) * noise);
    }
}

fn ready(job: &Job) -> Message {
    let mut effect = Effect::read();
    effect.intra_op_threads = Some(job.settings.intra_op_threads);
    effect.inter_op_threads = Some(job.settings.inter_op_threads);
    // It has no pools; the rest is really read back.
    effect.pools = Effect::as_asked(&job.settings).pools;
    effect.numerics = Some(job.settings.numerics);
    let setup_s = 0.01 + first_s(job) as f64;
    Message::Ready { trial: job.trial, setup_s, warmup_s: None, effect: Box::new(effect) }
}

fn sample(job: &Job, seconds: f64) {
    let stages = [("read", 0.01), ("decode", seconds * 0.7)];
    let stages = stages.into_iter().map(|(name, s)| (name.to_owned(), s)).collect();
    let sample = Sample { seconds, stages, minor_faults: 10, ..Sample::default() };
    let wall_s = seconds * f64::from(job.workload.sizes.clips);
    say(&Message::Sample { trial: job.trial, sample, wall_s });
}

fn done(job: &Job, psnr_db: Option<f64>) {
    let quality = psnr_db.map(|psnr_db| Quality { psnr_db, ssim: 0.9, ..Quality::default() });
    let (trial, peak_rss_bytes) = (job.trial, 1 << 30);
    let (stage_rss_bytes, peak) = ([].into(), None);
    let (peak_device_bytes, pictures) = (None, None);
    say(&Message::Done {
        trial,
        peak_rss_bytes,
        peak_device_bytes,
        stage_rss_bytes,
        quality,
        pictures,
        peak,
    });
}

fn say(message: &Message) {
    println!("{}", serde_json::to_string(message).unwrap());
}

fn misbehave(fault: &str, job: &Job) {
    match fault {
        "" => {}
        "hang" => std::thread::sleep(Duration::from_secs(3600)),
        "ignore-term" => {
            let script = "trap '' TERM INT HUP; while :; do sleep 1; done";
            let _ = Command::new("sh").args(["-c", script]).status();
        }
        "setsid" => {
            let _ = Command::new("setsid").args(["sleep", "3600"]).spawn();
            exit(0);
        }
        "flood" => {
            let line = [b'x'; 65536];
            while std::io::stdout().write_all(&line).is_ok() {}
        }
        "rubbish" => println!("Segmentation fault (just kidding)"),
        "silent" => exit(0),
        "status" => {
            eprintln!("no such device");
            exit(3);
        }
        "abort" => std::process::abort(),
        "nan" => raw(job, "null"),
        "infinite" => raw(job, "1e999"),
        "missing" => {
            say(&ready(job));
            println!(
                r#"{{"sample":{{"trial":{},"sample":{{"stages":{{}}}},"wall_s":1}}}}"#,
                job.trial
            );
        }
        "killed" => signal("KILL"),
        "terminated" => signal("TERM"),
        "segfault" => signal("SEGV"),
        "slow" => {
            say(&ready(job));
            sample(job, 9.0);
            std::thread::sleep(Duration::from_secs(3600));
        }
        "devour-in-a-child" => {
            // `tail` keeps a line until it has seen its end.
            let script = "head -c 1536M /dev/zero | tail";
            let _ = Command::new("sh").args(["-c", script]).stdout(Stdio::null()).status();
            std::thread::sleep(Duration::from_secs(3600));
        }
        "negative" => raw(job, "-1.0"),
        "other-job" => answer(&Job { trial: job.trial + 1, ..job.clone() }),
        "short" => {
            say(&ready(job));
            sample(job, 0.001);
            exit(0);
        }
        "poor" => {
            let outcome = Outcome::PoorQuality;
            say(&Message::Failed { trial: job.trial, outcome, detail: "PSNR 12 dB".to_owned() });
            exit(1);
        }
        "ugly" => pictured(job, 12.0),
        "moved" => pictured(job, 60.0),
        "keep-not-taken" if is_set(job, "GLIBC_TUNABLES") => misapplied(job, "wrong-environment"),
        "no-huge-pages" if is_set(job, "THP_MEM_ALLOC_ENABLE") => {
            misapplied(job, "wrong-huge-pages");
        }
        "keep-not-taken" | "no-huge-pages" => {}
        wrong if wrong.starts_with("wrong-") => misapplied(job, wrong),
        "devour" => {
            // No more than any machine has, however late the tuner looks.
            let hoard: Vec<Vec<u8>> = (0..24).map(|_| vec![1; 64 << 20]).collect();
            std::thread::sleep(Duration::from_secs(3600));
            drop(hoard);
        }
        other => panic!("no fault called {other}"),
    }
}

fn is_set(job: &Job, name: &str) -> bool {
    job.settings.environment.contains_key(name)
}

/// Ends by a signal of one's own.
fn signal(name: &str) {
    let (flag, own) = (format!("-{name}"), std::process::id().to_string());
    // Rust's own handler outlives the first SEGV that is no fault of an address.
    for _ in 0..10 {
        let _ = Command::new("kill").args([&flag, &own]).status();
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The best trial of all but for its picture.
fn pictured(job: &Job, psnr_db: f64) {
    say(&ready(job));
    for _ in 0..job.repetitions.least {
        sample(job, 0.001);
    }
    done(job, Some(psnr_db));
    exit(0);
}

/// The best numbers of all, under settings that were not asked for.
fn misapplied(job: &Job, wrong: &str) {
    let Message::Ready { trial, setup_s, mut effect, .. } = ready(job) else { unreachable!() };
    distort(&mut effect, wrong);
    say(&Message::Ready { trial, setup_s, warmup_s: None, effect });
    for _ in 0..job.repetitions.least {
        sample(job, 0.001);
    }
    done(job, None);
    exit(0);
}

/// Makes the effect another one than was asked for, in one respect.
fn distort(effect: &mut Effect, wrong: &str) {
    let elsewhere = || ["4000".parse().unwrap()].into();
    match wrong {
        "wrong-mask" => effect.pools.get_mut("model").unwrap().allowed = elsewhere(),
        "wrong-pool-mask" => effect.pools.get_mut("io").unwrap().allowed = elsewhere(),
        "wrong-policy" => effect.memory = Some(MemoryPolicy::Bind([7].into_iter().collect())),
        "wrong-threads" => effect.intra_op_threads = effect.intra_op_threads.map(|n| n + 7),
        "wrong-pool-size" => effect.pools.get_mut("preprocess").unwrap().threads += 1,
        "wrong-allocator" => effect.allocator = "mimalloc".to_owned(),
        "wrong-openmp" => effect.openmp_in_use = Some("libiomp5.so".to_owned()),
        "wrong-huge-pages" => {
            effect.anonymous_bytes = [(0, 1 << 30)].into();
            effect.huge_page_bytes = 0;
        }
        "wrong-environment" => effect.environment.clear(),
        "wrong-numerics" => effect.numerics = None,
        other => panic!("no fault called {other}"),
    }
}

/// A sample whose seconds no honest serialiser writes.
fn raw(job: &Job, seconds: &str) {
    say(&ready(job));
    let trial = job.trial;
    println!(
        r#"{{"sample":{{"trial":{trial},"sample":{{"seconds":{seconds},"stages":{{}},"minor_faults":0,"run_queue_share":0}},"wall_s":1}}}}"#
    );
    exit(0);
}
