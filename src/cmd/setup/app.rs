//! The workers that come with the program, as Python files in its cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cache;
use crate::cli::{App, AppArgs, JobArgs};
use crate::cmd::Usage;
use crate::io::atomic_write;

/// What every worker in Python uses.
const LIBRARY: (&str, &str) = ("wan22_tune.py", include_str!("../../../python/wan22_tune.py"));

const DIFFUSERS: (&str, &str) =
    ("wan22_diffusers.py", include_str!("../../../python/wan22_diffusers.py"));

/// The command that runs an app, whose files are written where they are not yet.
///
/// # Errors
/// [`Usage`] for a folder that holds no pipeline.
pub fn words(args: &AppArgs, job: &JobArgs) -> Result<Option<Vec<String>>> {
    let (Some(app), Some(model)) = (args.app, &args.model) else { return Ok(None) };
    let App::Diffusers = app;
    if !model.join("model_index.json").is_file() {
        let cure = "no model_index.json: give the folder of a pipeline in diffusers layout";
        return Err(Usage(format!("--model {}: {cure}", model.display())).into());
    }
    let folder = cache::folder()?.join("python");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let [_, program] = [LIBRARY, DIFFUSERS].map(|(name, text)| write(&folder.join(name), text));
    let mut words = vec![args.python.clone(), text(&program?)?];
    words.extend(["--model".to_owned(), text(&std::path::absolute(model)?)?]);
    let image = args.image.as_ref().map(std::path::absolute).transpose()?;
    let image = image.map(|image| text(&image)).transpose()?;
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let given = [
        ("--prompt", args.prompt.clone()),
        ("--image", image),
        ("--frames", number(args.frames)),
        ("--height", number(args.height)),
        ("--width", number(args.width)),
        ("--steps", number(job.steps)),
    ];
    words.extend(
        given.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten(),
    );
    Ok(Some(words))
}

fn write(file: &Path, text: &str) -> Result<PathBuf> {
    if fs::read_to_string(file).ok().as_deref() != Some(text) {
        atomic_write::replace(file, text.as_bytes())?;
    }
    Ok(file.to_owned())
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Usage(format!("{}: not UTF-8", path.display())).into())
}
