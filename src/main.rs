//! wan22-tune.
fn main() {}
