//! The rules, on an engine in memory and with the clock in hand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use super::fake::{Fake, Fate, Job, Leaves, stuck, then, waits, write_results};
use super::*;
use crate::fleet::{Node, Overview, State, Tuned};

struct World {
    _root: TempDir,
    folder: Folder,
    fake: Fake,
}

impl World {
    fn new(names: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path());
        for name in names.split_whitespace() {
            fs::create_dir_all(folder.node(name)).unwrap();
        }
        let fake = Fake {
            folder: folder.clone(),
            nodes: names.split_whitespace().map(Node::named).collect(),
            fates: BTreeMap::new(),
            jobs: RefCell::default(),
            told: RefCell::default(),
            silent: false,
            unanswered: Vec::new(),
            lag: Duration::ZERO,
        };
        Self { _root: root, folder, fake }
    }

    fn fate(mut self, task: Task, node: &str, fates: &[Fate]) -> Self {
        self.fake.fates.insert((task, node.to_owned()), fates.to_vec());
        self
    }

    /// Looks every ten seconds until it is over, or this often.
    fn run_for(&mut self, scope: Scope, looks: u64) -> (Option<FleetEnd>, Overview) {
        let patience = Duration::from_secs(100);
        let limits = Limits { scope, at_once: 64, tries: 3, patience };
        let mut coordinator = Coordinator::new(&mut self.fake, &self.folder, limits).unwrap();
        let mut ended = None;
        for look in 0..looks {
            if let Step::Over(over) = coordinator.step(Duration::from_secs(10 * look)).unwrap() {
                ended = Some(over);
                break;
            }
        }
        let (records, barred) = (coordinator.records(), coordinator.barred());
        (ended, Overview::of(records, scope, barred, coordinator.jobs()))
    }

    fn run(&mut self, scope: Scope) -> (FleetEnd, Overview) {
        let (ended, overview) = self.run_for(scope, 100);
        (ended.expect("it ends"), overview)
    }

    /// How often a task was started.
    fn starts(&self, task: Task) -> usize {
        let told = self.fake.told.borrow();
        told.iter().filter(|told| told.starts_with(&format!("{task} "))).count()
    }

    fn has_told(&self, words: &str) -> bool {
        self.fake.told.borrow().iter().any(|told| told == words)
    }
}

fn states(overview: &Overview) -> String {
    let row = |row: &crate::fleet::Row| format!("{} {}", row.node, row.state);
    overview.nodes.iter().map(row).collect::<Vec<_>>().join(", ")
}

fn detail<'a>(overview: &'a Overview, node: &str) -> &'a str {
    &overview.nodes.iter().find(|row| row.node == node).unwrap().detail
}

const CLASS: Scope = Scope::Class { witnesses: 1 };

#[test]
fn a_class_is_tuned_once_and_a_second_call_starts_nothing() {
    let mut world = World::new("a b c");
    let (ended, overview) = world.run(CLASS);
    assert_eq!(
        (ended, states(&overview).as_str()),
        (FleetEnd::All, "a tuned, b verified, c covered")
    );
    assert_eq!([Task::Probe, Task::Tune, Task::Verify].map(|task| world.starts(task)), [3, 1, 1]);
    assert_eq!(world.run(CLASS).0, FleetEnd::All);
    assert_eq!(world.fake.told.borrow().len(), 5);
    let rows = fs::read_to_string(world.folder.journal()).unwrap();
    assert!(rows.starts_with("time,node,class,event,job,state,detail\n"), "{rows}");
    assert_eq!(rows.matches(" done,").count(), 5, "{rows}");
}

/// What becomes of one node of three, each of which is tuned: its fates, how it ends, and how often
/// its tune was started.
#[test]
fn each_failure_has_its_rule() {
    let stopped = |trials| then(Leaves::Trials(trials, Some(0)));
    let killed = |trials| then(Leaves::Trials(trials, None));
    let fails = || then(Leaves::Fails(1, "disk full"));
    let begins = |states: &[&str]| {
        let states = states.iter().map(|reason| waits(reason)).chain([JobState::Running]);
        Fate(states.collect(), Leaves::All)
    };
    for (name, fates, state, starts, words) in [
        ("busy for long", vec![begins(&["Resources"; 40])], State::Tuned, 1, ""),
        ("back within patience", vec![begins(&["NodeDown"; 9])], State::Tuned, 1, ""),
        (
            "drained",
            vec![stuck("ReqNodeNotAvail, UnavailableNodes:b")],
            State::Failed,
            1,
            "unreachable: ReqNodeNotAvail, UnavailableNodes:b",
        ),
        ("pre-empted and held", vec![begins(&["", "BeginTime", "BeginTime"])], State::Tuned, 1, ""),
        ("ended by somebody", vec![stopped(4), stopped(6)], State::Tuned, 3, ""),
        ("many times, with trials each", (1..9).map(killed).collect(), State::Tuned, 9, ""),
        ("died before a trial", vec![killed(0), killed(0)], State::Tuned, 3, ""),
        (
            "dies again and again",
            vec![killed(0), killed(0), killed(0)],
            State::Failed,
            3,
            "it was killed, or its node died",
        ),
        ("fails, then does not", vec![fails(), fails()], State::Tuned, 3, ""),
        ("fails always", vec![fails(), fails(), fails()], State::Failed, 3, "disk full"),
        ("its baseline fails", vec![then(Leaves::Broken)], State::Failed, 1, "the baseline fails"),
        (
            "its budget is too short",
            vec![then(Leaves::Short), then(Leaves::Short), then(Leaves::Short)],
            State::Failed,
            3,
            "the budget was over",
        ),
        (
            "its program does not start",
            vec![then(Leaves::Nothing), then(Leaves::Nothing), then(Leaves::Nothing)],
            State::Failed,
            3,
            "its program did not start (ENDED)",
        ),
    ] {
        let mut world = World::new("a b c").fate(Task::Tune, "b", &fates);
        let (ended, overview) = world.run(Scope::Node);
        let row = overview.nodes.iter().find(|row| row.node == "b").unwrap();
        assert_eq!((row.state, ended == FleetEnd::All), (state, state == State::Tuned), "{name}");
        assert_eq!(world.starts(Task::Tune), 2 + starts, "{name}");
        assert!(row.detail.starts_with(words), "{name}: {}", row.detail);
        assert!(states(&overview).starts_with("a tuned") && states(&overview).ends_with("c tuned"));
        // The next call tries again, and only that.
        assert_eq!(world.run(Scope::Node).0, FleetEnd::All, "{name}");
        let again = usize::from(state == State::Failed);
        assert_eq!(world.starts(Task::Tune), 2 + starts + again, "{name}");
    }
}

#[test]
fn a_job_that_is_held_after_a_requeue_is_hurried() {
    let fate = Fate(vec![waits("BeginTime"), JobState::Running], Leaves::All);
    let mut world = World::new("a").fate(Task::Tune, "a", &[fate]);
    assert_eq!(world.run(CLASS).0, FleetEnd::All);
    assert!(world.has_told("hurry 2"));
}

#[test]
fn a_mistake_in_the_command_stops_all() {
    let usage = then(Leaves::Fails(2, "--images: no such folder"));
    let slow = Fate(vec![JobState::Running; 1000], Leaves::All);
    let mut world =
        World::new("a b").fate(Task::Tune, "a", &[usage]).fate(Task::Tune, "b", &[slow]);
    assert_eq!(world.run(Scope::Node).0, FleetEnd::Usage("--images: no such folder".to_owned()));
    assert!(world.has_told("cancel b"));
}

#[test]
fn another_node_of_the_class_stands_in() {
    // `a` has begun, then its node is gone for good.
    let fates = [then(Leaves::Trials(5, None)), stuck("NodeDown")];
    let mut world = World::new("a b c").fate(Task::Tune, "a", &fates);
    let (ended, overview) = world.run(CLASS);
    assert_eq!(
        (ended, states(&overview).as_str()),
        (FleetEnd::All, "a verified, b tuned, c covered")
    );
    assert_eq!(world.folder.tuned("a").trials(), 5, "what it measured is kept");
}

#[test]
fn what_began_on_one_node_does_not_go_on_on_another() {
    let started_again = Fate(
        vec![JobState::Running, waits("BeginTime"), waits("BeginTime"), JobState::Running],
        Leaves::All,
    );
    let mut world = World::new("a b").fate(Task::Tune, "a", &[started_again]);
    // It looks three times; the job has begun on `a` and is to be started again anywhere.
    world.run_for(CLASS, 3);
    write_results(&world.folder, "a", 4, false);
    let (ended, overview) = world.run(CLASS);
    assert_eq!((ended, states(&overview).as_str()), (FleetEnd::All, "a tuned, b verified"));
    assert!(world.has_told("cancel a"));
    assert!(matches!(world.folder.tuned("b"), Tuned::Not));
}

#[test]
fn a_witness_may_deny() {
    let mut world = World::new("a b c").fate(Task::Verify, "b", &[then(Leaves::Denial)]);
    let (ended, overview) = world.run(CLASS);
    assert_eq!(
        (ended, states(&overview).as_str()),
        (FleetEnd::Some, "a tuned, b drifted, c covered")
    );
    assert_eq!(detail(&overview, "b"), "the profile of a: said");
    // Witnesses that can't be had are no denial.
    let mut world = World::new("a b c").fate(Task::Verify, "b", &[stuck("NodeDown")]);
    let (ended, overview) = world.run(CLASS);
    assert_eq!(
        (ended, states(&overview).as_str()),
        (FleetEnd::All, "a tuned, b covered, c covered")
    );
}

#[test]
fn a_coordinator_that_is_killed_anywhere_is_taken_over() {
    for looks in 1..8 {
        let mut world = World::new("a b c");
        let (ended, _) = world.run_for(Scope::Node, looks);
        if ended.is_none() {
            assert_eq!(world.run(Scope::Node).0, FleetEnd::All, "{looks}");
        }
        let starts = [Task::Probe, Task::Tune].map(|task| world.starts(task));
        assert_eq!(starts, [3, 3], "killed after {looks} looks");
        let is_over = |job: &Job| job.known.is_over();
        assert!(world.fake.jobs.borrow().iter().all(is_over), "{looks}");
    }
}

#[test]
fn nothing_follows_from_silence() {
    let mut world = World::new("a b");
    world.run_for(CLASS, 2);
    world.fake.silent = true;
    let started = world.fake.told.borrow().len();
    let limits = Limits { scope: CLASS, at_once: 64, tries: 3, patience: Duration::from_secs(1) };
    let mut coordinator = Coordinator::new(&mut world.fake, &world.folder, limits).unwrap();
    for look in 0..20 {
        let step = coordinator.step(Duration::from_secs(60 * look)).unwrap();
        assert_eq!(step, Step::Silent("no answer".to_owned()));
    }
    assert_eq!(world.fake.told.borrow().len(), started);
    world.fake.silent = false;
    assert_eq!(world.run(CLASS).0, FleetEnd::All);
    assert_eq!(world.starts(Task::Tune), 1);
}

#[test]
fn what_a_job_wrote_is_waited_for() {
    // Its status is not seen before two more looks, and it does not start again meanwhile.
    let mut world = World::new("a").fate(Task::Tune, "a", &[then(Leaves::Nothing)]);
    world.fake.lag = Duration::from_secs(25);
    world.run_for(CLASS, 6);
    assert_eq!(world.starts(Task::Tune), 1);
    write_results(&world.folder, "a", 9, true);
    assert_eq!(world.run(CLASS).0, FleetEnd::All);
    assert_eq!(world.starts(Task::Tune), 1);
}

#[test]
fn never_more_jobs_than_may_be() {
    let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
    let mut world = World::new(&names.join(" "));
    let limits = Limits { scope: Scope::Node, at_once: 3, tries: 3, patience: Duration::ZERO };
    let mut coordinator = Coordinator::new(&mut world.fake, &world.folder, limits).unwrap();
    let mut most = 0;
    for look in 0..200 {
        let step = coordinator.step(Duration::from_secs(look)).unwrap();
        most = most.max(coordinator.jobs().count());
        if step == Step::Over(FleetEnd::All) {
            assert_eq!(most, 3);
            return;
        }
    }
    panic!("it does not end");
}

#[test]
fn a_job_that_the_engine_took_without_an_answer_is_not_submitted_again() {
    // It is seen after a while; never; or once another one was submitted, of which one is ended.
    for (hidden, starts, is_cancelled) in [(3, 1, false), (1000, 2, false), (7, 2, true)] {
        let mut world = World::new("a");
        world.fake.lag = Duration::from_secs(30);
        // The first submission is the probe's.
        world.fake.unanswered = vec![hidden];
        let waiting = Fate(vec![waits("Priority"); 9], Leaves::All);
        let mut world = world.fate(Task::Probe, "a", &[waiting.clone(), waiting]);
        assert_eq!(world.run(CLASS).0, FleetEnd::All, "{hidden}");
        assert_eq!(world.starts(Task::Probe), starts, "{hidden}");
        assert_eq!(world.has_told("cancel a"), is_cancelled, "{hidden}");
    }
}
