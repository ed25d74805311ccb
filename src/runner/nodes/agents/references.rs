//! References: the pictures by which nodes show that they compute the same.

use std::collections::BTreeMap;

use super::{Agents, NodeState, Nodes};
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
    /// Takes in the picture of a node.
    fn add(&mut self, key: (String, Values), (place, digest): (usize, String)) {
        let made = self.0.entry(key).or_default();
        made.retain(|(other, _)| *other != place);
        made.push((place, digest));
    }

    /// Of each picture which of the nodes `present` are odd, where they differ.
    fn judged(&self, present: &[usize]) -> Vec<Judged> {
        self.0.values().filter_map(|made| judged(made, present)).collect()
    }
}

/// Which of the nodes `present` are odd, where the pictures differ that they made.
fn judged(made: &[(usize, String)], present: &[usize]) -> Option<Judged> {
    let made = made.iter().filter(|(place, _)| present.contains(place));
    let made: Vec<&(usize, String)> = made.collect();
    let count = |digest: &str| made.iter().filter(|(_, other)| other == digest).count();
    // Of equally many the first.
    let (_, most) = made.iter().rev().max_by_key(|(_, digest)| count(digest))?;
    let (others, odd): (Vec<_>, Vec<_>) =
        made.iter().copied().partition(|(_, digest)| digest == most);
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

impl Agents {
    /// Takes in a node's reference picture, and says where it is another one than others'.
    pub(super) fn compare(&self, place: usize, key: &(String, Values), digest: String) {
        self.references.borrow_mut().add(key.clone(), (place, digest));
        let judged = judged(&self.references.borrow().0[key], &self.present());
        if let Some(judged) = judged.filter(|judged| judged.verdict.is_open()) {
            let news = format!("node {}: {}", self.name(place), self.why(&judged));
            self.news.borrow_mut().push(news);
        }
        self.settle();
    }

    /// Goes on without nodes that compute something else than most. A node that is lost may have been
    /// the last whose word was waited for.
    pub(super) fn settle(&self) {
        let judged = self.references.borrow().judged(&self.present());
        for judged in judged.into_iter().filter(|judged| !judged.verdict.is_open()) {
            let why = self.why(&judged);
            // One picture is enough to put a node out.
            let odd = judged.odd.into_iter().filter(|place| self.state(*place) != NodeState::Out);
            odd.collect::<Vec<_>>().into_iter().for_each(|place| self.refuse(place, &why));
        }
    }

    /// The places of the nodes that take part, or may yet.
    fn present(&self) -> Vec<usize> {
        let places = 0..self.names().len();
        places.filter(|place| self.state(*place) != NodeState::Out).collect()
    }

    fn why(&self, Judged { others, verdict, .. }: &Judged) -> String {
        let others: Vec<String> = others.iter().map(|place| self.name(*place)).collect();
        format!("its reference picture is not that of {}{verdict}", others.join(", "))
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
            references.add(key, (*place, (*digest).to_owned()));
            references.judged(present).pop()
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

    #[test]
    fn a_node_that_is_lost_no_longer_has_a_word_to_say() {
        let mut references = References::default();
        for (place, digest) in [(1, "a"), (0, "b")] {
            references.add(("decoded".to_owned(), Values::new()), (place, digest.to_owned()));
        }
        assert_eq!(references.judged(&[0, 1, 2]).pop(), odd(&[0], &[1], Verdict::Open));
        assert_eq!(references.judged(&[0, 1]).pop(), odd(&[0], &[1], Verdict::Tie));
    }
}
