//! Tensors: names and shapes of the weights that a part of the model is built from, as diffusers
//! and transformers save them.
//!
//! The worker's models ask for their tensors by themselves; its tests hold them against these.

mod text_encoder;
mod transformer;
mod vae;

use std::collections::BTreeMap;

/// Names, and the shapes that go with them.
pub type Tensors = BTreeMap<String, Vec<i64>>;

/// Adds tensors below a place in a model's tree of names.
struct Scope<'a> {
    tensors: &'a mut Tensors,
    prefix: String,
}

impl<'a> Scope<'a> {
    fn root(tensors: &'a mut Tensors) -> Self {
        Self { tensors, prefix: String::new() }
    }

    fn sub(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        Scope { prefix: format!("{}{name}.", self.prefix), tensors: self.tensors }
    }

    fn tensor(&mut self, name: &str, shape: &[i64]) {
        self.tensors.insert(format!("{}{name}", self.prefix), shape.to_vec());
    }

    /// A kernel of this shape and a bias for each of its outputs.
    fn kernel(&mut self, name: &str, shape: &[i64]) {
        let mut scope = self.sub(name);
        scope.tensor("weight", shape);
        scope.tensor("bias", &shape[..1]);
    }
}
