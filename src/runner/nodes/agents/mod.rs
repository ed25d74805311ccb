//! Agents: trials on several nodes, each run by a program there that is spoken to through its stdin and
//! stdout.
//!
//! A pipe that closes is a lost node: its trial is interrupted, which is nobody's fault, and the agent
//! is started again. There is no port, no daemon and no file that two write.

mod agent;
mod gather;
mod launcher;
pub mod message;
mod references;
mod running;

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

use self::agent::{Agent, Event};
use self::message::{AgentMessage, Hello, Setup, TrialReport, TunerMessage};
use self::references::References;
use self::running::Running;
use super::{NodeState, Nodes};
use crate::io::lock;
use crate::runner::TrialRequest;
use crate::trial::{STOPPED, Trial};

pub use gather::Patience;
pub use launcher::{Launcher, NODE};

/// How often a lost agent is started again.
const RESTARTS: u32 = 2;

/// How long a trial may take beyond the time that it has: some runners start a second process.
const OVERTIME: Duration = Duration::from_secs(120);

/// How long an agent may take to end, or to end a trial once its time is over.
const FAREWELL: Duration = Duration::from_secs(10);

/// How often it is looked whether something else is to be done.
const TICK: Duration = Duration::from_millis(100);

/// How agents are started.
#[derive(Clone, Debug)]
pub struct AgentsConfig {
    /// Starts a program on a node.
    pub launcher: Launcher,
    /// The tuner, which is the agent too.
    pub program: PathBuf,
    /// The tune.
    pub setup: Setup,
    /// How long nodes are waited for.
    pub patience: Patience,
}

/// The nodes of a tune.
pub struct Agents {
    start: AgentsConfig,
    nodes: RefCell<Vec<Node>>,
    events: (Sender<Told>, Receiver<Told>),
    /// What the first node said, which decides who may take part.
    first: RefCell<Option<(String, Hello)>>,
    references: RefCell<References>,
    /// The trials of nodes that were put out while they ran.
    cut: RefCell<Vec<(usize, Trial)>>,
    news: RefCell<Vec<String>>,
    stop: RefCell<Arc<AtomicBool>>,
    is_stop_told: Cell<bool>,
    /// How long the nodes asked their workers what runs today.
    asked: Cell<Duration>,
    /// Agents on this machine run side by side all the same: each has a lock of its own.
    locks: Option<TempDir>,
}

/// What the agent that was started as the `.1`th on the node at `.0` does.
type Told = (usize, u32, Event);

struct Node {
    name: String,
    agent: Option<Agent>,
    /// How many agents were started there before.
    restarts: u32,
    state: NodeState,
    /// Until when its agent has to answer.
    answers: Instant,
    /// What it runs.
    running: Option<Running>,
}

impl Agents {
    /// Starts an agent on each node and waits until all have answered or `least` have and the others
    /// take too long.
    ///
    /// # Errors
    /// Fewer than `least` may take part: which, and why not.
    pub fn open(start: AgentsConfig, names: Vec<String>, least: usize) -> Result<Self> {
        let enough = start.patience.enough;
        let node = |name| Node {
            name,
            agent: None,
            restarts: 0,
            state: NodeState::Coming,
            answers: Instant::now() + enough,
            running: None,
        };
        let locks = start.launcher.is_local().then(TempDir::new).transpose();
        let agents = Self {
            locks: locks.context("making a folder for locks")?,
            start,
            nodes: RefCell::new(names.into_iter().map(node).collect()),
            events: channel(),
            first: RefCell::default(),
            references: RefCell::default(),
            cut: RefCell::default(),
            news: RefCell::default(),
            stop: RefCell::default(),
            is_stop_told: Cell::new(false),
            asked: Cell::default(),
        };
        let places = 0..agents.names().len();
        places.into_iter().try_for_each(|place| agents.launch(place))?;
        agents.gather(least)?;
        Ok(agents)
    }

    /// Sets when somebody wants the tuner to finish.
    pub fn stop_with(&self, stop: Arc<AtomicBool>) {
        *self.stop.borrow_mut() = stop;
    }

    /// Whether all of them run on this machine.
    pub fn are_local(&self) -> bool {
        self.start.launcher.is_local()
    }

    /// What the first node said.
    pub fn first(&self) -> Hello {
        let first = self.first.borrow();
        first.as_ref().expect("somebody said hello").1.clone()
    }

    /// How long the nodes asked their workers what runs today, before the tune began.
    pub fn asked(&self) -> Duration {
        self.asked.get()
    }

    fn launch(&self, place: usize) -> Result<()> {
        let node = &mut self.nodes.borrow_mut()[place];
        let (sender, generation) = (self.events.0.clone(), node.restarts);
        let AgentsConfig { launcher, program, setup, patience } = &self.start;
        let words = launcher.words(&node.name, &[program.as_os_str(), OsStr::new("agent")]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if let Some(locks) = &self.locks {
            let own = locks.path().join(&node.name);
            std::fs::create_dir_all(&own).with_context(|| own.display().to_string())?;
            command.env(lock::FOLDER, own);
        }
        let tell = move |event| {
            let _ = sender.send((place, generation, event));
        };
        let mut agent = Agent::start(command, tell)?;
        // The one before may be about to end, and holds the machine's lock until then.
        agent.tell(&TunerMessage::Setup(Setup { waits: node.restarts > 0, ..setup.clone() }));
        node.agent = Some(agent);
        node.state = NodeState::Coming;
        node.answers = Instant::now() + patience.enough;
        Ok(())
    }

    /// Lets a node take part if it is as the first one; one that takes part already, or no more, has
    /// nothing more to say.
    fn welcome(&self, place: usize, hello: Hello) {
        if self.state(place) != NodeState::Coming {
            return;
        }
        let name = self.name(place);
        let misfit = match &*self.first.borrow() {
            Some((_, known)) => hello.misfit(known),
            None => None,
        };
        if let Some(why) = misfit {
            return self.refuse(place, &why);
        }
        self.first.borrow_mut().get_or_insert((name, hello));
        self.nodes.borrow_mut()[place].state = NodeState::Idle;
    }

    /// Goes on without a node. What it runs is cut.
    fn refuse(&self, place: usize, why: &str) {
        self.put_out(place);
        let (name, running) = (self.name(place), self.nodes.borrow_mut()[place].running.take());
        // An agent's own words begin with the program's name.
        let why = why.trim_start_matches("wan22-tune: ");
        let cut = |running: Running| (place, running.interrupted(format!("node {name}: {why}")));
        let cut = running.map(cut);
        self.cut.borrow_mut().extend(cut);
        self.news.borrow_mut().push(format!("node {name} can't take part: {why}"));
    }

    fn name(&self, place: usize) -> String {
        self.nodes.borrow()[place].name.clone()
    }

    fn last_words(&self, place: usize) -> String {
        let nodes = self.nodes.borrow();
        let words = nodes[place].agent.as_ref().map(Agent::last_words).unwrap_or_default();
        if words.is_empty() { "it said nothing".to_owned() } else { words }
    }

    /// What an agent's end comes to: it is started again, if that was not done too often.
    fn lose(&self, place: usize, why: &str) -> Option<(usize, Trial)> {
        let (name, restarts) = (self.name(place), self.nodes.borrow()[place].restarts);
        let running = self.nodes.borrow_mut()[place].running.take();
        let detail = format!("node {name} was lost: {why}");
        let is_over = restarts >= RESTARTS || self.is_stopped();
        let then = if is_over { "it takes part no more" } else { "its agent is started again" };
        self.put_out(place);
        if !self.is_stopped() {
            self.news.borrow_mut().push(format!("{detail}; {then}"));
        }
        if !is_over {
            self.nodes.borrow_mut()[place].restarts += 1;
            if let Err(error) = self.launch(place) {
                self.refuse(place, &format!("{error:#}"));
            }
        }
        running.map(|running| (place, running.interrupted(detail)))
    }

    /// What the end of a trial comes to; nothing of one that nobody asked for.
    fn end(&self, place: usize, ended: TrialReport) -> Option<(usize, Trial)> {
        let is_it = |running: &&Running| running.request.number == ended.trial.number;
        let values = {
            let nodes = self.nodes.borrow();
            nodes[place].running.as_ref().filter(is_it)?.request.values.clone()
        };
        self.news.borrow_mut().extend(ended.news);
        for (what, digest) in ended.references {
            self.compare(place, &(what, values.clone()), digest);
        }
        let node = &mut self.nodes.borrow_mut()[place];
        let running = node.running.take()?;
        node.state = NodeState::Idle;
        Some((place, running.ended(ended.trial)))
    }

    fn is_stopped(&self) -> bool {
        self.stop.borrow().load(Ordering::Relaxed)
    }

    /// Tells agents to end their trials, once somebody wants the tuner to finish.
    fn tell_stop(&self) {
        if self.is_stop_told.replace(true) {
            return;
        }
        for node in self.nodes.borrow_mut().iter_mut() {
            if let Some(running) = &mut node.running {
                running.until = Instant::now() + FAREWELL;
            }
            node.agent.iter_mut().for_each(|agent| agent.tell(&TunerMessage::Stop));
        }
    }

    /// The first node whose trial should be over, or whose agent should have answered, long since.
    fn overdue(&self) -> Option<usize> {
        let is_overdue = |node: &Node| match &node.running {
            Some(running) => Instant::now() > running.until,
            None => node.state == NodeState::Coming && Instant::now() > node.answers,
        };
        self.nodes.borrow().iter().position(is_overdue)
    }
}

impl Nodes for Agents {
    fn names(&self) -> Vec<String> {
        self.nodes.borrow().iter().map(|node| node.name.clone()).collect()
    }

    fn state(&self, place: usize) -> NodeState {
        self.nodes.borrow()[place].state
    }

    fn start(&self, place: usize, request: TrialRequest) -> Result<()> {
        let node = &mut self.nodes.borrow_mut()[place];
        let time = (request.time() * 2 + OVERTIME).min(request.left + FAREWELL);
        let until = Instant::now() + time;
        if let Some(agent) = &mut node.agent {
            agent.tell(&TunerMessage::Trial(Box::new(request.clone())));
        }
        (node.state, node.running) = (NodeState::Busy, Some(Running::new(request, until)));
        Ok(())
    }

    fn wait(&self, for_nodes: Duration) -> Result<Option<(usize, Trial)>> {
        let until = Instant::now() + for_nodes;
        loop {
            self.settle();
            if let Some(cut) = self.cut.borrow_mut().pop() {
                return Ok(Some(cut));
            }
            if self.is_stopped() {
                self.tell_stop();
            }
            if let Some(place) = self.overdue() {
                let why = if self.is_stopped() { STOPPED } else { "it does not answer" };
                return Ok(self.lose(place, why));
            }
            let Ok((place, generation, event)) = self.events.1.recv_timeout(TICK) else {
                let is_over = self.is_stopped() || Instant::now() >= until;
                let none_comes = || self.in_state(NodeState::Coming).is_empty();
                if self.in_state(NodeState::Busy).is_empty() && (is_over || none_comes()) {
                    return Ok(None);
                }
                continue;
            };
            if generation != self.nodes.borrow()[place].restarts {
                continue;
            }
            match event {
                Event::Said(AgentMessage::Asks) => self.let_ask(place),
                Event::Said(AgentMessage::Hello(hello)) => {
                    self.welcome(place, *hello);
                    return Ok(None);
                }
                Event::Said(AgentMessage::Refused(why)) => {
                    self.refuse(place, &why);
                    return Ok(None);
                }
                Event::Said(AgentMessage::Ended(ended)) => {
                    if let Some(ended) = self.end(place, *ended) {
                        return Ok(Some(ended));
                    }
                }
                Event::Gone if self.state(place) == NodeState::Out => {}
                Event::Gone => return Ok(self.lose(place, &self.last_words(place))),
            }
        }
    }

    fn bound(&self, time: Duration) {
        let most = Instant::now() + time * 2 + FAREWELL;
        for node in self.nodes.borrow_mut().iter_mut() {
            node.running.iter_mut().for_each(|running| running.until = running.until.min(most));
        }
    }

    fn put_out(&self, place: usize) {
        let node = &mut self.nodes.borrow_mut()[place];
        node.state = NodeState::Out;
        node.agent.iter_mut().for_each(Agent::dismiss);
    }

    fn news(&self) -> Vec<String> {
        self.news.take()
    }

    fn pause(&self, time: Duration, stop: &dyn Fn() -> bool) {
        crate::runner::pause(time, stop);
    }
}

impl Drop for Agents {
    /// All are told to end before the first is waited for.
    fn drop(&mut self) {
        let nodes = self.nodes.get_mut();
        let mut agents: Vec<Agent> =
            nodes.iter_mut().filter_map(|node| node.agent.take()).collect();
        agents.iter_mut().for_each(Agent::dismiss);
        let deadline = Instant::now() + FAREWELL;
        agents.iter_mut().for_each(|agent| agent.end(deadline));
    }
}
