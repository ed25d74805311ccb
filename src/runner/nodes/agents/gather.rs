//! Gathering: waits for the nodes of a tune to say hello before it begins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::agent::Event;
use super::message::{AgentMessage, Hello};
use super::{Agents, TICK};
use crate::runner::nodes::{NodeState, Nodes};

/// How long nodes are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The others, once there are enough.
    pub others: Duration,
    /// Enough of them: another tune may run there.
    pub enough: Duration,
    /// One whose worker loads to say what it runs today.
    pub asking: Duration,
}

impl Patience {
    /// That of a tune whose workers may load for as long as `asking`.
    pub fn of(asking: Duration) -> Self {
        Self { others: Duration::from_secs(60), enough: Duration::from_secs(600), asking }
    }
}

impl Agents {
    /// Waits until all nodes have answered, or `least` have and the others take too long.
    ///
    /// # Errors
    /// Fewer than `least` may take part.
    pub(super) fn gather(&self, least: usize) -> Result<()> {
        let (begun, mut asks) = (Instant::now(), None);
        let mut hellos: BTreeMap<usize, Hello> = BTreeMap::new();
        let is_enough = |hellos: &BTreeMap<usize, Hello>| {
            begun.elapsed() > self.start.patience.others && hellos.len() >= least
        };
        while self.is_awaited(&hellos) && !is_enough(&hellos) {
            match self.events.1.recv_timeout(TICK) {
                Ok((place, _, Event::Said(AgentMessage::Asks))) => {
                    asks.get_or_insert_with(Instant::now);
                    self.let_ask(place);
                }
                Ok((place, _, Event::Said(AgentMessage::Hello(hello)))) => {
                    hellos.insert(place, *hello);
                    self.asked.set(asks.map(|asks: Instant| asks.elapsed()).unwrap_or_default());
                }
                Ok((place, _, Event::Said(AgentMessage::Refused(why)))) => self.refuse(place, &why),
                Ok((place, _, Event::Gone)) if self.state(place) == NodeState::Coming => {
                    hellos.remove(&place);
                    let why = self.last_words(place);
                    self.refuse(place, &format!("its agent ended: {why}"));
                }
                _ => {}
            }
        }
        // In the order of the nodes, not of the answers: the first decides.
        hellos.into_iter().for_each(|(place, hello)| self.welcome(place, hello));
        let ready = self.in_state(NodeState::Idle).len();
        if ready < least {
            let problems = self.news.take().join("; ");
            bail!("{ready} of at least {least} nodes can take part: {problems}");
        }
        Ok(())
    }

    /// Whether a node that has not said hello may do so yet.
    fn is_awaited(&self, hellos: &BTreeMap<usize, Hello>) -> bool {
        let coming = self.in_state(NodeState::Coming);
        let mut open = coming.iter().filter(|place| !hellos.contains_key(place));
        open.any(|place| Instant::now() < self.nodes.borrow()[*place].answers)
    }

    /// Gives a node the time in which its worker loads.
    pub(super) fn let_ask(&self, place: usize) {
        self.nodes.borrow_mut()[place].answers = Instant::now() + self.start.patience.asking;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::super::message::Setup;
    use super::super::{AgentsConfig, Launcher, Node};
    use super::*;
    use crate::knobs::Values;
    use crate::machine::Machine;

    /// Two nodes whose agent is this script, which has the time `enough` for its first word.
    fn opened(script: &str, enough: Duration) -> Result<Agents> {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::from_synthetic("package:1 [numa(memory=8GB)] core:4 pu:2").unwrap();
        let (baseline, without_default) = (Values::new(), BTreeSet::new());
        let tool = "tool".to_owned();
        let hello = Hello { tool, worker: None, machine, baseline, without_default };
        let hello = serde_json::to_string(&AgentMessage::Hello(Box::new(hello))).unwrap();
        fs::write(folder.path().join("hello"), hello + "\n").unwrap();
        let agent = folder.path().join("agent.sh");
        let text = format!("cd '{}'\n{script}\ncat > /dev/null\n", folder.path().display());
        fs::write(&agent, text).unwrap();
        let setup = Setup {
            tool: "tool".to_owned(),
            folder: String::new(),
            custom_folder: None,
            arguments: Vec::new(),
            waits: false,
        };
        let patience = Patience { others: enough, enough, asking: ASKING };
        let launcher = Launcher::of(&format!("sh {}", agent.display())).unwrap();
        let start = AgentsConfig { launcher, program: "agent".into(), setup, patience };
        Agents::open(start, vec!["a".to_owned(), "b".to_owned()], 2)
    }

    /// Longer than any machine takes to start a script, and longer by far.
    const ENOUGH: Duration = Duration::from_secs(300);
    const ASKING: Duration = Duration::from_secs(3600);

    #[test]
    fn a_node_whose_worker_loads_is_waited_for_and_the_time_is_told() {
        let begun = Instant::now();
        let agents = opened("echo '\"asks\"'\nsleep 0.2\ncat hello", ENOUGH).unwrap();
        assert_eq!(agents.in_state(NodeState::Idle).len(), 2);
        let asked = agents.asked();
        assert!(!asked.is_zero() && asked < begun.elapsed(), "{asked:?}");
        let has_time = |node: &Node| node.answers > begun + ASKING;
        assert!(agents.nodes.borrow().iter().all(has_time), "it has that of a worker that loads");
        let agents = opened("cat hello", ENOUGH).unwrap();
        assert_eq!(agents.asked(), Duration::ZERO);
    }

    #[test]
    fn a_node_that_says_nothing_is_not_waited_for() {
        assert!(opened("", Duration::from_millis(100)).is_err());
    }
}
