//! Module: a TorchScript module of the user's own, and what goes into it.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The most dimensions and inputs that a description may have.
const MOST: usize = 64;

/// More numbers than this in one input are a slip of the pen.
const LARGEST: i64 = 1 << 33;

/// A module that the worker loads and calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleJob {
    /// The archive that `torch.jit.save` wrote.
    pub file: String,
    /// What goes into it, as [`Inputs::parse`] reads it.
    pub inputs: String,
}

/// What goes into a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// Seeded random tensors.
    Random(Vec<Input>),
    /// The tensors of a safetensors file, in the order of their names.
    File(String),
}

/// One random tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its dimensions.
    pub shape: Vec<i64>,
    /// The kind of its numbers.
    pub kind: TensorKind,
}

/// The kinds of numbers that a random tensor may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(strum::EnumString, strum::Display, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum TensorKind {
    F32,
    F16,
    BF16,
    F64,
    I64,
    I32,
    Bool,
}

impl Inputs {
    /// Reads `1x16x8x8:f32,1x512x64:bf16`, or the name of a safetensors file.
    ///
    /// # Errors
    /// What is wrong, and what to type instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_file = Path::new(text).extension().is_some_and(|end| end == "safetensors");
        if is_file {
            return Ok(Self::File(text.to_owned()));
        }
        let inputs: Vec<Input> = text.split(',').map(Input::parse).collect::<Result<_, _>>()?;
        if inputs.len() > MOST {
            return Err(format!("{} inputs: a module takes at most {MOST}", inputs.len()));
        }
        Ok(Self::Random(inputs))
    }

    /// Bytes of the tensors that are made up; 0 for those of a file.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Random(inputs) => inputs.iter().map(Input::bytes).sum(),
            Self::File(_) => 0,
        }
    }
}

impl Input {
    fn bytes(&self) -> u64 {
        let each = match self.kind {
            TensorKind::F64 | TensorKind::I64 => 8,
            TensorKind::F32 | TensorKind::I32 => 4,
            TensorKind::F16 | TensorKind::BF16 => 2,
            TensorKind::Bool => 1,
        };
        // At most 64 times 2^33 numbers of 8 bytes.
        each * self.shape.iter().product::<i64>().unsigned_abs()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let cure = "type sides and kind, such as 1x16x8x8:f32";
        let wrong = |what: &str| format!("`{text}`: {what}; {cure}");
        let (sides, kind) = text.split_once(':').unwrap_or((text, "f32"));
        let kind = kind.parse().map_err(|_| {
            let kinds: Vec<String> = <TensorKind as strum::VariantArray>::VARIANTS
                .iter()
                .map(TensorKind::to_string)
                .collect();
            wrong(&format!("`{kind}` is none of {}", kinds.join(", ")))
        })?;
        let side = |side: &str| side.parse::<u32>().ok().filter(|&side| side > 0).map(i64::from);
        let shape: Option<Vec<i64>> = sides.split('x').map(side).collect();
        let shape = shape.filter(|shape| shape.len() <= MOST);
        let shape = shape.ok_or_else(|| wrong("sides are whole numbers above 0"))?;
        let size = shape.iter().try_fold(1_i64, |size, &side| size.checked_mul(side));
        match size {
            Some(size) if size <= LARGEST => Ok(Self { shape, kind }),
            _ => Err(wrong("no memory has room for that number of values")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_shapes_and_kinds_or_a_file() {
        let inputs = Inputs::parse("1x16x8x8:f32,2x3:bf16,7").unwrap();
        let input = |shape: &[i64], kind| Input { shape: shape.to_vec(), kind };
        let expected = vec![
            input(&[1, 16, 8, 8], TensorKind::F32),
            input(&[2, 3], TensorKind::BF16),
            input(&[7], TensorKind::F32),
        ];
        assert_eq!(inputs.bytes(), 1024 * 4 + 6 * 2 + 7 * 4);
        assert_eq!(inputs, Inputs::Random(expected));
        let file = "a/in.safetensors";
        assert_eq!(Inputs::parse(file), Ok(Inputs::File(file.to_owned())));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_cure() {
        for text in ["", "1x", "x1", "0x2", "-1", "1x2:f8", "1,,2", "1 x 2", "99999x99999x99999"] {
            assert!(Inputs::parse(text).unwrap_err().contains("such as 1x16x8x8:f32"), "{text}");
        }
    }
}
