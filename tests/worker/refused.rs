//! What can't be run, and what the worker says of it.

use super::*;

#[test]
fn a_broken_picture_fails_the_trial_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("broken.jpg");
    std::fs::write(&image, "not a picture").unwrap();
    let job = Job { warmup: 1, ..job(vec![image], folder.path()) };
    let (trial, outcome, detail) = error_of(&text(&job));
    assert_eq!((trial, outcome), (3, Outcome::Crashed));
    assert!(detail.starts_with("preprocess: ") && detail.contains("broken.jpg"), "{detail}");
}

#[test]
fn what_is_no_job_is_refused() {
    let other_version = text(&Job { version: 99, ..job(Vec::new(), Path::new("/")) });
    let cases = [
        ("", "standard input is empty"),
        ("rubbish", "no whole JSON"),
        ("{\"version\": 1,", "no whole JSON"),
        (&format!("{{\"version\": {VERSION}}}"), "missing field"),
        (&other_version, "version 99"),
    ];
    for (input, expected) in cases {
        let (_, outcome, detail) = error_of(input);
        assert_eq!(outcome, Outcome::WrongOutput, "{input}");
        assert!(detail.contains(expected), "{input}: {detail}");
    }
}

#[test]
fn what_no_worker_can_run_is_illegal_and_named() {
    type Change = fn(&mut Job);
    let changes: [(&str, Change); 7] = [
        ("frames is 4", |job| job.workload.sizes.frames = 4),
        ("width is 40", |job| job.workload.sizes.width = 40),
        ("layers is 3", |job| job.workload.sizes.layers = 3),
        ("/no/such/vae/config.json", |job| job.weights = Some("/no/such".into())),
        ("batch_size is 0", |job| job.settings.batch_size = 0),
        ("workers.io is 0", |job| job.settings.workers.io = 0),
        ("images is empty", |job| job.images.clear()),
    ];
    for (expected, change) in changes {
        let mut job = job(vec!["a.jpg".into()], Path::new("/"));
        change(&mut job);
        let (trial, outcome, detail) = error_of(&text(&job));
        assert_eq!((trial, outcome), (3, Outcome::Illegal), "{detail}");
        assert!(detail.contains(expected), "{detail}");
    }
}

#[test]
fn a_pool_on_cpus_that_are_not_there_is_misapplied() {
    let mut job = job(vec!["a.jpg".into()], Path::new("/"));
    job.settings.placement.preprocess = [8191].into_iter().collect();
    let (_, outcome, detail) = error_of(&text(&job));
    assert_eq!(outcome, Outcome::Misapplied, "{detail}");
    assert!(detail.contains("pre pool to CPUs 8191"), "{detail}");
}
