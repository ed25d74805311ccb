//! Models of two experts, as Wan 2.2 A14B is.

use super::*;

/// I2V-A14B's shape, made of the goldens: 2 * 6 + 4 channels in, two experts, VAE 2.1.
fn a14b(folder: &Path) -> PathBuf {
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(folder.join(to)).unwrap();
        for file in std::fs::read_dir(goldens(from)).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), folder.join(to).join(file.file_name())).unwrap();
        }
    };
    copy("vae21", "vae");
    copy("wan/text_encoder", "text_encoder");
    std::fs::write(folder.join("model_index.json"), "{\"boundary_ratio\": 0.9}").unwrap();
    for expert in EXPERTS {
        copy("wan/transformer", expert);
        let config = folder.join(expert).join("config.json");
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains("\"in_channels\": 6"), "{text}");
        std::fs::write(&config, text.replace("\"in_channels\": 6", "\"in_channels\": 16")).unwrap();
        for shard in
            std::fs::read_dir(folder.join(expert)).unwrap().map(|file| file.unwrap().path())
        {
            if shard.extension().is_some_and(|extension| extension == "safetensors") {
                widen(&shard);
            }
        }
    }
    folder.to_owned()
}

/// Gives a patch embedding 16 channels instead of 6, the same again and again.
fn widen(shard: &Path) {
    const CHANNEL: usize = 4 * 2;
    let bytes = std::fs::read(shard).unwrap();
    let views = SafeTensors::deserialize(&bytes).unwrap();
    let mut data = BTreeMap::new();
    for (name, view) in views.iter() {
        let (mut shape, mut values) = (view.shape().to_vec(), view.data().to_vec());
        if name == "patch_embedding.weight" {
            shape[1] = 16;
            let rows = view.data().chunks(6 * CHANNEL);
            values = rows.flat_map(|row| row.iter().cycle().take(16 * CHANNEL).copied()).collect();
        }
        data.insert(name.to_owned(), (view.dtype(), shape, values));
    }
    let tensors = data.iter().map(|(name, (dtype, shape, values))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), values).unwrap())
    });
    std::fs::write(shard, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn two_experts_denoise_around_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    job.weights = Some(a14b(&folder.path().join("a14b")));
    let sizes = Sizes { window_frames: 5, steps: 2, ..job.workload.sizes };
    job.workload.sizes = sizes;
    (job.warmup, job.repetitions) = (1, Repetitions::exactly(1));
    let told = told(&job);
    assert_as_asked(&told.effect, &job);
    assert!(folder.path().join("clip-0001-frame-004.jpg").exists());
    assert!(told.quality.unwrap().worst_db() > 80.0);
    let mut files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let of_velocity = |path: &PathBuf| path.to_string_lossy().contains("reference-predicted-");
    let bytes = std::fs::read(files.find(of_velocity).expect("two frames of latents")).unwrap();
    let (_, predicted) = SafeTensors::deserialize(&bytes).unwrap().tensors().remove(0);
    assert_eq!(predicted.shape()[..2], [2, 6], "a velocity from each expert");
    // Without the picture there is nothing to denoise around.
    job.workload.stages = vec![Stage::Denoise, Stage::Decode, Stage::Write];
    assert!(error_of(&text(&job)).2.contains("give encode too"));
}
