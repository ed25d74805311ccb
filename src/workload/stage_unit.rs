//! Stage unit: a part of a stage that is timed apart, since a job does it more often than a slice of the
//! job, by a number of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Stage, Tilings, Workload};
use crate::architecture::Architecture;

/// A part of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageUnit {
    /// The first picture through the VAE's encoder, which takes another path than later ones.
    EncodeFirst,
    /// Four further pictures each.
    EncodeLater,
    /// The transformer's self attention: queries of the slice, keys of the whole job.
    Attention,
    /// The rest of its blocks.
    Blocks,
    /// What each forward does around its blocks: embeddings of times and text, patches, the output.
    Ends,
    /// The first latent frame through the decoder, which makes one picture.
    DecodeFirst,
    /// Further latent frames, of four pictures each.
    DecodeLater,
}

impl StageUnit {
    /// The stage that it is a part of.
    pub fn stage(self) -> Stage {
        match self {
            Self::EncodeFirst | Self::EncodeLater => Stage::Encode,
            Self::Attention | Self::Blocks | Self::Ends => Stage::Denoise,
            Self::DecodeFirst | Self::DecodeLater => Stage::Decode,
        }
    }
}

impl Workload {
    /// Operations of each unit for one clip.
    pub fn units(&self, parts: &Architecture, tilings: Tilings) -> BTreeMap<StageUnit, f64> {
        let vae = &parts.vae;
        let [latent_frames, rows, columns] = self.window(parts);
        let decoded =
            |frames| vae.decode_flops(1, [frames, rows, columns], tilings.decode.as_ref());
        let [height, width] = [self.sizes.window_height, self.sizes.window_width].map(i64::from);
        let pictures = i64::from(self.encoded_frames(parts));
        let encoded =
            |frames| vae.encode_flops(1, [frames, height, width], tilings.encode.as_ref());
        let [decode_first, decode_all] = [1, latent_frames].map(|n| decoded(n).unwrap_or(0.0));
        let [encode_first, encode_all] = [1, pictures].map(|n| encoded(n).unwrap_or(0.0));
        let (model, text) = (&parts.transformer, self.sizes.context_tokens.into());
        let forwards = f64::from(self.sizes.forwards());
        let blocks = forwards * f64::from(self.sizes.layers);
        let attention = model.attention_flops(self.tokens(parts), self.keys(parts));
        let ends = model.flops(0, 1, self.latent(parts), text, self.times(parts));
        let all = [
            (StageUnit::EncodeFirst, encode_first),
            (StageUnit::EncodeLater, encode_all - encode_first),
            (StageUnit::Attention, blocks * attention),
            (StageUnit::Blocks, blocks * model.block_flops(self.tokens(parts), text)),
            (StageUnit::Ends, forwards * ends),
            (StageUnit::DecodeFirst, decode_first),
            (StageUnit::DecodeLater, decode_all - decode_first),
        ];
        all.into_iter().filter(|(unit, _)| self.has(unit.stage())).collect()
    }
}
