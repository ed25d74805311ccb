//! wan22-tune.
