//! The first look at a profile's text: JSON that two readers can't read differently.
//!
//! serde takes the last of two equal keys of a map, and other readers the first; it reads lists
//! of any length and names of any kind. None of that has a place in a profile.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::io::printable::is_hidden;
use crate::profile::ProfileError;

/// Nested deeper is no profile: `evidence.workload.stages` is the deepest that there is.
const DEPTH: usize = 8;
/// More than the CPUs of any kernel (8192).
const ELEMENTS: usize = 8192;
const KEYS: usize = 256;
/// `OMP_PLACES` of a machine with thousands of CPUs is the longest text that there is.
const TEXT_BYTES: usize = 1 << 15;

/// The document, if it is unambiguous and of a profile's proportions.
///
/// # Errors
/// Where in it, and why not.
pub fn scan(text: &str) -> Result<Value, ProfileError> {
    let path = Path::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let scanned = Node(&path).deserialize(&mut reader);
    let whole = scanned.and_then(|value| reader.end().map(|()| value));
    whole.map_err(|error| ProfileError::at(path.0.into_inner(), error))
}

/// Where the reader is; it stays there when something is refused.
#[derive(Default)]
struct Path(RefCell<Vec<String>>);

impl Path {
    fn within<T, E: de::Error>(
        &self,
        segment: String,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.0.borrow_mut().push(segment);
        if self.0.borrow().len() > DEPTH {
            return Err(E::custom(format!("nested more than {DEPTH} deep")));
        }
        let value = read()?;
        self.0.borrow_mut().pop();
        Ok(value)
    }
}

struct Node<'p>(&'p Path);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        plain(text)?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        loop {
            let next = || list.next_element_seed(Node(self.0));
            let Some(element) = self.0.within(elements.len().to_string(), next)? else { break };
            elements.push(element);
            if elements.len() > ELEMENTS {
                return Err(de::Error::custom(format!("a list of more than {ELEMENTS} elements")));
            }
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            plain(&key)?;
            let value = self.0.within(key.clone(), || {
                if members.contains_key(&key) {
                    return Err(de::Error::custom("the key stands here twice"));
                }
                map.next_value_seed(Node(self.0))
            })?;
            members.insert(key, value);
            if members.len() > KEYS {
                return Err(de::Error::custom(format!("an object of more than {KEYS} keys")));
            }
        }
        Ok(Value::Object(members))
    }
}

/// Text that can't act on a terminal or hide from a reader.
fn plain<E: de::Error>(text: &str) -> Result<(), E> {
    if text.len() > TEXT_BYTES {
        return Err(E::custom(format!("text of more than {TEXT_BYTES} bytes")));
    }
    let odd = text.chars().find(|&c| is_hidden(c));
    odd.map_or(Ok(()), |odd| {
        Err(E::custom(format!("the character U+{:04X} has no place in a text", u32::from(odd))))
    })
}
