//! Many runs compared: made-up folders, the library's own tables, and the program.

#[path = "harness/folders.rs"]
mod folders;
mod harness;

use std::path::PathBuf;

use folders::MadeUp;
use harness::World;
use insta::assert_snapshot;
use wan22_tune::fleet::comparison;
use wan22_tune::fleet::comparison::Comparison;
use wan22_tune::fleet::comparison::portability::ProfileRegret;

/// Eight, sixteen and sixteen cores, of which the last have bfloat16.
fn three(world: &World) -> Vec<PathBuf> {
    three_of(world, 40)
}

fn three_of(world: &World, candidates: usize) -> Vec<PathBuf> {
    let small = MadeUp::new("small", "package:1 l3:1 core:8 pu:1");
    let large = MadeUp::new("large", "package:1 l3:2 core:8 pu:1");
    let mut fast = MadeUp::new("fast", "package:1 l3:2 core:8 pu:1");
    fast.isa.push("avx512_bf16");
    fast.model = (true, 1.0);
    let all = [small, large, fast].map(|made| MadeUp { candidates, ..made });
    all.iter().map(|made| made.write(world.path())).collect()
}

/// All lines but those that start so.
fn without(start: &str, text: &str) -> String {
    text.lines().filter(|line| !line.starts_with(start)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn three_machines_in_a_terminal() {
    let world = World::new();
    let fleet = Comparison::open(&three(&world));
    // Which knobs are nowhere turned changes with every new knob.
    let text = without("the same everywhere: ", &comparison::text(&fleet));
    assert_snapshot!(text, @r#"
    3 runs on 3 different machines

    #  run             place   over its baseline  over libtorch's defaults  trials
    1  fast                1  58.4% [58.0, 58.7]        58.4% [58.3, 58.5]      50
    2  large              ~2  20.0% [19.4, 20.7]        20.1% [19.9, 20.3]      50
    3  small              ~2  20.0% [19.5, 20.4]        20.0% [19.7, 20.2]      50
       geometric mean                      35.7%                     35.7%
    share of time saved [95% interval]; ~: not told apart from nothing, or in place from another
    means of all runs count what is not proven as nothing

    The machines
    run    cores  CPUs  L3 groups  instruction sets
    fast      16    16          2  avx2 avx512_bf16
    large     16    16          2  avx2
    small      8     8          1  avx2

    Their best settings
    run    affinity  allocator   batch_size  conv_backend  huge_pages  inter_op_threads  intra_op_threads  matmul_precision  memory_format  precision  preprocess_workers  tile_size  vae_tile_size
    fast   compact   tcmalloc             2  auto          libtorch                   6                12  highest           channels-last  bf16-vae                    3        512             96
    large  one-l3    glibc-keep           1  slow-conv3d   glibc                     16                16  medium            contiguous     fp32                        1        128            512
    small  compact   glibc-keep           1  slow-conv3d   glibc                      8                 8  medium            contiguous     fp32                        1        128            512

    Which knobs move with which property of the machine takes 5 different machines to see

    How far each profile carries
    profile of  worst regret  on  measured  predicted  neither
    3 small            92.3%   1         1          2        0
    1 fast            524.7%   2         2          1        0
    2 large            92.1%   1         2          0        1

    Each profile on each machine
    profile of       1       2        3
    3 small     92.3%*  13.4%*      own
    1 fast         own  524.7%  476.3%≈
    2 large      92.1%     own        -
    regret: time more than with the machine's own profile. No mark: measured. *: predicted from the machine's own trials. ≈: predicted, counts fitted to the machine. -: the machine can't run it. ?: nothing to predict from
    - no affinity one-l3: 2 on 3

    If one i2v profile has to do for all 3 runs, take that of 3 small: at worst 92.3% more time, on fast (2 of them predicted).
    "#);
}

/// The small machine's 8 threads on 16 cores are crowded by 1 + ln²(1/2) / 2 = 1.24, and float32
/// takes twice bfloat16's time where that is fast.
#[test]
fn predictions_are_near_what_the_model_says() {
    let world = World::new();
    let fleet = Comparison::open(&three_of(&world, 150));
    let at = |name: &str| fleet.members.iter().position(|m| m.name == name).unwrap();
    let small = fleet.portability.profiles.iter().find(|p| p.from == [at("small")]).unwrap();
    assert_eq!(small.regrets[at("small")], ProfileRegret::Own);
    for (name, truth) in [("large", 1.24_f64), ("fast", 2.48)] {
        let ProfileRegret::Predicted { regret, .. } = small.regrets[at(name)] else {
            panic!("{name}: {:?}", small.regrets[at(name)]);
        };
        assert!(((1.0 + regret) / truth).ln().abs() < 0.25, "{name}: {regret}");
    }
}

#[test]
fn a_run_on_the_very_machine_is_no_prediction() {
    let world = World::new();
    let mut first = MadeUp::new("first", "package:1 l3:1 core:8 pu:1");
    let mut again = MadeUp { name: "again".to_owned(), candidates: 60, ..first.clone() };
    (first.host_key, again.host_key) = ("one".to_owned(), "one".to_owned());
    let fleet = Comparison::open(&[first.write(world.path()), again.write(world.path())]);
    // The longer search began with the same candidates, so it measured both profiles.
    let cells = fleet.portability.profiles.iter().flat_map(|profile| &profile.regrets);
    let predicted = cells.filter(|cell| matches!(cell, ProfileRegret::Predicted { .. })).count();
    assert_eq!(predicted, 0, "{:?}", fleet.portability);
}

#[test]
fn seven_machines_show_that_threads_move_with_cores() {
    let world = World::new();
    let folders: Vec<PathBuf> = [2, 4, 6, 8, 12, 16, 24]
        .map(|cores| {
            let topology = format!("package:1 l3:1 core:{cores} pu:1");
            let mut made = MadeUp::new(&format!("cores-{cores}"), &topology);
            made.model = (cores > 8, 1.0);
            made.isa.extend((cores > 8).then_some("avx512_bf16"));
            made.write(world.path())
        })
        .to_vec();
    let fleet = Comparison::open(&folders);
    let relations = comparison::relation::relations(&fleet.members);
    let threads =
        relations.iter().find(|r| r.knob == "intra_op_threads" && r.property == "cores").unwrap();
    assert!(threads.correlation > 0.9 && threads.machines == 7, "{threads:?}");
    let wordings = comparison::relation::wordings(&fleet.members);
    let bf16 = wordings.iter().find(|w| w.knob == "precision" && w.value.to_string() != "fp32");
    let range = |w: &comparison::relation::Wording, name: &str| {
        w.ranges.iter().find(|range| range.0 == name).map(|range| (range.1, range.2))
    };
    assert_eq!(range(bf16.unwrap(), "avx512_bf16"), Some((1.0, 1.0)));
}

/// Both take four fifths of their baseline's time, without noise: frames per second grow by a quarter.
fn clips_and_frames(world: &World) -> [PathBuf; 2] {
    let quiet = |name| MadeUp { noise: 0.0, ..MadeUp::new(name, "package:1 l3:1 core:8 pu:1") };
    let (clips, frames) = (quiet("clips"), MadeUp { frames: true, ..quiet("frames") });
    [clips.write(world.path()), frames.write(world.path())]
}

fn near(value: &serde_json::Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() < 1e-9, "{value} {expected}");
}

#[test]
fn a_metric_to_be_large_grows() {
    let world = World::new();
    clips_and_frames(&world);
    let read = |args: &[&str]| world.tuner(&[&["compare"], args].concat()).run().stdout;
    let value: serde_json::Value = serde_json::from_str(&read(&["frames", "--json"])).unwrap();
    let run = &value["runs"][0];
    assert_eq!((&run["goal"], &value["geometric_mean"]["goal"]), (&"max".into(), &"max".into()));
    near(&run["over_baseline"]["mean"], 0.25);
    near(&run["over_defaults"]["mean"], 0.25);
    near(&value["geometric_mean"]["over_baseline"], 0.25);
    let csv = read(&["frames", "--csv"]);
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let row: std::collections::HashMap<String, String> =
        rows.deserialize().next().unwrap().unwrap();
    assert_eq!(row["goal"], "max");
    assert!((row["over_baseline"].parse::<f64>().unwrap() - 0.25).abs() < 1e-9);
    let text = read(&["frames", "--html", "frames.html"]);
    assert!(text.contains("\ngrowth of the metric [95% interval]"), "{text}");
    let page = std::fs::read_to_string(world.path().join("frames.html")).unwrap();
    assert!(page.contains("Growth of the metric, by run"));
    assert!(!text.contains("time saved") && !page.contains("time saved"));
}

#[test]
fn growth_and_saving_have_one_mean() {
    let world = World::new();
    let fleet = Comparison::open(&clips_and_frames(&world));
    let value: serde_json::Value =
        serde_json::from_str(&comparison::json(&fleet).unwrap()).unwrap();
    // Four fifths of either cost are left, so four fifths in the mean; the ends of the growth are
    // 1 / (1 - 0.188) - 1 and 1 / (1 - 0.212) - 1.
    assert_eq!(value["geometric_mean"]["goal"], "min");
    near(&value["geometric_mean"]["over_baseline"], 0.2);
    let text = comparison::text(&fleet);
    assert_snapshot!(text.lines().skip(2).take(7).collect::<Vec<_>>().join("\n"), @r#"
    #  run             place        over its baseline  over libtorch's defaults  trials
    1  clips              ~1  20.0% [19.7, 20.3] less   20.0% [20.0, 20.0] less      50
    2  frames             ~1  25.0% [24.6, 25.4] more   25.0% [25.0, 25.0] more      50
       geometric mean                      20.0% less                20.0% less
    share of time saved or growth of the metric [95% interval]; ~: not told apart from nothing, or in place from another
    means of all runs count what is not proven as nothing
    the geometric mean is of costs: a metric that is to grow costs its reciprocal, so that twice as much of it is half the cost
    "#);
}

/// At a quarter more time a fifth of the frames is lost, 1 - 1 / 1.25.
#[test]
fn regret_of_a_metric_is_what_is_lost_of_it() {
    let world = World::new();
    let made = |name, topology| MadeUp { frames: true, ..MadeUp::new(name, topology) };
    let small = made("small", "package:1 l3:1 core:8 pu:1").write(world.path());
    let large = made("large", "package:1 l3:2 core:8 pu:1").write(world.path());
    let fleet = Comparison::open(&[small, large]);
    let at = |name: &str| fleet.members.iter().position(|m| m.name == name).unwrap();
    let carried = fleet.portability.profiles.iter().find(|p| p.from == [at("small")]).unwrap();
    let cost = carried.regrets[at("large")].regret().unwrap();
    let value: serde_json::Value =
        serde_json::from_str(&comparison::json(&fleet).unwrap()).unwrap();
    let profiles = value["portability"]["profiles"].as_array().unwrap();
    let of_small = profiles.iter().find(|p| p["of"][0] == "small").unwrap();
    near(&of_small["on"]["large"]["regret"], 1.0 - 1.0 / (1.0 + cost));
    assert_eq!(
        (&of_small["goal"], &of_small["job"]),
        (&"max".into(), &"./job (json:/fps, goal max)".into())
    );
    let text = comparison::text(&fleet);
    assert!(text.contains("regret: metric less than with the machine's own profile"), "{text}");
    assert!(text.contains(" less of the metric, on large ("), "{text}");
}

#[test]
fn broken_folders_are_named_and_the_others_compared() {
    let world = World::new();
    let folders = three(&world);
    std::fs::write(folders[0].join("trials.csv"), "trial\nnonsense\n").unwrap();
    std::fs::remove_file(folders[1].join("machine.json")).unwrap();
    let run = world.tuner(&["compare", "small", "large", "fast", "nowhere"]).run().exits(0);
    assert_eq!(run.stderr.lines().count(), 3, "{}", run.stderr);
    for (line, word) in
        run.stderr.lines().zip(["small/trials.csv", "large/machine.json", "nowhere"])
    {
        assert!(line.starts_with("warning: ") && line.contains(word), "{line}");
    }
    assert!(run.stdout.starts_with("1 run on 1 different machine\n"), "{}", run.stdout);
    let run = world.tuner(&["compare", "nowhere"]).run().exits(1);
    assert!(run.stderr.contains("none of these is a results folder"), "{}", run.stderr);
    assert_eq!(world.tuner(&["compare"]).run().status, Some(2));
}

#[test]
fn a_folder_of_folders_stands_for_what_it_holds() {
    let world = World::new();
    three(&world);
    let all = world.tuner(&["compare", "."]).run();
    let twice = world.tuner(&["compare", "small", "large", "fast", "./small"]).run();
    assert_eq!(all.status, Some(0), "{}", all.stderr);
    assert_eq!(all.stdout, twice.stdout);
}

#[test]
fn json_csv_and_page_hold_every_run() {
    let world = World::new();
    let mut evil = MadeUp::new("evil", "package:1 l3:1 core:4 pu:1");
    evil.model_name = "<script>alert(1)</script>".to_owned();
    evil.write(world.path());
    three(&world);
    let run = world.tuner(&["compare", ".", "--json", "--html", "fleet.html"]).run();
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["runs"].as_array().unwrap().len(), 4);
    assert_eq!(value["portability"]["profiles"].as_array().unwrap().len(), 4);
    let page = std::fs::read_to_string(world.path().join("fleet.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)") && page.matches("<script").count() == 1);
    assert!(!page.contains("http:") && !page.contains("https:"));
    let csv = world.tuner(&["compare", ".", "--csv"]).run().stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let cores = header.iter().position(|name| name == "cores").unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let mut found: Vec<u32> = rows.iter().map(|row| row[cores].parse().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, [4, 8, 16, 16]);
}

#[test]
fn what_differs_between_two_profiles() {
    let world = World::new();
    for folder in three(&world) {
        assert_eq!(world.tuner(&["report", folder.to_str().unwrap()]).run().status, Some(0));
    }
    let diff = |args: &[&str]| world.tuner(&[&["diff"], args].concat()).run();
    let run = diff(&["small/profile.json", "large/profile.json"]);
    // The last digits of measured numbers are not promised, nor is the width that they need.
    let rows = without("evidence.", &run.stdout);
    let rows: Vec<_> =
        rows.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_snapshot!(rows.join("\n"), @r#"
    one other
    candidate.affinity compact one-l3
    candidate.inter_op_threads 8 16
    candidate.intra_op_threads 8 16
    launch.environment.MKL_NUM_THREADS 8 16
    launch.environment.NUMEXPR_NUM_THREADS 8 16
    launch.environment.OMP_NUM_THREADS 8 16
    launch.environment.TORCH_NUM_THREADS 8 16
    optimal_settings.num_threads 8 16
    optimal_settings.preprocessing_threads 8 16
    hardware_profile.cpu_cores 8 16
    machine.allowed 0-7 0-15
    machine.fingerprint.identity 46ae6af44cf2fcf6 0aab8ad1854d65c3
    machine.fingerprint.shape 39c66edc5b0c49d2 ebfced764f07b085
    machine.host small large
    "#);
    assert_eq!(diff(&["small/profile.json", "small/profile.json"]).stdout, "The same.\n");
    let run = diff(&["small/profile.json", "fast/profile.json", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let precision = value.as_array().unwrap().iter().find(|d| d["at"] == "candidate.precision");
    assert_eq!(precision.unwrap()["one"], "fp32");
    assert_eq!(diff(&["small/profile.json", "nothing.json"]).status, Some(1));
}
