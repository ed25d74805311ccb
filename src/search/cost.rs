//! Cost: what failures cost, and the scale on which costs are compared.

/// Charged for a failure, whatever comes first, and some of them can be added up. What costs as much
/// has failed: the largest numbers are often its marks.
pub(crate) const FAILED: f64 = 1e100;

/// ln(2e9 cost) for every cost above some nanoseconds, rising through zero and below it.
pub(super) fn log_like(cost: f64) -> f64 {
    (cost * 1e9).asinh()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_on_a_scale_of_shares_through_zero() {
        assert!((log_like(2.0) - log_like(1.0) - 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!(log_like(-3.0), -log_like(3.0));
    }
}
