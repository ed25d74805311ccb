//! Proposals: how long choosing a candidate takes once many are known.

use std::time::Instant;

use wan22_tune::search::{Observation, Plan, StrategyName, Study};
use wan22_tune::space::{Candidate, Space, SpaceFile};

/// A made-up space of over a million candidates with conditions and constraints.
const LARGE: &str = r#"
schema = 1
name = "large"
why = "how long a proposal takes"
given = { cores = 64 }
baseline = { intra_op_threads = 1, interop = 1, preprocess_workers = 1, io_workers = 1, batch_workers = 1, tile = 128, layout = "a", memory = "a", nodes = 1, pages = "a" }
[knob]
intra_op_threads = { why = "", range = { min = 1, max = "cores" } }
interop = { why = "", values = [1, 2, 4, 8] }
preprocess_workers = { why = "", values = [1, 2, 4, 8, 12, 16] }
io_workers = { why = "", values = [1, 2, 4, 8] }
batch_workers = { why = "", values = [1, 2, 4, 8] }
tile = { why = "", values = [128, 192, 256, 384, 512] }
layout = { why = "", values = ["a", "b", "c", "d", "e"] }
memory = { why = "", values = ["a", "b", "c"] }
nodes = { why = "", values = [1, 2, 4], when = "memory == \"b\"" }
pages = { why = "", values = ["a", "b"] }
[[constraint]]
holds = "intra_op_threads + preprocess_workers + io_workers <= 2 * cores"
why = ""
[[constraint]]
holds = "intra_op_threads * batch_workers >= preprocess_workers || layout != \"c\""
why = ""
"#;

/// The models', whose times add up to the cost, and the pools', which are never waited for.
const STAGES: [(&str, f64); 8] = [
    ("text", 0.05),
    ("encode", 0.15),
    ("denoise", 0.5),
    ("decode", 0.3),
    ("read", 1e-3),
    ("preprocess", 1e-2),
    ("pack", 1e-3),
    ("write", 1e-2),
];

/// A made-up cost, with what each stage of the models took of it if asked: a model of each stage is what
/// costs the portfolio most.
fn observation(candidate: Candidate, is_staged: bool) -> Observation {
    let slope = |(knob, level): (usize, usize)| (level as f64 - knob as f64 / 3.0).powi(2);
    let cost = 10.0 + candidate.levels().enumerate().map(slope).sum::<f64>();
    let cost = Some(cost).filter(|_| candidate.level(6) != 3);
    let share = |(stage, share): (&str, f64)| Some((stage.to_owned(), share * cost?));
    let stages = STAGES.into_iter().filter(|_| is_staged).filter_map(share).collect();
    Observation { candidate, measurement: cost.into(), stages }
}

/// Prints what choosing costs after 300 trials.
pub fn times(strategies: Vec<StrategyName>) -> anyhow::Result<()> {
    let file = SpaceFile::parse(LARGE).map_err(anyhow::Error::msg)?;
    let space = Space::reopen(&file)?;
    println!("choosing after 300 trials, {} candidates before constraints:", space.raw_count());
    let timed = strategies.into_iter().filter(|name| *name != StrategyName::Grid);
    for (strategy, is_staged) in timed.flat_map(|name| [(name, false), (name, true)]) {
        let plan = Plan { strategy, ..Plan::default() };
        let mut study = Study::of_distinct(&space, plan);
        let mut waits: Vec<f64> = Vec::new();
        for trial in 0..330 {
            let asked = Instant::now();
            let candidate = study.ask(&[]).expect("there are millions");
            if trial >= 300 {
                waits.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            study.tell(observation(candidate, is_staged));
        }
        waits.sort_by(f64::total_cmp);
        let (middle, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        let (strategy, stages) = (<&str>::from(strategy), if is_staged { "8 stages" } else { "" });
        println!("{strategy:16} | {stages:8} | median {middle:6.2} ms | most {most:6.2} ms");
    }
    Ok(())
}
