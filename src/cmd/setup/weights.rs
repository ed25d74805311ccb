//! The user's own weights, looked at before the first trial: their headers alone, in milliseconds.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::architecture::checkpoint::{Checkpoint, TensorMismatch};
use crate::architecture::{
    Architecture, EXPERTS, TEXT_ENCODER, Tensors, TextEncoderConfig, TransformerConfig, VAE,
    VaeConfig,
};
use crate::workload::{Stage, Workload, WorkloadFile};

/// Whether `folder` has every tensor that some size of the job needs, and none that its models
/// don't have.
///
/// # Errors
/// One line that names the file or the first tensors that are wrong, and the cure.
pub fn check(folder: &Path, job: &WorkloadFile, parts: &Architecture) -> Result<()> {
    let sizes: Vec<Workload> = (0..job.size_count()).map(|number| job.size(number)).collect();
    let deepest = |of: fn(&Workload) -> u32| sizes.iter().map(of).max().unwrap_or(0).into();
    let depth = Depth {
        blocks: deepest(|size| size.sizes.layers),
        text: deepest(|size| size.sizes.text_layers),
        steps: sizes.iter().map(|size| size.sizes.steps).max().unwrap_or(0),
    };
    let whole = job.full();
    for part in depth.parts(&whole, parts) {
        let place = folder.join(part);
        let checkpoint = Checkpoint::open(&place)?;
        let mismatch = depth.mismatch(part, &whole, parts, &checkpoint);
        ensure!(mismatch.is_empty(), "{}: {mismatch}", place.display());
    }
    Ok(())
}

/// How deep the largest of a job's sizes goes.
struct Depth {
    blocks: i64,
    text: i64,
    steps: u32,
}

impl Depth {
    /// The folders of the models that the job runs.
    fn parts(&self, job: &Workload, parts: &Architecture) -> Vec<&'static str> {
        let mut folders = job.models();
        folders.dedup();
        if job.has(Stage::Denoise) {
            folders.retain(|&folder| folder != EXPERTS[0]);
            let met = parts.sampling.experts(self.steps);
            folders.extend(EXPERTS.into_iter().enumerate().filter_map(|(number, folder)| {
                met.iter().any(|&(expert, _)| expert == number).then_some(folder)
            }));
        }
        folders
    }

    fn mismatch(
        &self,
        part: &str,
        job: &Workload,
        parts: &Architecture,
        checkpoint: &Checkpoint,
    ) -> TensorMismatch {
        match part {
            VAE => vae(&parts.vae, job, checkpoint),
            TEXT_ENCODER => self.text_encoder(&parts.text_encoder, checkpoint),
            _ => self.transformer(&parts.transformer, checkpoint),
        }
    }

    /// Its embedding has two names; one of them is enough.
    fn text_encoder(&self, config: &TextEncoderConfig, checkpoint: &Checkpoint) -> TensorMismatch {
        let names = TextEncoderConfig::EMBEDDINGS;
        let is_there = |name: &&str| checkpoint.get(name).is_some();
        let embedding = names.into_iter().find(is_there).unwrap_or(names[0]);
        let whole = config.tensors(config.num_layers, embedding);
        let needed = config.tensors(self.text, embedding);
        checkpoint.mismatch(&needed, |name| names.contains(&name) || whole.contains_key(name))
    }

    /// Older files have a norm that the reference, too, passes over.
    fn transformer(&self, config: &TransformerConfig, checkpoint: &Checkpoint) -> TensorMismatch {
        let whole = config.tensors(config.num_layers);
        let needed = config.tensors(self.blocks);
        let is_spare = |name: &str| name.contains("norm_added_q") || whole.contains_key(name);
        checkpoint.mismatch(&needed, is_spare)
    }
}

/// Of a half that the job doesn't run anything may be there, or nothing.
fn vae(config: &VaeConfig, job: &Workload, checkpoint: &Checkpoint) -> TensorMismatch {
    let halves = [
        (Stage::Encode, config.encoder_tensors(), ["encoder.", "quant_conv."]),
        (Stage::Decode, config.decoder_tensors(), ["decoder.", "post_quant_conv."]),
    ];
    let (mut needed, mut spare) = (Tensors::new(), Vec::new());
    for (stage, tensors, prefixes) in halves {
        if job.has(stage) {
            needed.extend(tensors);
        } else {
            spare.extend(prefixes);
        }
    }
    checkpoint.mismatch(&needed, |name| spare.iter().any(|start| name.starts_with(start)))
}
