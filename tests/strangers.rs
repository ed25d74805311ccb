//! What strangers hand in: files that never end, topologies as they arrive, numbers that are none.

mod harness;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::World;

/// Seconds after which a program hangs.
const PATIENCE: &str = "60";

/// A run of the tuner with this text on its standard input: its status, and what it printed.
fn tuner(world: &World, words: &[&OsStr], input: &[u8]) -> (i32, String, String) {
    let mut child = Command::new("timeout")
        .arg(PATIENCE)
        .arg(env!("CARGO_BIN_EXE_wan22-tune"))
        .args(words)
        .current_dir(world.path())
        .env("WAN22_LOCK_DIR", world.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A tuner that refuses its flags does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().unwrap();
    assert!(![101, 124].contains(&status), "{words:?}: {}", text(&output.stderr));
    (status, text(&output.stdout), text(&output.stderr))
}

fn words<'a>(line: &'a [&'a str]) -> Vec<&'a OsStr> {
    line.iter().map(OsStr::new).collect()
}

fn committed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn a_pipe_that_nobody_writes_to_and_a_device_without_end_are_refused() {
    let world = World::new();
    let fifo = world.path().join("fifo.safetensors");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::write(world.path().join("m.pt"), "PK\x03\x04").unwrap();
    let zero = Path::new("/dev/zero");
    let results = committed("results/2026-11-29-vm");
    let profile = results.join("profile.json");
    let [results, profile] = [&results, &profile].map(|path| path.to_str().unwrap());
    for special in [&fifo, zero] {
        let file = special.to_str().unwrap();
        for line in [
            &["space", "--space", file][..],
            &["space", "--workload", file],
            &["space", "--xml", file],
            &["machine", "--xml", file],
            &["machine", "--profile", file],
            &["--dry-run", "--space", file, "--", "true"],
            &["--dry-run", "--baseline", file],
            &["--dry-run", "--module", file, "--inputs", "1"],
            &["--budget", "1s", "--warm-start", file, "--", "true"],
            &["report", results, "--splice", file],
            &["profiles", "verify", "--signature", file, "--allowed-signers", file, profile],
        ] {
            let (status, _, said) = tuner(&world, &words(line), b"");
            assert!([1, 2].contains(&status), "{line:?}: {status} {said}");
            assert!(said.contains("not a regular file"), "{line:?}: {said}");
        }
    }
    let line = ["--dry-run", "--module", "m.pt", "--inputs", "fifo.safetensors"];
    let (status, _, said) = tuner(&world, &words(&line), b"");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("--inputs fifo.safetensors: not a regular file"), "{said}");
}

#[test]
fn a_topology_is_read_from_a_pipe_and_however_it_was_saved() {
    let world = World::new();
    let xml = fs::read_to_string(committed("tests/machines/apple-m1.xml")).unwrap();
    let file = committed("tests/machines/apple-m1.xml");
    let line = ["machine", "--json", "--xml", file.to_str().unwrap()];
    let (status, expected, said) = tuner(&world, &words(&line), b"");
    assert_eq!(status, 0, "{said}");
    assert!(expected.contains("efficiency"), "{expected}");
    let bare = &xml[xml.find("<topology").unwrap()..];
    let sentence = "This XML file does not appear to have any style information.\n";
    for arrived in [
        xml.clone(),
        xml.replace('\n', "\r\n"),
        format!("\u{feff}\n{xml}"),
        format!("{sentence}{bare}"),
        format!("```xml\n{xml}```\n"),
    ] {
        for name in ["-", "/dev/stdin", "/dev/fd/0"] {
            let line = ["machine", "--json", "--xml", name];
            let (status, machine, said) = tuner(&world, &words(&line), arrived.as_bytes());
            assert_eq!((status, &machine), (0, &expected), "{said}");
        }
        fs::write(world.path().join("saved.xml"), &arrived).unwrap();
        let line = ["machine", "--json", "--xml", "saved.xml"];
        assert_eq!(tuner(&world, &words(&line), b"").1, expected);
    }
    let (status, plan, _) = tuner(&world, &words(&["space", "--xml", "-"]), xml.as_bytes());
    assert!(status == 0 && plan.contains("performance-cores"), "{plan}");
    for nothing in ["", "<html/>", &xml[..900], &xml.repeat(2)] {
        let line = ["machine", "--xml", "-"];
        let (status, _, said) = tuner(&world, &words(&line), nothing.as_bytes());
        assert_eq!((status, said.starts_with("wan22-tune: -: ")), (2, true), "{said}");
    }
}

#[test]
fn a_pipe_without_end_is_read_so_far_and_no_further() {
    let world = World::new();
    let endless = vec![b' '; (64 << 20) + 1];
    let (status, _, said) = tuner(&world, &words(&["machine", "--xml", "-"]), &endless);
    assert_eq!((status, said.as_str()), (2, "wan22-tune: -: larger than 64.0 MiB\n"));
}

#[test]
fn what_is_no_number_is_no_limit() {
    let world = World::new();
    for number in ["nan", "NaN", "-nan", "inf", "-inf", "infinity", "1e400", "-1", "x"] {
        let flag = format!("--min-psnr={number}");
        for line in [&["--dry-run", &flag][..], &["measure", "--baseline", &flag]] {
            let (status, _, said) = tuner(&world, &words(line), b"");
            assert!(status == 2 && said.contains("from 0 to 200"), "{line:?}: {status} {said}");
        }
        let noise = format!("--noise={number}");
        let (status, _, said) = tuner(&world, &words(&["replay", "none.csv", &noise]), b"");
        assert!(status == 2 && said.contains("a share from 0 to 1"), "{noise}: {status} {said}");
        let memory = format!("--max-memory={number}");
        assert_eq!(tuner(&world, &words(&["--dry-run", &memory]), b"").0, 2, "{memory}");
    }
    assert_eq!(tuner(&world, &words(&["--dry-run", "--min-psnr", "0"]), b"").0, 0);
}

/// A copy of a committed results folder whose file `name` has `old` replaced.
fn altered(world: &World, name: &str, old: &str, new: &str) -> PathBuf {
    let folder = world.path().join("altered");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    for file in ["machine.json", "space.toml", "trials.csv"] {
        let text = fs::read_to_string(committed("results/2026-11-29-vm").join(file)).unwrap();
        assert!(file != name || text.contains(old), "{old}");
        let text = if file == name { text.replacen(old, new, 1) } else { text };
        fs::write(folder.join(file), text).unwrap();
    }
    folder
}

#[test]
fn a_results_folder_can_do_no_more_than_a_space_file() {
    let world = World::new();
    let constraint = "\"batch_size <= clips\"";
    for (name, old, new, says) in [
        ("space.toml", constraint, "\"sleep(1e18) == ()\"", "there is no function `sleep`"),
        ("space.toml", "budget_s = 360.0", "budget_s = nan", "tune.budget_s is NaN"),
        ("space.toml", "budget_s = 360.0", "budget_s = -1e300", "tune.budget_s is -1"),
        (
            "space.toml",
            "window_frames = 1",
            "window_frames = 4000000001",
            "window_frames is 4000000001",
        ),
        ("machine.json", "\"number\": 0", "\"number\": 2147483647", "number 2147483647 of a node"),
    ] {
        let folder = altered(&world, name, old, new);
        for verb in ["report", "compare", "resume"] {
            let line = [OsStr::new(verb), folder.as_os_str()];
            let (status, _, said) = tuner(&world, &line, b"");
            assert_eq!(status, 1, "{verb} {new}: {said}");
            assert!(said.contains(says) && said.contains(name), "{verb} {new}: {said}");
        }
    }
}

#[test]
fn another_machines_topology_is_not_believed_to_be_this_ones() {
    let world = World::new();
    let profile = committed("results/2026-11-29-vm/profile.json");
    let profile = profile.to_str().unwrap();
    let xml = committed("tests/machines/core-i9-hybrid.xml");
    for (name, value) in [
        ("HWLOC_SYNTHETIC", "package:2 [numa] core:600 pu:2"),
        ("HWLOC_XMLFILE", xml.to_str().unwrap()),
    ] {
        for (line, expected) in [
            (&["machine"][..], 1),
            (&["space"], 1),
            (&["--budget", "5s", "--", "true"], 1),
            (&["exec", "--profile", profile, "--", "true"], 125),
        ] {
            let run = world.tuner(line).env("HWLOC_THISSYSTEM", "1").env(name, value).run();
            assert_eq!(run.status, Some(expected), "{line:?}: {}", run.stderr);
            let cure = format!("`env -u {name} -u HWLOC_THISSYSTEM wan22-tune …`");
            assert!(run.stderr.contains(&cure), "{line:?}: {}", run.stderr);
        }
    }
    // This one's own, which sites preset since reading it takes long.
    world.tuner(&["machine"]).env("HWLOC_THISSYSTEM", "1").run().exits(0);
}

#[test]
fn names_that_are_not_utf_8_work_or_are_named() {
    let world = World::new();
    let copy = |from: &str, to: &OsString| {
        fs::copy(committed(from), world.path().join(to)).unwrap();
    };
    let names = [&b"caf\xe9.toml"[..], b"job\xe9.toml", b"caf\xe9.xml", b"r\xe9sultats"];
    let [space, job, xml, folder] = names.map(|bytes| OsStr::from_bytes(bytes).to_owned());
    copy("search-spaces/pipeline.toml", &space);
    copy("search-spaces/workloads/preprocess.toml", &job);
    copy("tests/machines/apple-m1.xml", &xml);
    fs::rename(altered(&world, "none", "", ""), world.path().join(&folder)).unwrap();
    let word = OsStr::new;
    for line in [
        &[word("--dry-run"), word("--space"), space.as_os_str()][..],
        &[word("--dry-run"), word("--workload"), job.as_os_str()],
        &[word("space"), word("--xml"), xml.as_os_str()],
        &[word("--dry-run"), word("--results"), folder.as_os_str()],
        &[word("--dry-run"), word("--warm-start"), folder.as_os_str()],
        &[word("report"), folder.as_os_str()],
        &[word("compare"), word("--json"), folder.as_os_str()],
    ] {
        let (status, _, said) = tuner(&world, line, b"");
        assert_eq!(status, 0, "{line:?}: {said}");
    }
    let broken = OsStr::from_bytes(b"k\xe9in");
    fs::create_dir(world.path().join(broken)).unwrap();
    let line = [word("compare"), word("--json"), folder.as_os_str(), broken];
    let (_, printed, said) = tuner(&world, &line, b"");
    let found: serde_json::Value = serde_json::from_str(&printed).expect(&said);
    assert_eq!(found["skipped"][0]["path"], "base64:a+lpbg==", "the very bytes");
    let line = [word("--budget"), word("5s"), word("--"), word("cat"), folder.as_os_str()];
    let (status, _, said) = tuner(&world, &line, b"");
    assert!(status == 2 && said.contains("not UTF-8"), "{status}: {said}");
}

#[test]
fn a_tune_in_a_folder_whose_name_is_not_utf_8_ends_and_goes_on() {
    let world = World::new();
    let results = OsStr::from_bytes(b"r\xe9sultats");
    let word = OsStr::new;
    // With nothing to choose from it has nothing to search and to confirm.
    let space = "schema = 1\nname = \"one\"\nwhy = \"\"\n\
                 [knob.matmul_precision]\nwhy = \"\"\nvalues = [\"highest\"]\n";
    fs::write(world.path().join("one.toml"), space).unwrap();
    let tail = ["--budget", "10m", "--space", "one.toml", "--", "true"].map(word);
    let line = [&[word("--results"), results][..], &tail].concat();
    let (status, _, said) = tuner(&world, &line, b"");
    assert_eq!(status, 0, "{said}");
    let folders = fs::read_dir(world.path().join(results)).unwrap();
    let folder = folders.map(|entry| entry.unwrap().path()).next().unwrap();
    assert!(folder.join("profile.json").is_file(), "{said}");
    let profile = folder.join("profile.json");
    let more = [word("resume"), folder.as_os_str()];
    let exec = [word("exec"), word("--profile"), profile.as_os_str(), word("--"), word("true")];
    for line in [&more[..], &exec] {
        let (status, _, said) = tuner(&world, line, b"");
        assert_eq!(status, 0, "{line:?}: {said}");
    }
    // The command that it prints can be pasted.
    let (_, printed, _) = tuner(&world, &[word("report"), folder.as_os_str()], b"");
    let command = printed.lines().find_map(|line| line.strip_prefix("Use it   wan22-tune "));
    let command = command.unwrap().replace("-- true", "-- echo ran");
    let script = format!("exec {} {command}", env!("CARGO_BIN_EXE_wan22-tune"));
    let bash = Command::new("bash").args(["-c", &script]).current_dir(world.path()).output();
    let bash = bash.unwrap();
    assert_eq!(bash.stdout, b"ran\n", "{script}: {}", String::from_utf8_lossy(&bash.stderr));
    // What programs read has the very bytes (`r\xe9sultats/…` in base64).
    let results = OsStr::from_bytes(b"j\xe9son");
    let line = [&[word("--json"), word("--results"), results][..], &tail].concat();
    let (status, printed, said) = tuner(&world, &line, b"");
    assert_eq!(status, 0, "{said}");
    let last: serde_json::Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert!(last["folder"].as_str().unwrap().starts_with("base64:aulzb24v"), "{last}");
}

#[test]
fn a_metric_of_which_nothing_can_be_a_share_is_refused() {
    let world = World::new();
    let metric = ["--budget", "10m", "--trials", "1", "--metric", "fps=(.+)", "--goal", "max"];
    let run = world.tune(&[&metric[..], &["--", "echo", "fps=4e-310"]].concat()).run().exits(1);
    let said = "the metric is 4e-310: it takes a number above 0, from 1e-100 to 1e100";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    world.tune(&[&metric[..], &["--quiet", "--", "echo", "fps=2e-100"]].concat()).run().exits(0);
}
