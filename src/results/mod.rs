//! A results folder: `machine.json`, `machine.xml`, `space.toml`, `trials.csv`, and what is
//! derived from them: `profile.json`, `report.html`, `plots/`.

mod folders;
pub mod owners;
mod segments;
mod suggestion;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail};

use crate::evidence::findings::Findings;
use crate::io::{held, input};
use crate::knobs::{Baseline, Knobs, Value, Values, as_is};
use crate::machine::Machine;
use crate::search::pruning::Pruned;
use crate::space::{Space, SpaceFile, Tune, TuneEnd};
use crate::trial::journal::{self, Reading};
use crate::trial::{Quality, Trial};
use crate::workload::Workload;
use crate::workload::metric::Metric;

pub use folders::results_in;
pub use segments::Segments;

/// The largest `machine.json` and `space.toml`: those of the largest machines take a few MiB.
const LARGEST_BYTES: u64 = 64 << 20;

/// What one tune left behind, read back.
#[derive(Clone, Debug)]
pub struct Results {
    /// The machine.
    pub machine: Machine,
    /// The space as resolved there.
    pub space: Space,
    /// The workload.
    pub workload: Workload,
    /// How the tune was run.
    pub tune: Tune,
    /// The journal.
    pub trials: Vec<Trial>,
    /// What of the journal is missing or could not be used, and why.
    pub lost: Vec<String>,
    /// Whether the journal's rows have checksums, as those of older versions have not.
    pub is_checked: bool,
    /// What that number of trials shows.
    pub(crate) findings: OnceLock<(usize, Arc<Findings>)>,
}

/// The names of the files in a results folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The results folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes a results folder: `<date>-<machine>`, numbered when taken.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn create(parent: &Path, host: &str) -> Result<Self> {
        let today = jiff::Zoned::now().date();
        let host: String = host
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(40)
            .collect();
        // A kernel that was given no name says `(none)`.
        let host = match host.trim_matches('-') {
            "" => "unknown",
            host => host,
        };
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        for number in 1..1000 {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let folder = parent.join(format!("{today}-{host}{suffix}"));
            match fs::DirBuilder::new().mode(0o755).create(&folder) {
                Ok(()) => return Ok(Self(folder)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| folder.display().to_string()),
            }
        }
        bail!(
            "{}: a thousand results of today; name another folder with --results",
            parent.display()
        )
    }

    /// Where it is, though it may have been moved since it was held.
    pub fn now(&self) -> PathBuf {
        held::now(&self.0)
    }

    /// The folder itself, as it was named.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The machine, as JSON.
    pub fn machine(&self) -> PathBuf {
        self.now().join("machine.json")
    }

    /// The machine's topology, as hwloc's XML.
    pub fn topology(&self) -> PathBuf {
        self.now().join("machine.xml")
    }

    /// The space as resolved.
    pub fn space(&self) -> PathBuf {
        self.now().join("space.toml")
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.now().join("trials.csv")
    }

    /// The profile.
    pub fn profile(&self) -> PathBuf {
        self.now().join("profile.json")
    }

    /// The report.
    pub fn report(&self) -> PathBuf {
        self.now().join("report.html")
    }

    /// What the reference's picture looks like.
    pub fn reference_view(&self) -> PathBuf {
        self.views().join("reference.png")
    }

    /// The reference's picture beside a trial's, where each trial shows another frame.
    pub fn reference_view_of(&self, number: u64) -> PathBuf {
        self.views().join(format!("trial-{number:04}-reference.png"))
    }

    /// What the same picture looks like as a trial made it; kept where it differs.
    pub fn trial_view(&self, number: u64) -> PathBuf {
        self.views().join(format!("trial-{number:04}.png"))
    }

    /// The pictures that trials made.
    pub fn views(&self) -> PathBuf {
        self.now().join("views")
    }

    /// The plots.
    pub fn plots(&self) -> PathBuf {
        self.now().join("plots")
    }
}

impl Results {
    /// The slice of the job of which a gain is claimed.
    pub fn proven_on(&self) -> &Workload {
        self.tune.confirmation.as_ref().unwrap_or(&self.workload)
    }

    /// A tune that has made no trial yet.
    pub fn new(machine: Machine, space: Space, workload: Workload, tune: Tune) -> Self {
        let (trials, lost, is_checked) = (Vec::new(), Vec::new(), false);
        let findings = OnceLock::new();
        Self { machine, space, workload, tune, trials, lost, is_checked, findings }
    }

    /// Reads a results folder. Rows of the journal that can't be used are passed over and noted in
    /// [`Results::lost`].
    ///
    /// # Errors
    /// The file that is missing or makes no sense.
    pub fn open(folder: &Folder) -> Result<Self> {
        let head = Self::head(folder)?;
        let journal = journal::open(&folder.journal(), &head.space.given.baseline)?;
        Ok(head.with(journal))
    }

    /// What a results folder is about: everything but its trials, which take longest to read.
    ///
    /// # Errors
    /// As [`Results::open`].
    pub fn head(folder: &Folder) -> Result<Self> {
        let path = folder.machine();
        let place = || path.display().to_string();
        let text = input::text(&path, LARGEST_BYTES);
        let text = text.with_context(place).map_err(|error| suggestion::named(folder, error))?;
        let machine: Machine = serde_json::from_str(unmarked(&text)).with_context(place)?;
        let path = folder.space();
        let place = || path.display().to_string();
        let text = input::text(&path, LARGEST_BYTES).with_context(place)?;
        Self::about(machine, &text).with_context(place)
    }

    /// What the texts of a folder's files hold.
    ///
    /// # Errors
    /// What makes no sense in one of them.
    pub fn parse(machine: &str, space: &str, trials: &[u8]) -> Result<Self> {
        let head = Self::about(serde_json::from_str(machine)?, space)?;
        let journal = Reading::like(trials, &head.space.given.baseline)?;
        Ok(head.with(journal))
    }

    fn about(machine: Machine, space: &str) -> Result<Self> {
        let file = SpaceFile::parse(unmarked(space)).map_err(anyhow::Error::msg)?;
        let space = Space::reopen(&file)?;
        let workload = file.workload.context("[workload] is missing")?;
        let tune = file.tune.context("[tune] is missing")?;
        Ok(Self::new(machine, space, workload, tune))
    }

    fn with(self, journal: Reading) -> Self {
        let missing = missing(&self.tune, journal.trials.len());
        let lost = [journal.notes, missing.into_iter().collect()].concat();
        Self { trials: journal.trials, lost, is_checked: journal.is_checked, ..self }
    }

    /// Whether the tune went on until its end; `None` for a folder of an older version, which does
    /// not say.
    pub fn is_complete(&self) -> Option<bool> {
        match self.tune.ended {
            Some(ended) => Some(ended != TuneEnd::Stopped),
            None => self.is_checked.then_some(false),
        }
    }

    /// What the scores of this tune count.
    pub fn metric(&self) -> Metric {
        Metric::of(self.tune.custom_job.as_ref())
    }

    /// The baseline of this tune.
    pub fn baseline(&self) -> Baseline {
        let fitted = Baseline::fit(self.tune.preset, &self.machine);
        let given = self.space.given.baseline.iter();
        // A folder of an older version may lack knobs; what it has was knobs before.
        let knobs = fitted.knobs.with(given);
        let mut as_is = self.tune.as_is.as_ref().map(|_| as_is::all()).unwrap_or_default();
        as_is.extend(self.tune.program_as_is.iter().cloned());
        let knobs = knobs.map(|knobs| Knobs { as_is, ..knobs });
        fitted.with(|fitted| *fitted = knobs.unwrap_or_else(|_| fitted.clone()))
    }

    /// How much less the finalist costs than the preset for this machine, as a share, where the tune
    /// began with what ran before and measured the preset too.
    pub fn saved_on_preset(&self) -> Option<f64> {
        self.tune.as_is.as_ref()?;
        let candidate = self.space.of_preset(self.tune.preset, &self.machine)?;
        let mut values = self.space.given.baseline.clone();
        values.extend(self.space.values(&candidate));
        let findings = self.findings();
        let preset = findings.ranking.iter().find(|ranked| ranked.knobs == values)?;
        let finalist = findings.finalist.as_ref().filter(|one| one.knobs != values)?;
        Some(1.0 - finalist.score_s / preset.score_s)
    }

    /// The knobs of a trial.
    ///
    /// # Errors
    /// The knob whose value makes no sense.
    pub fn knobs(&self, trial: &Trial) -> Result<Knobs, String> {
        self.baseline().knobs.with(&trial.knobs)
    }

    /// What the journal shows.
    pub fn findings(&self) -> Arc<Findings> {
        let find = || Arc::new(Findings::of(&self.trials, &self.space.given.baseline));
        let (trials, findings) = self.findings.get_or_init(|| (self.trials.len(), find()));
        if *trials == self.trials.len() { Arc::clone(findings) } else { find() }
    }

    /// The ok trials of some knobs, in any phase but calibration's. Knobs that the journal of an older
    /// version lacks are left out.
    pub fn trials_of<'a>(&'a self, knobs: &'a Values) -> impl Iterator<Item = &'a Trial> {
        let counts = |trial: &&Trial| trial.phase.is_comparable();
        let has = |(name, value): (&String, &Value)| knobs.get(name) == Some(value);
        let measured = self.trials.iter().filter(counts);
        measured.filter(move |trial| trial.knobs.iter().all(has) && trial.score().is_some())
    }

    /// The worst picture that any ok trial of `knobs` made.
    pub fn quality_of(&self, knobs: &Values) -> Option<Quality> {
        let qualities = self.trials_of(knobs).filter_map(|trial| trial.quality);
        qualities.min_by(|a, b| a.worst_db().total_cmp(&b.worst_db()))
    }

    /// What the search went on without.
    pub fn dropped(&self) -> Pruned {
        Pruned::of(&self.space, &self.trials)
    }

    /// Whether the trial ran the baseline.
    pub fn is_baseline(&self, trial: &Trial) -> bool {
        trial.knobs == self.space.given.baseline
    }
}

/// A text without the mark that some editors begin one with.
fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// What is to be said of a journal that has fewer trials than when the tune ended.
fn missing(tune: &Tune, trials: usize) -> Option<String> {
    let before = tune.trials.filter(|&before| before > trials)?;
    Some(format!("{trials} of the {before} trials with which the tune ended can be used"))
}
