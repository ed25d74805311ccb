//! What pages, tables and data hold, and that they can be made again.

use std::fs;

use super::*;

#[test]
fn failures_are_grouped_by_what_they_say() {
    let made = Made::new()
        .fails(&[], Outcome::Timeout, "killed after 30 s")
        .fails(&[], Outcome::Crashed, "fp32: no kernel at 0x7f")
        .fails(&[], Outcome::Timeout, "killed after 31.5 s")
        .fails(&[], Outcome::Crashed, "signal 9");
    assert_snapshot!(tables::trials::failures(&made.results).to_terminal(), @r#"
    times  outcome  cause                    trials
        2  timeout  killed after # s         1, 3
        1  crashed  fp32: no kernel at 0x7f  2
        1  crashed  signal 9                 4
    "#);
}

#[test]
fn the_markdown_of_a_gain() {
    assert_snapshot!(markdown(&gain().results), @r#"
    `wan22-tune --budget 4m` on Test CPU, 8 cores:

    **Gain: 25.0% less time per clip of 1280x704x121 in 50 steps than the baseline (95% interval 24.8% to 25.2%, 5 pairs of 384x384x13 slices).**

    |  | baseline | finalist |
    | --- | ---: | ---: |
    | seconds per clip | 4.00 | 3.00 |
    | vae_tile_size | 384 | 192 |

    As in the baseline: intra_op_threads 8, preprocess_workers 2, batch_size 2, affinity none.

    | busy seconds per clip | baseline | finalist |
    | --- | ---: | ---: |
    | read | 0.400 | 0.300 |
    | preprocess | 0.400 | 0.300 |
    | pack | 0.400 | 0.300 |
    | encode | 0.400 | 0.300 |
    | denoise | 2.00 | 1.50 |
    | decode | 0.400 | 0.300 |
    | write | 0.400 | 0.300 |

    14 trials: 13 ok, 1 timeout. Budget 4 min: 2 min 17 s measured, 28 s (11.7% of the budget, 16.0% of a trial measured in full) to start and warm up workers, 14 s between trials.
    "#);
}

#[test]
fn the_ranking_as_csv() {
    let results = gain().results;
    let text = csv(&results).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|row| row.split(',').collect()).collect();
    let knobs = results.space.given.baseline.keys().map(|name| format!("knob.{name}"));
    let others = ["rank", "score_s", "trials", "baseline"].map(ToOwned::to_owned);
    assert_eq!(rows[0], others.into_iter().chain(knobs).collect::<Vec<_>>());
    let shown = |row: &Vec<&str>| {
        let knobs = ["knob.affinity", "knob.batch_size", "knob.vae_tile_size"];
        let knobs = knobs.map(|name| row[rows[0].iter().position(|cell| *cell == name).unwrap()]);
        [&row[..4], &knobs].concat().join(",")
    };
    let expected =
        ["1,3,1,false,none,2,192", "2,3.5,1,false,compact,4,384", "3,4,1,true,none,2,384"];
    assert_eq!(rows[1..].iter().map(shown).collect::<Vec<_>>(), expected);
}

#[test]
fn the_json_says_what_the_summary_says() {
    let value: serde_json::Value = serde_json::from_str(&json(&gain().results).unwrap()).unwrap();
    assert_eq!(value["verdict"]["claim"], true);
    assert_eq!(value["best"]["knobs"]["vae_tile_size"], 192);
    assert_eq!(value["trials"]["outcomes"]["timeout"], 1);
    let empty: serde_json::Value =
        serde_json::from_str(&json(&Made::new().results).unwrap()).unwrap();
    assert_eq!(empty["verdict"]["claim"], false);
    assert!(empty["best"].is_null() && empty["stages"].is_null() && empty["importance"].is_null());
}

/// A clip takes twice as long with each smaller tile, whatever the batch and the workers.
#[test]
fn the_json_tells_what_each_knob_explains_and_how_the_cost_answers() {
    let mut made = Made::new().baseline(&[1.0]);
    for (batch, workers) in [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2), (4, 2)] {
        for (tile, seconds) in [(384, 1.0), (256, 2.0), (192, 4.0)] {
            let others = [("batch_size", batch), ("preprocess_workers", workers)];
            let values = [others[0], others[1], ("vae_tile_size", tile)];
            made = made.search(&values.map(|(name, value)| (name, number(value))), seconds);
        }
    }
    let value: serde_json::Value = serde_json::from_str(&json(&made.results).unwrap()).unwrap();
    let first = &value["importance"][0];
    assert_eq!(first["knob"], "vae_tile_size");
    assert!(first["share"].as_f64().unwrap() > 0.7, "{first}");
    assert!((0.0..0.3).contains(&first["error"].as_f64().unwrap()), "{first}");
    let curve = first["curve"].as_array().unwrap();
    let at = |size: i64| curve.iter().find(|at| at["value"] == size).unwrap();
    let ratio = |size| at(size)["ratio"].as_f64().unwrap();
    assert!(ratio(384) < ratio(256) && ratio(256) < ratio(192));
    assert_eq!(at(192)["observed"], 6);
    assert!(at(192)["log_error"].as_f64().unwrap() > 0.0);
}

/// Every file below a folder, by name.
fn files(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn machine_space_and_journal_alone_give_the_same_bytes_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path());
    simulated(40).write(&folder);
    let make = || {
        write(&folder, &Results::open(&folder).unwrap(), false).1.unwrap();
        files(folder.path())
    };
    let first = make();
    let endings = |ending: &str| first.keys().filter(|name| name.ends_with(ending)).count();
    assert!(endings(".svg") >= 4 && endings(".svg") == endings(".png"));
    fs::remove_file(folder.profile()).unwrap();
    fs::remove_file(folder.report()).unwrap();
    fs::remove_dir_all(folder.plots()).unwrap();
    assert!(make() == first);
    crate::profile::Profile::read(&folder.profile()).unwrap();
}

#[test]
fn every_kind_of_tune_has_a_page() {
    let mut single = gain();
    single.results.workload.sizes.clips = 1;
    let tunes = [
        Made::new(),
        Made::new().baseline(&[4.0]),
        Made::new().fails(&[], Outcome::Crashed, "signal 9"),
        Made::new().baseline(&[4.0]).search(&[("batch_size", number(1))], 3.0),
        single,
    ];
    for made in tunes {
        let pictures = pictures(&made.results).unwrap();
        let page = page::page(&made.results, &pictures, None).unwrap();
        assert!(page.contains(&verdict_of(&made).replace('<', "&lt;")));
    }
}

#[test]
fn strings_from_files_stay_strings() {
    let evil = "<script>alert(1)</script>\"'&|\u{1b}[31m";
    let mut made = Made::new().baseline(&[4.0]).search(&[("affinity", word(evil))], 3.0).fails(
        &[],
        Outcome::Crashed,
        evil,
    );
    let Results { machine, tune, workload, space, .. } = &mut made.results;
    let strings = [&mut machine.host, &mut machine.cpu.model, &mut machine.kernel];
    let strings = strings.into_iter().chain([&mut tune.command, &mut tune.tool]);
    strings.chain([&mut workload.name, &mut space.name]).for_each(|s| evil.clone_into(s));
    machine.notes.push(evil.to_owned());
    space.knobs[4].levels.push(word(evil));
    let pictures = pictures(&made.results).unwrap();
    let page = page::page(&made.results, &pictures, None).unwrap();
    assert!(page.matches("&lt;script&gt;alert(1)").count() > 10);
    assert_eq!(page.matches("<script").count(), 1, "the sorting of tables");
    let svgs = pictures.into_iter().map(|picture| picture.svg);
    for text in svgs.chain([page, markdown(&made.results), summary_of(&made)]) {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let cell = "| affinity | none | &lt;script&gt;alert(1)&lt;/script&gt;\"'&amp;\\| \\[31m |";
    assert!(markdown(&made.results).contains(cell));
}

#[test]
fn a_page_needs_nothing_else() {
    let made = gain();
    let pictures = pictures(&made.results).unwrap();
    let page = page::page(&made.results, &pictures, None).unwrap();
    assert!(!page.contains("http:") && !page.contains("https:"));
}
