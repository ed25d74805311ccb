//! Round order: the order in which a round of the confirmation runs its candidates.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::knobs::Values;

/// The candidates in the order of round `round`, from 0 on.
///
/// Each second round runs in the reverse order of the one before, which cancels what a machine that
/// gets steadily slower or faster adds to a difference; each two rounds start one place further on
/// than the two before, so that in a cycle everyone has had every place, and before and after
/// everyone else, equally often. Each cycle begins with an order drawn at random, which no periodic
/// disturbance can follow.
pub fn round_order(candidates: &[Values], seed: u64, round: usize) -> Vec<Values> {
    let cycle = 2 * candidates.len().max(1);
    let seed = seed ^ ((round / cycle + 1) as u64) << 32;
    let mut order = candidates.to_vec();
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    order.rotate_left(round % cycle / 2);
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::knobs::Value;

    fn candidates(count: i64) -> Vec<Values> {
        (0..count).map(|i| [("threads".to_owned(), Value::Integer(i))].into()).collect()
    }

    #[test]
    fn two_alternate_such_that_a_trend_and_its_change_cancel() {
        let both = candidates(2);
        let mut began = BTreeSet::new();
        for seed in 0..20 {
            let first = round_order(&both, seed, 0);
            let reverse: Vec<Values> = first.iter().rev().cloned().collect();
            let seen: Vec<Vec<Values>> =
                (1..4).map(|round| round_order(&both, seed, round)).collect();
            assert_eq!(seen, [reverse.clone(), reverse, first.clone()]);
            began.insert([first, round_order(&both, seed, 4)]);
        }
        assert_eq!(began.len(), 4, "cycles begin at random");
    }

    #[test]
    fn three_have_all_orders_in_six_rounds() {
        let all: BTreeSet<Vec<Values>> =
            (6..12).map(|round| round_order(&candidates(3), 5, round)).collect();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn each_second_round_is_the_reverse_of_the_one_before() {
        for count in 1..=5 {
            for block in 0..20 {
                let mut second = round_order(&candidates(count), 7, 2 * block + 1);
                second.reverse();
                assert_eq!(second, round_order(&candidates(count), 7, 2 * block));
            }
        }
    }
}
