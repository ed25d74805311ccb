//! The programs that are known: workers that come as Python files in the cache, and command lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::custom::text;
use super::{cache, pictures};
use crate::cli::{App, AppArgs, CustomJobArgs, JobArgs, TuneArgs};
use crate::cmd::{Usage, space, terminal};
use crate::io::atomic_write;
use crate::io::digest::digest;
use crate::workload::custom::sizes;

/// What every worker in Python uses.
const LIBRARY: (&str, &str) = ("wan22_tune.py", include_str!("../../../python/wan22_tune.py"));

const DIFFUSERS: (&str, &str) =
    ("wan22_diffusers.py", include_str!("../../../python/wan22_diffusers.py"));

const COMFYUI: (&str, &str) =
    ("wan22_comfyui.py", include_str!("../../../python/wan22_comfyui.py"));

/// The command that runs an app, whose files are written where they are not yet.
///
/// # Errors
/// [`Usage`] for a folder that holds no pipeline.
pub fn words(args: &CustomJobArgs, job: &JobArgs) -> Result<Option<Vec<String>>> {
    let (words, sizes, args) = (&args.words, sizes::whole(&args.sizes), &args.app);
    if let Some(other) = args.app.filter(|app| !app.is_worker()) {
        let cure = "leave --app out and give the command that the tune prints at its end";
        return Err(Usage(format!("--app {} is for tunes: {cure}", other.space())).into());
    }
    if args.app == Some(App::Comfyui) {
        return comfyui(args, words).map(Some);
    }
    let (Some(App::Diffusers), Some(model)) = (args.app, &args.model) else { return Ok(None) };
    if !model.join("model_index.json").is_file() {
        let cure = "no model_index.json: give the folder of a pipeline in diffusers layout";
        return Err(Usage(format!("--model {}: {cure}", model.display())).into());
    }
    let mut words = vec![args.python.clone(), program(DIFFUSERS)?];
    words.extend(["--model".to_owned(), text(std::path::absolute(model)?)?]);
    let image = args.image.as_ref().map(std::path::absolute).transpose()?;
    let image = image.map(text).transpose()?;
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    // What runs without a tuner is the whole job.
    let size = |name: &str, flag| sizes.get(name).map(ToString::to_string).or(number(flag));
    let given = [
        ("--prompt", args.prompt.clone()),
        ("--image", image),
        ("--frames", size("frames", args.frames)),
        ("--height", size("height", args.height)),
        ("--width", size("width", args.width)),
        ("--steps", size("steps", job.steps)),
    ];
    words.extend(
        given.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten(),
    );
    Ok(Some(words))
}

/// The path of a worker in the cache, beside what it uses.
fn program(worker: (&str, &str)) -> Result<String> {
    let folder = cache::folder()?.join("python");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let [library, program] = [LIBRARY, worker].map(|(name, text)| write(&folder.join(name), text));
    library.and(program).and_then(text)
}

/// The worker of ComfyUI with its own `words`.
fn comfyui(args: &AppArgs, words: &[String]) -> Result<Vec<String>> {
    let mut all = vec![args.python.clone(), program(COMFYUI)?];
    all.extend_from_slice(words);
    Ok(all)
}

/// The space of a workflow, which ComfyUI itself is asked for, as a file in the cache.
///
/// # Errors
/// [`Usage`] with what the worker says.
pub fn asked_space(args: &CustomJobArgs) -> Result<Option<PathBuf>> {
    if args.app.app != Some(App::Comfyui) {
        return Ok(None);
    }
    let words = comfyui(&args.app, &args.words)?;
    terminal::tell("asking ComfyUI what the inputs of this workflow may be");
    let mut command = Command::new(&words[0]);
    if let Some(folder) = &args.folder {
        command.current_dir(folder);
    }
    let asked = command.args(&words[1..]).arg("--space").output();
    let asked = asked.map_err(|error| Usage(format!("--python {}: {error}", words[0])))?;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        let last = said.lines().last().unwrap_or("it said nothing").to_owned();
        return Err(Usage(format!("--app comfyui: {last}")).into());
    }
    let name = digest(words.join("\n"));
    let space = String::from_utf8(asked.stdout).context("the space of ComfyUI")?;
    write(&cache::folder()?.join(format!("comfyui-{name}.toml")), &space).map(Some)
}

/// Refuses flags of the one kind of app where the other is meant.
///
/// # Errors
/// [`Usage`] that says what to type.
pub fn check(args: &CustomJobArgs) -> Result<(), Usage> {
    let AppArgs { app: Some(app), model, prompt, image, frames, height, width, .. } = &args.app
    else {
        return Ok(());
    };
    let name = app.space();
    let has_pipeline = model.is_some() || prompt.is_some() || image.is_some();
    let has_shape = frames.is_some() || height.is_some() || width.is_some();
    match app.is_worker() {
        true if *app == App::Comfyui && args.words.is_empty() => Err(Usage(format!(
            "--app {name}: give its own flags, -- --workflow FLOW.json --folder COMFYUI"
        ))),
        _ if *app == App::Comfyui && (has_pipeline || has_shape) => {
            let cure = "leave out --model, --prompt, --image, --frames, --height and --width";
            Err(Usage(format!("--app {name}: the workflow says what it makes: {cure}")))
        }
        _ if *app == App::Comfyui => Ok(()),
        true if !args.words.is_empty() => {
            Err(Usage(format!("--app {name} takes no command: give --model FOLDER")))
        }
        true if model.is_none() => Err(Usage(format!("--app {name}: give --model FOLDER"))),
        false if args.words.is_empty() => {
            Err(Usage(format!("--app {name}: give your command line after `--`")))
        }
        false if has_pipeline || has_shape => {
            let cure = "leave out --model, --prompt, --image, --frames, --height and --width";
            Err(Usage(format!("--app {name}: your command says what it makes: {cure}")))
        }
        _ => Ok(()),
    }
}

/// Puts the placeholders of a known program into the user's command, which is then one like any other.
///
/// # Errors
/// [`Usage`] for a command that is not of that program.
pub fn fit(args: &mut TuneArgs) -> Result<()> {
    let file = space::read(args.space.name())?;
    let Some(app) = &file.app else { return Ok(()) };
    let fitted = file.app_command(app, &args.custom.words);
    let fitted = fitted.map_err(|problem| Usage(format!("--app {}: {problem}", file.name)))?;
    fitted.notes.iter().for_each(|note| terminal::tell(note));
    args.custom.words = fitted.words;
    if let (None, Some(output)) = (&args.custom.output, fitted.output) {
        args.custom.output = pictures::readable(&output);
    }
    args.custom.app.app = None;
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<PathBuf> {
    if fs::read_to_string(file).ok().as_deref() != Some(text) {
        atomic_write::replace(file, text.as_bytes())?;
    }
    Ok(file.to_owned())
}
