//! Where a model's weights come from: seeded random numbers, or the user's safetensors files.
//!
//! A model asks a [`Scope`] for each tensor by the reference's own name and shape, builds itself
//! whatever it gets, and then calls [`Weights::finish`], which counts what was missing,
//! misshapen or surplus in one line.
//!
//! Every element is written by the thread that builds the model, into freshly allocated memory:
//! pages lie where that thread's memory policy puts them, and never where a mapped file does.

mod files;
mod fresh;
mod pages;
mod random;

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, bail};
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::Tensors;
use wan22_tune::architecture::checkpoint::TensorMismatch;

use files::Files;
use fresh::{TensorSpec, addresses};
use random::RandomBuffer;

/// Bytes from which a tensor counts as large.
const LARGE_BYTES: usize = 64 << 20;

/// A source of weights, and the record of what a model asked of it.
pub struct Weights {
    source: Source,
    record: RefCell<Record>,
}

enum Source {
    Random(RandomBuffer),
    Files(Files),
    /// Gives shapes without memory: tells which names a model would ask for.
    Names,
}

#[derive(Default)]
struct Record {
    asked: Tensors,
    mismatch: TensorMismatch,
    places: Vec<Range<usize>>,
}

/// What random weights should look like, so that activations stay finite at any depth.
#[derive(Debug, Clone, Copy)]
pub enum Init {
    /// A matrix or convolution kernel: standard deviation 1/sqrt(inputs of one output).
    Kernel,
    /// The last kernel of a branch beside a shortcut: a tenth of that, as trained ones are. At
    /// full spread a decoder would mix distant pixels, and tiles would look far worse than they do
    /// with a real one.
    FaintKernel,
    /// A bias: small offsets.
    Bias,
    /// A norm's gain, near 1.
    Gain,
    /// Zero mean and this standard deviation.
    Spread(f64),
}

impl Weights {
    /// Random weights, the same on every machine for a seed and a tensor's name.
    pub fn random(seed: u64) -> Self {
        Self::from(Source::Random(RandomBuffer::new(seed)))
    }

    /// A safetensors file, or a folder with one model in diffusers layout.
    ///
    /// # Errors
    /// Where there is no such file, or it isn't what it says it is.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::from(Source::Files(Files::open(path)?)))
    }

    /// No weights at all: for finding out what a model would ask for.
    pub fn names() -> Self {
        Self::from(Source::Names)
    }

    fn from(source: Source) -> Self {
        Self { source, record: RefCell::default() }
    }

    /// The scope in which a model's names are whole; tensors become `kind` on `device`.
    pub fn root(&self, kind: Kind, device: Device) -> Scope<'_> {
        Scope { weights: self, prefix: String::new(), kind, device, is_faint: false }
    }

    /// Whether a tensor of this full name exists; random weights have every name.
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Files(files) => files.has(name),
            Source::Random(_) | Source::Names => true,
        }
    }

    /// The full names asked for so far, with their shapes.
    pub fn asked(&self) -> Tensors {
        self.record.borrow().asked.clone()
    }

    /// The addresses of the large tensors given so far: nearly all bytes, in few ranges.
    pub fn places(&self) -> Vec<Range<usize>> {
        self.record.borrow().places.clone()
    }

    /// Settles the record after a model was built.
    ///
    /// `is_spare` says which names belong to the model although this build had no use for them
    /// (deeper layers, a VAE's other half): they may be there or not.
    ///
    /// # Errors
    /// Counts missing, misshapen and surplus tensors and names the first of them, in one line.
    pub fn finish(&self, is_spare: impl Fn(&str) -> bool) -> Result<()> {
        let Source::Files(files) = &self.source else {
            return Ok(());
        };
        let mut record = self.record.borrow_mut();
        let Record { asked, mismatch, .. } = &mut *record;
        let is_known = |name: &&String| asked.contains_key(*name) || is_spare(name);
        files.names().filter(|name| !is_known(name)).for_each(|name| mismatch.surplus(name));
        if mismatch.is_empty() {
            return Ok(());
        }
        bail!("the weights in {} don't fit the configuration: {mismatch}", files.path().display())
    }

    fn tensor(&self, name: String, form: TensorSpec<'_>, init: Init) -> Tensor {
        let TensorSpec { shape, kind, .. } = form;
        let mut record = self.record.borrow_mut();
        let tensor = match &self.source {
            Source::Random(block) => Some(block.tensor(&name, form, init)),
            Source::Files(files) => files.tensor(&name, form, &mut record.mismatch),
            Source::Names => None,
        };
        record.places.extend(tensor.as_ref().and_then(place));
        record.asked.insert(name, shape.to_vec());
        // A stand-in without memory, so that building goes on and finds the next fault.
        tensor.unwrap_or_else(|| {
            Tensor::zeros([1], (kind, Device::Cpu))
                .expand(vec![1; shape.len()], false)
                .expand(shape, false)
        })
    }
}

/// Where a tensor lies, if it is large.
fn place(tensor: &Tensor) -> Option<Range<usize>> {
    Some(addresses(tensor)).filter(|addresses| addresses.len() >= LARGE_BYTES)
}

/// A place in a model's tree of names, with the kind and device its tensors get.
#[derive(Clone)]
pub struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
    kind: Kind,
    device: Device,
    is_faint: bool,
}

impl Scope<'_> {
    /// The scope named `name` below this one.
    #[must_use]
    pub fn sub(&self, name: impl Display) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), ..self.clone() }
    }

    /// The same place with float32 tensors: for parts that the reference keeps in fp32.
    #[must_use]
    pub fn float(&self) -> Self {
        Self { kind: Kind::Float, ..self.clone() }
    }

    /// The same place; random kernels below it are [`Init::FaintKernel`]s.
    #[must_use]
    pub fn faint(&self) -> Self {
        Self { is_faint: true, ..self.clone() }
    }

    /// The kind of this scope's tensors.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The tensor `name` of this scope, contiguous. What is wrong with it [`Weights::finish`] tells.
    pub fn tensor(&self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.strided(name, shape, None, init)
    }

    /// The same with these strides, which leave no gaps, instead of a contiguous tensor's.
    pub fn strided(
        &self,
        name: &str,
        shape: &[i64],
        strides: Option<&[i64]>,
        init: Init,
    ) -> Tensor {
        let name = format!("{}{name}", self.prefix);
        let is_faint = self.is_faint && matches!(init, Init::Kernel);
        let init = if is_faint { Init::FaintKernel } else { init };
        let form = TensorSpec { shape, strides, kind: self.kind };
        self.weights.tensor(name, form, init).to_device(self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::text_encoder::TextEncoder;
    use crate::models::transformer::Transformer;
    use crate::models::vae::{Decoder, Encoder, VaeOptions};
    use wan22_tune::architecture::{TextEncoderConfig, TransformerConfig, VaeConfig};

    const PLACE: (Kind, Device) = (Kind::Float, Device::Cpu);

    /// Without memory for the tensors: true sizes cost nothing.
    fn asked(build: impl Fn(&Weights) -> Result<()>) -> Tensors {
        let names = Weights::names();
        build(&names).unwrap();
        names.asked()
    }

    /// What the tuner looks for in a folder is what the models are built from.
    #[test]
    fn models_ask_for_the_tensors_of_their_configuration() {
        let (kind, device) = PLACE;
        for config in [TransformerConfig::ti2v_5b(), TransformerConfig::i2v_a14b()] {
            let built =
                |names: &Weights| Transformer::new(names, &config, 2, kind, device).map(drop);
            assert_eq!(asked(built), config.tensors(2));
        }
        let gated = TextEncoderConfig::umt5_xxl();
        let plain = TextEncoderConfig { feed_forward_proj: "relu".to_owned(), ..gated.clone() };
        for config in [gated, plain] {
            let built =
                |names: &Weights| TextEncoder::new(names, &config, 2, kind, device).map(drop);
            assert_eq!(asked(built), config.tensors(2, "shared.weight"));
        }
        let options = VaeOptions::default();
        for config in [VaeConfig::wan21(), VaeConfig::wan22()] {
            let built =
                |names: &Weights| Encoder::new(names, &config, options, kind, device).map(drop);
            assert_eq!(asked(built), config.encoder_tensors());
            let built =
                |names: &Weights| Decoder::new(names, &config, options, kind, device).map(drop);
            assert_eq!(asked(built), config.decoder_tensors());
        }
    }
}
