//! Knobs of the user's own command: those of a space file that the tool itself lacks.

use super::file::KnobEntry;
use super::resolve::{SpaceError, at};
use super::{Range, SpaceFile};
use crate::knobs::{Kind, Value, Values, program_environment};

impl SpaceFile {
    /// The default of every knob in the file that is not `built_in`: what the command runs today.
    ///
    /// # Errors
    /// The key and what is wrong with it: a name or a value that can't be handed over, a default
    /// that is of another kind than the other values, or that is the baseline's to give.
    pub fn custom_knobs(&self, built_in: &Values) -> Result<Values, SpaceError> {
        let mut custom = Values::new();
        for name in self.knob.keys() {
            let place = format!("knob.{name}");
            let entry = at(&place, self.entry(name))?;
            let Some(default) = &entry.default else { continue };
            let key = format!("{place}.default");
            if built_in.contains_key(name) {
                return at(&key, Err("the baseline says what it is: leave it out".to_owned()));
            }
            at(&place, program_environment::custom_name(name))?;
            let default = at(&key, kind(&entry, default).fit(default))?;
            let values = entry.values.iter().flatten();
            let odd = values
                .chain([&default])
                .find_map(|value| program_environment::custom_value(value).err());
            at(&place, odd.map_or(Ok(()), Err))?;
            custom.insert(name.clone(), default);
        }
        Ok(custom)
    }
}

/// The kind of a knob with this default: a float where any number of its entry is one.
fn kind(entry: &KnobEntry, default: &Value) -> Kind {
    let of_range =
        |range: &Range| [Some(range.min.clone()), Some(range.max.clone()), range.step.clone()];
    let bounds = entry.range.as_ref().map(of_range).into_iter().flatten().flatten();
    let values = entry.values.iter().flatten().cloned();
    let is_float = bounds.chain(values).any(|value| value.kind() == Kind::Float);
    if is_float && default.kind() == Kind::Integer { Kind::Float } else { default.kind() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(knob: &str) -> Result<Values, String> {
        let text = format!("schema = 1\nname = 'x'\nwhy = 'x'\n{knob}");
        let built_in = Values::from([("batch_size".to_owned(), Value::Integer(1))]);
        let file = SpaceFile::parse(&text).unwrap();
        file.custom_knobs(&built_in).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_says_what_kind_a_knob_is_and_one_float_makes_all_of_them_floats() {
        for (entry, default) in [
            ("default = 3, range = { min = 0, max = 40 }", "3"),
            ("default = 0, range = { min = 0, max = 0.5 }", "0.0"),
            ("default = 1, values = [0.5, 1, 2]", "1.0"),
            ("default = false, values = [false, true]", "false"),
            ("default = 'sdpa', values = ['sdpa', 'sage']", "sdpa"),
        ] {
            let knobs = custom(&format!("[knob]\nx = {{ why = '', {entry} }}")).unwrap();
            assert_eq!(knobs["x"].to_string(), default);
        }
        assert_eq!(custom("[knob]\nbatch_size = { why = '', values = [1, 2] }"), Ok(Values::new()));
    }

    #[test]
    fn what_can_not_be_handed_over_is_refused_with_its_place() {
        for (knob, says) in [
            ("Tile = { why = '', default = 1 }", "knob.Tile: `Tile` is no name of a knob"),
            ("profile = { why = '', default = 1 }", "knob.profile: `profile`: WAN22_PROFILE means"),
            ("lock_dir = { why = '', default = 1 }", "WAN22_LOCK_DIR means something else"),
            (
                "batch_size = { why = '', default = 1 }",
                "knob.batch_size.default: the baseline says",
            ),
            ("x = { why = '', default = 'a b' }", "knob.x: `a b`: a word begins with a letter"),
            ("x = { why = '', default = 'a', values = ['../a'] }", "knob.x: `../a`: a word begins"),
            ("x = { why = '', default = [1] }", "knob.x: invalid type: sequence, expected a value"),
        ] {
            let refused = custom(&format!("[knob]\n{knob}")).unwrap_err();
            assert!(refused.contains(says), "{knob}: {refused}");
        }
    }
}
