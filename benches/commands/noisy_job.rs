//! A job of known cost for the bench of real tunes: `noisy-job NOISE STATE SECONDS GAIN SLEEP` draws
//! what its run costs, prints it, and sleeps that long where SLEEP is `cost`, else SECONDS.
//!
//! NOISE is a name and numbers, such as `growth:0.008` or `neighbours:0.2:0.05`; STATE is a file
//! that remembers the runs before, at first `RUNS 0 0 SEED`. It costs GAIN, a share, less where OMP_NUM_THREADS is 1.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What the runs before left: their number, when the first began, the last level, the generator.
struct State {
    runs: f64,
    began_s: f64,
    level: f64,
    seed: u64,
}

impl State {
    fn read(path: &str, now_s: f64) -> Result<Self> {
        let text = fs::read_to_string(path).context("STATE")?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [runs, began_s, level, seed] = words.as_slice() else { bail!("STATE: {text}") };
        let began_s: f64 = began_s.parse()?;
        Ok(Self {
            runs: runs.parse()?,
            began_s: if began_s == 0.0 { now_s } else { began_s },
            level: level.parse()?,
            seed: seed.parse()?,
        })
    }
}

fn main() -> Result<()> {
    let words = std::env::args_os().skip(1);
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let [noise, path, seconds, gain, sleep] = words.as_slice() else {
        bail!("noisy-job NOISE STATE SECONDS GAIN SLEEP")
    };
    let (seconds, gain): (f64, f64) = (seconds.parse()?, gain.parse()?);
    let is_fast = std::env::var("OMP_NUM_THREADS").is_ok_and(|threads| threads == "1");
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let mut state = State::read(path, now_s)?;
    state.runs += 1.0;
    let factor = factor(noise, &mut state, now_s)?;
    let cost_s = seconds * factor.clamp(0.05, 20.0) * if is_fast { 1.0 - gain } else { 1.0 };
    let State { runs, began_s, level, seed } = state;
    fs::write(path, format!("{runs} {began_s} {level} {seed}")).context("STATE")?;
    let sleep_s = if sleep == "cost" { cost_s } else { seconds };
    std::thread::sleep(Duration::from_secs_f64(sleep_s));
    writeln!(std::io::stdout(), "cost={cost_s:.9}")?;
    Ok(())
}

/// How many times as much as usual this run costs.
fn factor(noise: &str, state: &mut State, now_s: f64) -> Result<f64> {
    let mut words = noise.split(':');
    let kind = words.next().unwrap_or_default();
    let numbers: Vec<f64> = words.map(str::parse).collect::<Result<_, _>>().context("NOISE")?;
    let (p, q) = (numbers.first().copied(), numbers.get(1).copied().unwrap_or_default());
    let p = p.unwrap_or_default();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(state.seed);
    let uniform: f64 = rng.random();
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    state.seed = rng.random();
    let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    let jitter = 1.0 + 0.002 * normal;
    Ok(match kind {
        "normal" => 1.0 + p * normal,
        "pareto" => 0.97 + 0.03 * (1.0 - uniform).powf(-1.0 / 1.3),
        "lognormal" => (p * normal).exp(),
        "bimodal" => (1.0 + p * f64::from(uniform < 0.5)) * jitter,
        "neighbours" => {
            if uniform < q {
                state.level = 1.0 - state.level;
            }
            (1.0 + p * state.level) * jitter
        }
        "correlated" => {
            state.level = p * state.level + (1.0 - p * p).sqrt() * normal;
            (q * state.level).exp()
        }
        "quantised" => ((1.0 + p * normal) / q).round() * q,
        "sawtooth" => 1.0 + p * (state.runs % q) / q,
        "drift" => (1.0 + p * (now_s - state.began_s)) * jitter,
        "growth" => (1.0 + p).powf(state.runs),
        _ => bail!("NOISE: `{kind}` is none"),
    })
}
