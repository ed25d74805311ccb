//! Tensor mismatch: how a file's tensors differ from those that a model needs, in one line.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::Stored;

/// How many names stand in a message, of each kind.
const SHOWN: usize = 3;

/// How names begin that another program gave, and which.
const OTHERS: [(&str, &str); 5] = [
    ("model.diffusion_model.", "ComfyUI"),
    ("diffusion_model.", "ComfyUI"),
    ("first_stage_model.", "ComfyUI"),
    ("cond_stage_model.", "ComfyUI"),
    ("text_encoders.", "ComfyUI"),
];

/// Parts of names that only the original release has.
const ORIGINAL: [&str; 5] =
    [".self_attn.q.", "head.modulation", ".middle.0.residual.", ".attn.q.weight", ".downsamples."];

/// All that is wrong with a model's tensors.
#[derive(Debug, Default)]
pub struct TensorMismatch {
    missing: BTreeMap<String, String>,
    misshapen: Vec<String>,
    /// By kind of numbers: how many tensors have it, and one of them.
    unreadable: BTreeMap<String, (usize, String)>,
    surplus: Vec<String>,
}

impl TensorMismatch {
    /// Notes a tensor that the model needs and the file lacks.
    pub fn missing(&mut self, name: &str, shape: &[i64]) {
        self.missing.insert(name.to_owned(), format!("{shape:?}"));
    }

    /// Notes a tensor that no part of the model is.
    pub fn surplus(&mut self, name: &str) {
        self.surplus.push(name.to_owned());
    }

    /// Notes what is wrong with a tensor that is there, if anything is.
    pub fn compare(&mut self, name: &str, shape: &[i64], stored: &Stored) {
        if !stored.is_readable() {
            let first = || (0, name.to_owned());
            self.unreadable.entry(format!("{:?}", stored.dtype)).or_insert_with(first).0 += 1;
        } else if stored.shape != shape {
            self.misshapen.push(format!("{name} is {:?}, should be {shape:?}", stored.shape));
        }
    }

    /// Notes that a tensor can't be read after all.
    pub fn unreadable(&mut self, name: &str, why: &str) {
        self.misshapen.push(format!("{name} is unreadable ({why})"));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        let Self { missing, misshapen, unreadable, surplus } = self;
        missing.is_empty() && misshapen.is_empty() && unreadable.is_empty() && surplus.is_empty()
    }

    /// What stands before the names of most missing tensors, where they are there under longer ones.
    fn prefix(&self) -> Option<(String, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in &self.surplus {
            let ends = name.match_indices('.').map(|(dot, _)| dot + 1);
            let found = ends.into_iter().find(|&end| self.missing.contains_key(&name[end..]));
            found.into_iter().for_each(|end| *counts.entry(&name[..end]).or_default() += 1);
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (2 * most.1 > self.missing.len()).then(|| (most.0.to_owned(), most.1))
    }

    /// What says that another program wrote the file, and what to do.
    fn origin(&self) -> Option<String> {
        const CURE: &str = "give the model in diffusers layout";
        if let Some((prefix, count)) = self.prefix() {
            return Some(format!("{count} names begin with {prefix:?}: {CURE}, without it"));
        }
        let begins = |(prefix, who): (&str, &str)| {
            let count = self.surplus.iter().filter(|name| name.starts_with(prefix)).count();
            (count > 0).then(|| format!("{count} names begin with {prefix:?}, as {who}'s: {CURE}"))
        };
        let other = OTHERS.into_iter().find_map(begins);
        let original = |name: &String| ORIGINAL.iter().any(|part| name.contains(part));
        other.or_else(|| {
            let is_original = self.surplus.iter().any(original);
            is_original.then(|| format!("the names are those of Wan's original release: {CURE}"))
        })
    }
}

impl Display for TensorMismatch {
    /// In one line, with the cure at its end.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some((kind, (count, first))) = self.unreadable.iter().next() {
            return write!(
                f,
                "{count} tensors are of type {kind} (first: {first}), and only F32, F16 and BF16 \
                 are known: give the model in one of these"
            );
        }
        let missing: Vec<String> =
            self.missing.iter().map(|(name, shape)| format!("{name} {shape}")).collect();
        list(f, "missing", &missing)?;
        list(f, "misshapen", &self.misshapen)?;
        list(f, "surplus", &self.surplus)?;
        match self.origin() {
            Some(origin) => f.write_str(&origin),
            None => f.write_str("give the config.json that these weights were saved with"),
        }
    }
}

fn list(f: &mut Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    let shown = names[..names.len().min(SHOWN)].join(", ");
    let more = if names.len() > SHOWN { ", …" } else { "" };
    write!(f, "{what} ({}): {shown}{more}; ", names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mismatch(missing: &[&str], surplus: &[&str]) -> String {
        let mut mismatch = TensorMismatch::default();
        missing.iter().for_each(|name| mismatch.missing(name, &[2, 3]));
        surplus.iter().for_each(|name| mismatch.surplus(name));
        mismatch.to_string()
    }

    #[test]
    fn many_names_are_one_line() {
        let names = ["a", "b", "c", "d", "e"];
        assert_eq!(
            mismatch(&names, &["z"]),
            "missing (5): a [2, 3], b [2, 3], c [2, 3], …; surplus (1): z; give the config.json \
             that these weights were saved with"
        );
    }

    #[test]
    fn another_prefix_is_named() {
        let moved = mismatch(&["a.b", "c"], &["model.x.a.b", "model.x.c"]);
        assert!(moved.ends_with(
            "2 names begin with \"model.x.\": give the model in diffusers layout, without it"
        ));
        let comfy = mismatch(&["a.b"], &["model.diffusion_model.blocks.0.self_attn.q.weight"]);
        assert!(comfy.contains("1 names begin with \"model.diffusion_model.\", as ComfyUI's"));
        let original = mismatch(&["a.b"], &["blocks.0.self_attn.q.weight"]);
        assert!(original.contains("Wan's original release"), "{original}");
    }
}
