//! Reading a profile that somebody else may have written.

pub mod scan;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::scan::scan;
use super::{Profile, ProfileError, SCHEMA, check};
use crate::io::input;
use crate::knobs::allow_list::CUDA_ALLOCATOR;

/// A profile is a page of text; a larger file is refused.
const LARGEST_BYTES: u64 = 1 << 20;

/// What the WAN22 system optimizer writes, and nothing else.
const WAN22_KEYS: [&str; 3] = ["hardware_profile", "optimal_settings", "timestamp"];

impl Profile {
    /// Reads a profile and checks whatever it would do to a process.
    ///
    /// # Errors
    /// The file, where in it, and what is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || format!("profile {}", path.display());
        let text = text(path).with_context(place)?;
        Self::parse(unmarked(&text)).with_context(place)
    }

    /// The profile of a text.
    ///
    /// # Errors
    /// Where it is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let scanned = scan(text)?;
        format(&scanned)?;
        let profile: Self = typed(&scanned)?;
        let known = serde_json::to_value(&profile).expect("a profile is plain data");
        if let Some(path) = unknown(&scanned, &known) {
            return Err(ProfileError::at(path, "there is no such key"));
        }
        check::check(&profile)?;
        Ok(profile.without_gpu_allocator())
    }

    /// The profile without what older versions told libtorch's allocator on GPUs, asked by no knob.
    fn without_gpu_allocator(mut self) -> Self {
        let value = self.candidate.get("cuda_alloc").map(ToString::to_string);
        if value.is_none_or(|value| value == "default") {
            let environment = &mut self.launch.environment;
            environment.retain(|name, _| !CUDA_ALLOCATOR.contains(&name.as_str()));
        }
        self
    }
}

/// A profile's file as people name it: a results folder stands for the profile in it.
pub fn located(path: PathBuf) -> PathBuf {
    if path.is_dir() { path.join("profile.json") } else { path }
}

/// The value that a document stands for, or where it stands for none.
pub(super) fn typed<T: DeserializeOwned>(scanned: &Value) -> Result<T, ProfileError> {
    serde_path_to_error::deserialize(scanned).map_err(|error| {
        use serde_path_to_error::Segment;
        let segments = error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        ProfileError::at(segments.collect::<Vec<_>>(), error.inner())
    })
}

/// The text of a profile, or of what stands beside one: a regular file of at most 1 MiB.
///
/// # Errors
/// As [`input::text`].
pub fn text(path: &Path) -> Result<String> {
    input::text(path, LARGEST_BYTES)
}

/// The text of a file without the byte order mark that some editors begin it with.
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{FEFF}').unwrap_or(text)
}

/// Says what the file is before its keys are looked at one by one.
fn format(scanned: &Value) -> Result<(), ProfileError> {
    let whole = |reason: String| Err(ProfileError { pointer: String::new(), reason });
    let Some(members) = scanned.as_object() else {
        return whole("a profile is a JSON object".to_owned());
    };
    if members.keys().all(|key| WAN22_KEYS.contains(&key.as_str())) && !members.is_empty() {
        return whole(
            "this is a profile of the WAN22 system optimizer: start a tune from it with --baseline"
                .to_owned(),
        );
    }
    match members.get("schema") {
        Some(schema) if *schema == SCHEMA => Ok(()),
        Some(schema) => Err(ProfileError::at(
            ["schema"],
            format!("this program reads {SCHEMA}, not {schema}; a newer one may read it"),
        )),
        None => Err(ProfileError::at(["schema"], "the key is missing: this is no profile")),
    }
}

/// The way to the first key of `given` that `known` lacks: serde passes over keys it does not know
/// where a struct is flattened.
fn unknown(given: &Value, known: &Value) -> Option<Vec<String>> {
    let below = |segment: String, given: &Value, known: Option<&Value>| {
        let mut path = known.map_or(Some(Vec::new()), |known| unknown(given, known))?;
        path.insert(0, segment);
        Some(path)
    };
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            given.iter().find_map(|(key, value)| below(key.clone(), value, known.get(key)))
        }
        (Value::Array(given), Value::Array(known)) => {
            let pairs = given.iter().zip(known).enumerate();
            pairs
                .into_iter()
                .find_map(|(i, (given, known))| below(i.to_string(), given, Some(known)))
        }
        _ => None,
    }
}
