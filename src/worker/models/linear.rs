//! A linear layer.

use tch::Tensor;

use crate::weights::{Init, Scope};

/// `y = x W^T + b`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// A layer from `inputs` to `outputs` features, with a bias.
    pub fn new(scope: &Scope, inputs: i64, outputs: i64) -> Self {
        let bias = scope.tensor("bias", &[outputs], Init::Bias);
        Self { bias: Some(bias), ..Self::without_bias(scope, inputs, outputs) }
    }

    /// The same without a bias.
    pub fn without_bias(scope: &Scope, inputs: i64, outputs: i64) -> Self {
        Self::spread(scope, inputs, outputs, Init::Kernel)
    }

    /// Without a bias, and with its own idea of random weights.
    pub fn spread(scope: &Scope, inputs: i64, outputs: i64, init: Init) -> Self {
        Self { weight: scope.tensor("weight", &[outputs, inputs], init), bias: None }
    }

    /// `[…, inputs]` to `[…, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }

    /// The kind of the weights.
    pub fn kind(&self) -> tch::Kind {
        self.weight.kind()
    }
}
