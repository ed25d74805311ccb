//! The image condition of Wan 2.1 (`WanImageEmbedding`): CLIP's tokens at the model's width.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

use crate::models::expect_rank;
use crate::models::linear::Linear;
use crate::weights::{Init, Scope};
use wan22_tune::architecture::TransformerConfig;

/// The reference leaves this norm at its default.
const EPS: f64 = 1e-5;

/// Embeds the tokens of images.
pub struct ImageEmbedder {
    norm_in: Norm,
    linear_in: Linear,
    linear_out: Linear,
    norm_out: Norm,
    /// What is added at each place, `[1, places, image_dim]`.
    places: Option<Tensor>,
}

impl ImageEmbedder {
    /// For images of width `dim`.
    pub fn new(scope: &Scope, dim: i64, config: &TransformerConfig) -> Self {
        let places = |count| scope.tensor("pos_embed", &[1, count, dim], Init::Spread(0.02));
        Self {
            norm_in: Norm::new(&scope.sub("norm1"), dim),
            linear_in: Linear::new(&scope.sub("ff.net.0.proj"), dim, dim),
            linear_out: Linear::new(&scope.sub("ff.net.2"), dim, config.width()),
            norm_out: Norm::new(&scope.sub("norm2"), config.width()),
            places: config.pos_embed_seq_len.map(places),
        }
    }

    /// `[batch, tokens, image_dim]` to `[batch, tokens, width]`; with places, two images after
    /// each other are one item's.
    ///
    /// # Errors
    /// Where the shape doesn't fit.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        expect_rank(images, "encoder_hidden_states_image", &["batch", "tokens", "image_dim"])?;
        let size = images.size();
        let dim = self.norm_in.weight.size()[0];
        ensure!(
            size[2] == dim,
            "encoder_hidden_states_image is {} wide: image_dim is {dim}",
            size[2]
        );
        let images = images.to_kind(self.linear_in.kind());
        let placed = match &self.places {
            Some(places) => {
                let count = places.size()[1];
                ensure!(
                    size[0] % 2 == 0 && 2 * size[1] == count,
                    "encoder_hidden_states_image is {size:?}: pos_embed_seq_len {count} wants \
                     pairs of images of {} tokens",
                    count / 2
                );
                images.reshape([-1, count, dim]) + places
            }
            None => images,
        };
        let hidden = self.linear_in.forward(&self.norm_in.forward(&placed)).gelu_("none");
        Ok(self.norm_out.forward(&self.linear_out.forward(&hidden)))
    }
}

/// A layer norm in float32.
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn new(scope: &Scope, dim: i64) -> Self {
        let scope = scope.float();
        Self {
            weight: scope.tensor("weight", &[dim], Init::Gain),
            bias: scope.tensor("bias", &[dim], Init::Bias),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        let wide = x.to_kind(Kind::Float);
        wide.layer_norm(self.weight.size(), weight, bias, EPS, false).to_kind(x.kind())
    }
}
