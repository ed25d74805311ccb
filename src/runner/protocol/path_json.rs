//! Paths in a job's JSON: text, or, where a name is not UTF-8, `{"base64": its bytes}`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How one path is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes { base64: String },
}

impl Written {
    fn of(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes { base64: STANDARD.encode(path.as_os_str().as_bytes()) },
        }
    }

    fn read(self) -> Result<PathBuf, base64::DecodeError> {
        Ok(match self {
            Self::Text(text) => text.into(),
            Self::Bytes { base64 } => OsString::from_vec(STANDARD.decode(base64)?).into(),
        })
    }
}

/// For serde's `with`: a field that holds one path, several, or perhaps one.
pub trait Paths: Sized {
    /// Writes the paths.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads the paths.
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl Paths for PathBuf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::of(self).serialize(serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Written as Deserialize>::deserialize(deserializer)?.read().map_err(D::Error::custom)
    }
}

impl Paths for Vec<PathBuf> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|path| Written::of(path)))
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = <Vec<Written> as Deserialize>::deserialize(deserializer)?;
        written.into_iter().map(|path| path.read().map_err(D::Error::custom)).collect()
    }
}

impl Paths for Option<PathBuf> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(&self.as_deref().map(Written::of), serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = <Option<Written> as Deserialize>::deserialize(deserializer)?;
        written.map(|path| path.read().map_err(D::Error::custom)).transpose()
    }
}

/// Writes a field of paths.
pub fn serialize<P: Paths, S: Serializer>(paths: &P, serializer: S) -> Result<S::Ok, S::Error> {
    paths.serialize(serializer)
}

/// Reads a field of paths.
pub fn deserialize<'de, P: Paths, D: Deserializer<'de>>(deserializer: D) -> Result<P, D::Error> {
    P::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Held {
        #[serde(with = "super")]
        many: Vec<PathBuf>,
        #[serde(with = "super")]
        one: PathBuf,
        #[serde(with = "super")]
        perhaps: Option<PathBuf>,
    }

    #[test]
    fn any_name_comes_back_as_it_was() {
        let latin = PathBuf::from(OsString::from_vec(b"caf\xe9.jpg".to_vec()));
        let held = Held { many: vec!["a.jpg".into(), latin.clone()], one: latin, perhaps: None };
        let text = serde_json::to_string(&held).unwrap();
        let expected = r#"{"many":["a.jpg",{"base64":"Y2Fm6S5qcGc="}],"one":{"base64":"Y2Fm6S5qcGc="},"perhaps":null}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Held>(&text).unwrap(), held);
    }
}
