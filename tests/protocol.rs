//! The worker's protocol: every example of docs/worker-protocol.md is one of the types' own.

use serde_json::Value;
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
