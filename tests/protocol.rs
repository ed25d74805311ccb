//! The worker's protocol: every example of docs/worker-protocol.md is one of the types' own, and a
//! program that does no more than this page says conforms.

mod harness;

use harness::World;
use serde_json::{Value, json};
use wan22_tune::knobs::Values;
use wan22_tune::runner::protocol::{Job, Message, VERSION};

const PAGE: &str = include_str!("../docs/worker-protocol.md");

/// The example under a heading.
fn example(heading: &str) -> Value {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect(heading);
    let (_, begin) = section.split_once("```json\n").expect(heading);
    let (text, _) = begin.split_once("\n```").expect(heading);
    serde_json::from_str(text).expect(heading)
}

#[test]
fn the_job_is_read_and_written_as_the_page_has_it() {
    let page = example("Job");
    let job: Job = serde_json::from_value(page.clone()).unwrap();
    assert_eq!(job.version, VERSION);
    assert!(PAGE.contains(&format!("The version is {VERSION}.")));
    assert_eq!(serde_json::to_value(&job).unwrap(), page);
    let job = Job { knobs: Values::new(), ..job };
    assert_eq!(serde_json::to_value(&job).unwrap()["knobs"], json!({}), "is always there");
}

/// A worker by the page alone, for a shell: it says no more than is required.
const SHELL: &str = r#"#!/bin/sh
number() { printf %s "$job" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
knob() { number "knobs\":{[^}]*\"$1"; }
while read -r job; do
  trial=$(number trial) swap=$(knob swap) least=$(number least)
  if [ "$(number version)" != 5 ]; then
    echo "{\"failed\": {\"trial\": $trial, \"outcome\": \"wrong-output\", \"detail\": \"I speak 5\"}}"
    exit 1
  fi
  effect="{\"applied\": {\"swap\": ${swap:-20}}, \"run_scope\": [\"swap\"], \"mine\": null}"
  echo "{\"ready\": {\"trial\": $trial, \"setup_s\": 0.1, \"effect\": $effect}}"
  while [ "$least" -gt 0 ]; do
    echo "{\"sample\": {\"trial\": $trial, \"sample\": {\"seconds\": 0.5}}}"
    least=$((least - 1))
  done
  echo "{\"done\": {\"trial\": $trial}}"
done"#;

#[test]
fn a_shell_script_that_says_what_is_required_conforms_and_one_that_prints_does_not() {
    let world = World::with_job(SHELL);
    let doctor = ["doctor", "--worker", "--knob", "swap=0..40", "--", "./job.sh"];
    let run = world.tuner(&doctor).run().exits(0);
    for line in ["  applies its settings     swap 20\n", "changed there: swap\n"] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    world.script("job.sh", &SHELL.replace("  effect=", "  echo loading\n  effect="));
    let run = world.tuner(&["doctor", "--worker", "--", "./job.sh"]).run().exits(1);
    assert!(
        run.stdout.contains("; what a worker prints belongs on standard error"),
        "{}",
        run.stdout
    );
}

#[test]
fn each_message_is_read_and_stands_under_its_name() {
    let mut named = 0;
    for heading in ["Ready", "Sample", "Done", "Failed"] {
        let page = example(heading);
        let message: Message = serde_json::from_value(page.clone()).unwrap();
        // A message without a heading does not get past this match.
        let name = match &message {
            Message::Ready { trial: 3, .. } => "Ready",
            Message::Sample { trial: 3, .. } => "Sample",
            Message::Done { trial: 3, .. } => "Done",
            Message::Failed { trial: 3, .. } => "Failed",
            other => panic!("{other:?}: another trial"),
        };
        assert_eq!(name, heading);
        let written = serde_json::to_value(&message).unwrap();
        assert!(has(&written, &page), "{heading}: {page} is not in {written}");
        named += 1;
    }
    assert_eq!(
        named,
        PAGE.matches("```json\n").count() - 1,
        "one example per message, one for the job"
    );
}

/// Whether `whole` has everything that `part` has.
fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| has(whole, part)))
        }
        _ => whole == part,
    }
}
