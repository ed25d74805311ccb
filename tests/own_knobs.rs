//! Knobs of a command's own in one line: from `--knob` to the command line that runs the winner.

mod harness;

use harness::{Run, World};
use serde_json::{Value as Json, json};

/// The less the nearer the blocks are to 12, with `sage`, and with `--compile`: 2 at the best.
const SCRIPT: &str = r#"#!/bin/sh
blocks=0 attention=none compile=3
while [ $# -gt 0 ]; do
  case $1 in
    --blocks) blocks=$2; shift ;;
    --attention=*) attention=${1#*=} ;;
    --compile) compile=0 ;;
    *) echo "unknown argument: $1" >&2; exit 2 ;;
  esac
  shift
done
[ "$attention" = sage ] && attention=0 || attention=1
awk -v b="$blocks" -v a="$attention" -v c="$compile" -v t="${MY_THRESHOLD:-1}" \
  'BEGIN { print "cost=" 2 + (b - 12) ^ 2 / 10 + a + c + (t - 0.5) ^ 2 }'
"#;

const WORDS: [&str; 5] =
    ["./job.sh", "--blocks", "{blocks=20}", "--attention={attention}", "{compile:--compile}"];

fn world() -> World {
    World::with_job(SCRIPT)
}

fn tune(world: &World, flags: &[&str], words: &[&str]) -> Run {
    world.tuner(&[&["--no-built-in"], flags, &["--"], words].concat()).run()
}

const KNOBS: [&str; 8] = [
    "--knob",
    "blocks=0..40",
    "--knob",
    "attention=sdpa|sage|flash",
    "--knob",
    "compile=off|on",
    "--knob",
    "threshold=0..1 step:0.25 env:MY_THRESHOLD default:1",
];

#[test]
fn the_winners_line_runs_as_the_trials_did() {
    let world = world();
    let flags =
        ["--budget", "10m", "--trials", "60", "--repetitions", "1", "--metric", "cost=(.*)"];
    let run = tune(&world, &[&flags[..], &KNOBS].concat(), &WORDS).exits(0);
    let profile = world.folder().join("profile.json");
    let text = std::fs::read_to_string(&profile).unwrap();
    let read: Json = serde_json::from_str(&text).unwrap();
    let best = json!({ "attention": "sage", "blocks": 12, "compile": true, "threshold": 0.5 });
    assert_eq!(read["custom_knobs"], best, "{}", run.stdout);
    let line = "Command  env MY_THRESHOLD=0.5 ./job.sh --blocks 12 --attention=sage --compile\n";
    assert!(run.stdout.contains(line), "{}", run.stdout);
    let words = "--knob 'threshold env:MY_THRESHOLD' -- ./job.sh --blocks '{blocks=20}' \
                 '--attention={attention}' '{compile:--compile}'\n";
    assert!(run.stdout.contains(words), "{}", run.stdout);
    let page = std::fs::read_to_string(world.folder().join("report.html")).unwrap();
    assert!(page.contains("env MY_THRESHOLD=0.5 ./job.sh --blocks 12"));
    launched(&world, profile.to_str().unwrap());
    verified(&world, profile.to_str().unwrap());
    foreign(&world, &read);
}

fn launched(world: &World, profile: &str) {
    let flags = ["--profile", profile, "--knob", "threshold env:MY_THRESHOLD", "--"];
    let run = world.tuner(&[&["exec"], &flags[..], &WORDS].concat()).run();
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), "cost=2\n"), "{}", run.stderr);
    let export = |form: &str, words: &[&str]| {
        let knob = ["--knob", "threshold env:MY_THRESHOLD"];
        world.tuner(&[&["export", "--format", form, profile], &knob[..], words].concat()).run()
    };
    let words = [&["--", "/bin/job"], &WORDS[1..]].concat();
    for form in ["systemd", "slurm", "numactl"] {
        let text = export(form, &words).stdout.replace('"', "");
        assert!(text.contains("/bin/job --blocks 12 --attention=sage --compile"), "{form}: {text}");
        assert!(text.contains("MY_THRESHOLD=0.5"), "{form}: {text}");
    }
    assert!(export("sh", &[]).stdout.contains("export MY_THRESHOLD=0.5\n"));
    let script = export("sh", &[&["--"], &WORDS[..]].concat()).exits(0).stdout;
    std::fs::write(world.path().join("winner.sh"), script).unwrap();
    let mut sh = std::process::Command::new("sh");
    let said = sh.arg("winner.sh").current_dir(world.path()).output().unwrap().stdout;
    assert_eq!(said, b"cost=2\n");
}

fn verified(world: &World, profile: &str) {
    let verify =
        ["verify", profile, "--budget", "2m", "--metric", "cost=(.*)", "--repetitions", "1"];
    let knob = ["--knob", "threshold env:MY_THRESHOLD"];
    let run = world.tuner(&[&verify[..], &knob, &["--"], &WORDS].concat()).run().exits(2);
    assert!(run.stderr.contains("write {attention=VALUE} in the command"), "{}", run.stderr);
    let words = [&WORDS[..3], &["--attention={attention=sdpa}", WORDS[4]]].concat();
    let mut tuner = world.tuner(&[&verify[..], &knob, &["--"], &words].concat());
    tuner.0.env("MY_THRESHOLD", "1");
    let run = tuner.run().exits(0);
    // 2 instead of 12.65.
    assert!(run.stdout.contains("84.2% less of the metric"), "{}", run.stdout);
}

/// What somebody else's profile can do to a command: nothing but give values to its placeholders.
fn foreign(world: &World, profile: &Json) {
    world.script("say.sh", "#!/bin/sh\nprintf '<%s>' \"$@\"\necho \"$LD_DEBUG\"");
    let exec = |change: &dyn Fn(&mut Json), words: &[&str]| {
        let mut foreign = profile.clone();
        change(&mut foreign);
        std::fs::write(world.path().join("foreign.json"), foreign.to_string()).unwrap();
        let start = ["exec", "--quiet", "--profile", "foreign.json", "--", "./say.sh"];
        world.tuner(&[&start[..], words].concat()).run()
    };
    let set =
        |value: Json| move |profile: &mut Json| profile["custom_knobs"]["blocks"] = value.clone();
    for value in
        [json!("-rf"), json!("a b"), json!("a\nb"), json!("$(id)"), json!("../x"), json!("")]
    {
        let run = exec(&set(value.clone()), &["{blocks}"]);
        assert_eq!((run.status, run.stdout.as_str()), (Some(125), ""), "{value}");
        assert!(run.stderr.contains("/custom_knobs/blocks"), "{}", run.stderr);
    }
    let run = exec(&set(json!(-5)), &["{blocks}"]).exits(125);
    assert!(run.stderr.contains("would be an option"), "{}", run.stderr);
    assert_eq!(exec(&set(json!(-5)), &["--blocks={blocks}"]).stdout, "<--blocks=-5>\n");
    // A switch shows words that the command's user wrote, and no others.
    exec(&set(json!("--evil")), &["{blocks:--mine}"]).exits(125);
    let more = |profile: &mut Json| profile["custom_knobs"]["evil"] = json!(true);
    assert_eq!(exec(&more, &["{blocks}", "{compile:--a --b}"]).stdout, "<12><--a><--b>\n");
    let run = exec(&more, &["{unknown}"]);
    assert!(run.stderr.contains("write {unknown=VALUE} to say which it is then"), "{}", run.stderr);
    assert_eq!(
        exec(&more, &["{unknown=7}", "{{blocks}}", "${blocks}"]).stdout,
        "<7><{blocks}><${blocks}>\n"
    );
    in_texts(&exec);
    let sink =
        ["exec", "--profile", "foreign.json", "--knob", "blocks env:LD_DEBUG", "--", "./say.sh"];
    world.tuner(&sink).run().exits(2);
}

/// Runs words under a profile that somebody changed.
type Exec<'a> = dyn Fn(&dyn Fn(&mut Json), &[&str]) -> Run + 'a;

/// In code it fills only what says what it is today, and never with an option.
fn in_texts(exec: &Exec<'_>) {
    let set = |profile: &mut Json| profile["custom_knobs"]["x"] = json!(-1);
    let code = r#"x=5; print(f"{x}")"#;
    let run = exec(&set, &[code, "echo head {x} file"]);
    assert_eq!(run.stdout, format!("<{code}><echo head {{x}} file>\n"), "{}", run.stderr);
    let says = "warning: `{x}` in a text stays as it is: for the knob's value write {x=VALUE}";
    assert_eq!(run.stderr.matches(says).count(), 2, "{}", run.stderr);
    let run = exec(&set, &["kill {x=1}"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(125), ""), "{}", run.stderr);
    assert!(run.stderr.contains("`-1` here could be an option"), "{}", run.stderr);
    assert_eq!(exec(&set, &["seq --by={x=1} 9"]).stdout, "<seq --by=-1 9>\n");
    let run = exec(&set, &["a {batch_size} {batch_size=9}"]);
    assert_eq!(run.stdout, "<a {batch_size} {batch_size=9}>\n");
    assert_eq!(run.stderr.matches("or read the variable WAN22_BATCH_SIZE").count(), 2);
}

#[test]
fn the_line_that_a_tune_prints_runs_a_text_as_its_trials_did() {
    let world = world();
    let flags = ["--budget", "10m", "--trials", "40", "--repetitions", "1"];
    let knob = ["--metric", "cost=(.*)", "--knob", "blocks=0..40 default:20"];
    let code = |blocks: &str| format!("./job.sh --blocks {blocks} --attention=sage --compile");
    let run =
        tune(&world, &[&flags[..], &knob].concat(), &["sh", "-c", &code("{blocks}")]).exits(0);
    let line = format!("Command  sh -c '{}'\n", code("12"));
    assert!(run.stdout.contains(&line), "{}", run.stdout);
    let words = format!("-- sh -c '{}'\n", code("{blocks=20}"));
    assert!(run.stdout.contains(&words), "{}", run.stdout);
    let profile = world.folder().join("profile.json");
    let exec = ["exec", "--quiet", "--profile", profile.to_str().unwrap(), "--", "sh", "-c"];
    let run = world.tuner(&[&exec[..], &[&code("{blocks=20}")]].concat()).run();
    // A quarter is the threshold's, which nobody set.
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("cost=2.25\n", ""));
    let dry = ["--dry-run", "--knob", "x=1..2", "--", "./job.sh", "{x}", "a {batch_size=9} {x}"];
    let run = world.tuner(&dry).run();
    assert_eq!(run.stderr.matches("`{batch_size=9}` in a text stays as it is").count(), 1);
    assert!(!run.stderr.contains("`{x}`"), "{}", run.stderr);
}

#[test]
fn bad_input_is_refused_with_its_place_and_a_cure() {
    let world = world();
    std::fs::write(world.path().join("c.json"), "{\"a\": [1]}").unwrap();
    let blocks = "blocks=0..40";
    for (flags, words, says) in [
        (
            &[blocks][..],
            &["{blok}"][..],
            "word 2 of the command has `{blok}`, and no knob is called blok",
        ),
        (&[], &["{blocks=20}"], "declare it, as in --knob 'blocks=1..8'"),
        (&[blocks], &["x"], "no word of the command has {blocks}"),
        (&[blocks], &["{blocks=12.5}"], "`12.5` is no whole number, as 0 and 40 are: give 0.0..40"),
        (&["blocks=40..0"], &["{blocks}"], "`40..0` is no range: write 0..40"),
        (&["blocks=0..inf"], &["{blocks}"], "`inf` is not a finite number"),
        (&[blocks, blocks], &["{blocks}"], "blocks is declared twice"),
        (&["batch_size=1|2"], &["{batch_size}"], "batch_size is a knob that the tool has"),
        (&["blocs"], &["x"], "there is no such knob here: give its values"),
        (&[blocks], &["{blocks:--swap}"], "words after a colon are for a switch"),
        (&[blocks], &["{blocks=many}"], "`many` is not a finite number"),
        (&[blocks], &["{blocks=1}", "{blocks=2}"], "the command says both 1 and 2 for today"),
        (&["s=-5..5"], &["{s}"], "would be an option: write --NAME={s}"),
        (&["s=-5..5"], &["kill {s}"], "`-5` here could be an option: write --NAME={s}"),
        (&["f=off|on"], &["{f}", "{f:--f}"], "don't go together"),
        (&["f=off|on", blocks], &["{f:--f {blocks}}"], "is no placeholder: close it, and give"),
        (&[blocks], &["{blocks=}"], "the command has `{blocks=}`, which is no placeholder"),
        (&["batch_size"], &["{batch_size}", "{foo}"], "has `{foo}`, and no knob is called foo"),
        (&["a=1..4 env:WIDTH_A"], &["x"], "env:WIDTH_A: `wide` is not a finite number"),
        (&["a=x|y env:A env:B"], &["x"], "`env:A` and `env:B`: a value goes into one of them"),
        (&["a=1..4 json:c.json#/b"], &["c.json"], "c.json has no /b; at its top there are a"),
        (&["a=1..4 json:c.json#/a/0"], &["x"], "no word of the command is c.json"),
        (&["a=1..4 json:no.json#/a"], &["no.json"], "json:no.json#/a': no.json: "),
        (&["a=1..4 env:X", "b=1..4 env:X"], &["x"], "env:X: two knobs have it"),
        (&["a=1..4 env:PATH"], &["x"], "write `env NAME={knob} COMMAND`"),
    ] {
        let knobs: Vec<&str> = flags.iter().flat_map(|flag| ["--knob", flag]).collect();
        let command = [&["--", "./job.sh"], words].concat();
        let mut tuner = world.tuner(&[&["--dry-run"], &knobs[..], &command].concat());
        tuner.0.env("WIDTH_A", "wide");
        let run = tuner.run();
        assert_eq!(run.status, Some(2), "{flags:?} {words:?}: {}", run.stdout);
        assert!(run.stderr.contains(says), "{flags:?} {words:?}: {}", run.stderr);
    }
    let neither = ["--dry-run", "--no-built-in", "--knob", "affinity", "--", "./job.sh"];
    assert!(world.tuner(&neither).run().stderr.contains("which --knob affinity asks for"));
    let run = tune(&world, &["--budget", "9s"], &["./job.sh"]).exits(2);
    assert!(
        run.stderr.contains("--no-built-in leaves no knob to tune: give one"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_runs_today_is_taken_as_it_is_written() {
    let world = world();
    let shown = |knob: &str, word: &str| {
        let mut tuner =
            world.tuner(&["--dry-run", "--no-built-in", "--knob", knob, "--", "./job.sh", word]);
        tuner.0.env("MODE_A", "True").env("EMPTY_A", "");
        tuner.run().exits(0).stdout
    };
    for (knob, word, says) in [
        ("a=False|True default:True", "{a}", "today    ./job.sh True\nexample  ./job.sh False\n"),
        ("a=False|True", "{a:--fast}", "today    ./job.sh\nexample  ./job.sh --fast\n"),
        ("a=off|True env:MODE_A", "x", "today    env MODE_A=True ./job.sh x\n"),
        ("a=1|2 env:EMPTY_A", "x", "today    env EMPTY_A=1 ./job.sh x\n"),
        ("a=-9..9 step:3", "{a=-3}", "today    ./job.sh -3\nexample  ./job.sh 9\n"),
    ] {
        let stdout = shown(knob, word);
        assert!(stdout.contains(says), "{knob}: {stdout}");
    }
    let built_in = ["--dry-run", "--", "./job.sh", "--tile", "{tile_size=512}"];
    let shown = world.tuner(&built_in).run().exits(0).stdout;
    assert!(
        shown.contains("today    ./job.sh --tile 512\nexample  ./job.sh --tile 1024\n"),
        "{shown}"
    );
}

#[test]
fn a_tune_whose_results_nobody_looks_at_is_warned() {
    let warned = |flags: &[&str]| {
        let start = ["--dry-run", "--no-built-in"];
        let run =
            world().tuner(&[&start, flags, &["--", "./job.sh", "{a}"]].concat()).run().exits(0);
        run.stderr.contains("nothing looks at what the command makes")
    };
    assert!(warned(&["--knob", "a=1..4"]));
    assert!(!warned(&["--knob", "a=1..4 changes:nothing"]));
    for look in [["--output", "*.png"], ["--check", "true"], ["--metric", "x"]] {
        assert!(!warned(&[&["--knob", "a=1..4"][..], &look].concat()), "{look:?}");
    }
}

#[test]
fn knobs_of_the_tool_may_stand_in_the_words_too() {
    let world = world();
    let run = |words: &[&str]| {
        let start =
            ["--dry-run", "--knob", "batch_size", "--knob", "x=1..2", "--", "./job.sh", "{x}"];
        world.tuner(&[&start[..], words].concat()).run()
    };
    let shown = run(&["--batch={batch_size=4}"]);
    assert!(shown.stdout.contains("\n  batch_size  1 2 [4] 8\n"), "{}", shown.stderr);
    assert!(shown.stdout.contains("\ntoday    ./job.sh 1 --batch=4\n"), "{}", shown.stdout);
    let refused = run(&["--batch={batch_size=many}"]).exits(2);
    assert!(refused.stderr.contains("the command's `{batch_size=many}`: "), "{}", refused.stderr);
    let refused = run(&["--batch={batch_size=0}"]).exits(2);
    let says = "the command's `{batch_size=0}`: batch_size = 0: it takes 1 to 1024 clips";
    assert!(refused.stderr.contains(says), "{}", refused.stderr);
    assert!(!refused.stderr.contains("--workload"), "{}", refused.stderr);
}

#[test]
fn verify_and_measure_start_from_what_the_words_say_as_a_tune_does() {
    let world = World::new();
    world.script("job.sh", "#!/bin/sh\necho \"$1\" >> seen\necho cost=$((20 - ${1#*=}))");
    let seen = || std::fs::read_to_string(world.path().join("seen")).unwrap_or_default();
    let metric = ["--metric", "cost=(.*)", "--repetitions", "1"];
    let words = ["--", "./job.sh", "--batch={batch_size=4}"];
    let run =
        world.tuner(&[&["measure", "--baseline"], &metric[..], &words].concat()).run().exits(0);
    assert!(run.stdout.contains("batch_size           4\n"), "{}", run.stdout);
    assert_eq!(seen(), "--batch=4\n");
    let tune = ["--budget", "10m", "--trials", "20", "--knob", "batch_size"];
    world.tuner(&[&tune, &metric[..], &words].concat()).run().exits(0);
    std::fs::remove_file(world.path().join("seen")).unwrap();
    let profile = world.folder().join("profile.json");
    let verify = ["verify", profile.to_str().unwrap(), "--budget", "2m"];
    let run = world.tuner(&[&verify, &metric[..], &words].concat()).run().exits(0);
    // 12 instead of 16.
    assert!(run.stdout.contains("25.0% less of the metric"), "{}", run.stdout);
    assert!(seen().lines().all(|word| ["--batch=4", "--batch=8"].contains(&word)), "{}", seen());
}

#[test]
fn what_only_the_built_in_jobs_take_is_refused_beside_a_command() {
    let world = world();
    for (flags, says) in [
        (&["--clip", "1280x704x121"], "--clip is for the built-in jobs: leave it out"),
        (&["--steps", "5"], "--steps is for the built-in jobs: leave it out"),
    ] {
        for verb in [&["--dry-run"][..], &["measure", "--baseline"]] {
            let run = world.tuner(&[verb, flags, &["--", "./job.sh"]].concat()).run();
            assert_eq!(run.status, Some(2), "{verb:?} {flags:?}: {}", run.stdout);
            assert!(run.stderr.contains(says), "{}", run.stderr);
        }
    }
    // An app takes steps, and like a command it starts from what runs today.
    std::fs::create_dir(world.path().join("m")).unwrap();
    std::fs::write(world.path().join("m/model_index.json"), "{}").unwrap();
    let app = ["--app", "diffusers", "--model", "m", "--python", "false"];
    let measure = ["measure", "--baseline", "as-is", "--steps", "5"];
    world.tuner(&[&measure[..], &app].concat()).run().exits(1);
    let run =
        world.tuner(&[&["--dry-run", "--clip", "1280x704x121"], &app[..]].concat()).run().exits(2);
    assert!(run.stderr.contains("give --width, --height and --frames"), "{}", run.stderr);
}

#[test]
fn a_space_file_says_the_same_in_more_words() {
    let world = world();
    let space = r#"
        schema = 1
        name = "mine"
        why = "What the script reads."
        [knob.blocks]
        why = "Blocks in main memory."
        range = { min = 0, max = 40, step = 10 }
        unit = "blocks"
        changes = "nothing"
        [knob.attention]
        why = "Which kernel."
        values = ["sdpa", "sage"]
        changes = "picture"
        when = "blocks > 0"
        [knob.compile]
        why = "Whether kernels are compiled."
        values = [false, true]
        default = true
        sink = "env:MY_COMPILE"
        [[constraint]]
        holds = "blocks < 40 || !compile"
        why = "It does not fit."
    "#;
    std::fs::write(world.path().join("mine.toml"), space).unwrap();
    let words = ["./job.sh", "--blocks", "{blocks=20}", "--attention={attention}"];
    let run =
        world.tuner(&[&["--dry-run", "--space", "mine.toml", "--"], &words[..]].concat()).run();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    for line in [
        "  blocks     0 10 [20] 30 40  (blocks, changes nothing)\n",
        "  attention  [sdpa] sage  (changes picture)\n",
        "  compile    false [true]\n",
        "today    env MY_COMPILE=1 ./job.sh --blocks 20 --attention=sdpa\n",
        "example  env MY_COMPILE=0 ./job.sh --blocks 20 --attention=sage\n",
    ] {
        assert!(run.stdout.contains(line), "{line}{}", run.stdout);
    }
}
