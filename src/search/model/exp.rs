//! Temporary: experiments' settings from the environment.
pub fn exp(name: &'static str, usual: f64) -> f64 {
    use std::sync::{LazyLock, Mutex};
    use std::collections::HashMap;
    static SEEN: LazyLock<Mutex<HashMap<&'static str, f64>>> = LazyLock::new(Default::default);
    *SEEN.lock().unwrap().entry(name).or_insert_with(|| {
        std::env::var(name).ok().and_then(|t| t.parse().ok()).unwrap_or(usual)
    })
}
