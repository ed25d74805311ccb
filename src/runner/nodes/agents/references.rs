//! References: the pictures by which nodes show that they compute the same.

use std::collections::BTreeMap;

use super::{Agents, NodeState, Nodes, interrupted};
use crate::knobs::Values;

/// The digests of reference pictures, by what they show and the values under which they were made: of
/// each node one, in the order in which they came.
#[derive(Default)]
pub(super) struct References(BTreeMap<(String, Values), Vec<(usize, String)>>);

/// Nodes whose pictures differ.
#[derive(Debug, PartialEq, Eq)]
struct Judged {
    /// Those that are wrong, or in question.
    odd: Vec<usize>,
    /// Those with the other picture.
    others: Vec<usize>,
    verdict: Verdict,
}

/// Which of two pictures is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
enum Verdict {
    /// That of most nodes.
    #[strum(to_string = "")]
    Most,
    /// As many nodes made the one as the other.
    #[strum(to_string = ", which came first: which of them is right nobody can tell")]
    Tie,
    /// Other nodes still have to say so.
    #[strum(to_string = ": the other nodes' will say which of them is right")]
    Open,
}

impl Verdict {
    fn is_open(self) -> bool {
        self == Self::Open
    }
}

impl References {
    /// Takes in the picture of a node, one of those `present`; which of them are odd, where they differ.
    fn add(
        &mut self,
        key: (String, Values),
        (place, digest): (usize, String),
        present: &[usize],
    ) -> Option<Judged> {
        let made = self.0.entry(key).or_default();
        made.retain(|(other, _)| *other != place && present.contains(other));
        made.push((place, digest));
        let count = |digest: &str| made.iter().filter(|(_, other)| other == digest).count();
        // Of equally many the first.
        let (_, most) = made.iter().rev().max_by_key(|(_, digest)| count(digest))?;
        let (others, odd): (Vec<_>, Vec<_>) = made.iter().partition(|(_, digest)| digest == most);
        let is_tie = odd.iter().any(|(_, digest)| count(digest) == others.len());
        let is_open = 2 * others.len() <= present.len() && made.len() < present.len();
        let verdict = match (is_open, is_tie) {
            (true, _) => Verdict::Open,
            (false, true) => Verdict::Tie,
            (false, false) => Verdict::Most,
        };
        let places = |made: Vec<&(usize, String)>| {
            let mut places: Vec<usize> = made.into_iter().map(|(place, _)| *place).collect();
            places.sort_unstable();
            places
        };
        (!odd.is_empty()).then(|| Judged { odd: places(odd), others: places(others), verdict })
    }
}

impl Agents {
    /// Compares a node's reference picture with the others', and goes on without nodes that compute
    /// something else than most.
    pub(super) fn compare(&self, place: usize, key: (String, Values), digest: String) {
        let present = (0..self.names().len()).filter(|place| self.state(*place) != NodeState::Out);
        let present: Vec<usize> = present.collect();
        let judged = self.references.borrow_mut().add(key, (place, digest), &present);
        let Some(Judged { odd, others, verdict }) = judged else { return };
        let others: Vec<String> = others.into_iter().map(|place| self.name(place)).collect();
        let why = format!("its reference picture is not that of {}{verdict}", others.join(", "));
        if verdict.is_open() {
            let name = self.name(place);
            self.news.borrow_mut().push(format!("node {name}: {why}"));
            return;
        }
        for place in odd {
            self.refuse(place, &why);
            let running = self.nodes.borrow_mut()[place].running.take();
            let cut = running.map(|(request, _)| {
                (place, interrupted(&request, format!("node {}: {why}", request.node)))
            });
            self.cut.borrow_mut().extend(cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said after each of these nodes' pictures, of those that are present.
    fn judged(made: &[(usize, &str)], present: &[usize]) -> Vec<Option<Judged>> {
        let mut references = References::default();
        let mut add = |(place, digest): &(usize, &str)| {
            let key = ("decoded".to_owned(), Values::new());
            references.add(key, (*place, (*digest).to_owned()), present)
        };
        made.iter().map(&mut add).collect()
    }

    fn odd(odd: &[usize], others: &[usize], verdict: Verdict) -> Option<Judged> {
        Some(Judged { odd: odd.to_vec(), others: others.to_vec(), verdict })
    }

    #[test]
    fn the_first_to_come_does_not_decide_against_most() {
        let made = [(1, "other"), (0, "same"), (2, "same")];
        let expected = [None, odd(&[0], &[1], Verdict::Open), odd(&[1], &[0, 2], Verdict::Most)];
        assert_eq!(judged(&made, &[0, 1, 2]), expected);
        assert_eq!(
            judged(&[(0, "same"), (1, "same"), (2, "same")], &[0, 1, 2]),
            [const { None }; 3]
        );
        // A majority need not wait for the last.
        let made = [(0, "a"), (1, "a"), (2, "b"), (3, "a")];
        let expected =
            [None, None, odd(&[2], &[0, 1], Verdict::Open), odd(&[2], &[0, 1, 3], Verdict::Most)];
        assert_eq!(judged(&made, &[0, 1, 2, 3, 4]), expected);
    }

    #[test]
    fn of_two_that_differ_the_first_stays() {
        let expected = [None, odd(&[0], &[1], Verdict::Tie)];
        assert_eq!(judged(&[(1, "a"), (0, "b")], &[0, 1]), expected);
        let made = [(0, "a"), (1, "b"), (2, "b"), (3, "a")];
        assert_eq!(judged(&made, &[0, 1, 2, 3]).pop(), Some(odd(&[1, 2], &[0, 3], Verdict::Tie)));
        // An agent that was started again has but one word, and one that is gone none.
        let mut again = judged(&[(0, "a"), (1, "b"), (0, "b")], &[0, 1]);
        assert_eq!(again.pop(), Some(None));
        assert_eq!(judged(&[(0, "a"), (1, "b")], &[1]).pop(), Some(None));
    }
}
