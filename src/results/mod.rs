//! A results folder: `machine.json`, `machine.xml`, `space.toml`, `trials.csv`, and what is
//! derived from them: `profile.json`, `report.html`, `plots/`.

mod sittings;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::dropped::Dropped;
use crate::held;
use crate::journal;
use crate::machine::Machine;
use crate::own::Yardstick;
use crate::settings::{Baseline, Knobs};
use crate::space::{Space, SpaceFile, Tune, Value};
use crate::trial::{Phase, Trial};
use crate::workload::Workload;

pub use sittings::Spending;

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
            match fs::create_dir(&folder) {
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
    /// Reads a results folder.
    ///
    /// # Errors
    /// The file that is missing or makes no sense.
    pub fn open(folder: &Folder) -> Result<Self> {
        let path = folder.machine();
        let place = || path.display().to_string();
        let machine = serde_json::from_str(&fs::read_to_string(&path).with_context(place)?);
        let machine: Machine = machine.with_context(place)?;
        let path = folder.space();
        let place = || path.display().to_string();
        let file = SpaceFile::parse(&fs::read_to_string(&path).with_context(place)?);
        let file = file.map_err(anyhow::Error::msg).with_context(place)?;
        Ok(Self {
            machine,
            space: Space::reopen(&file).with_context(place)?,
            workload: file.workload.context("[workload] is missing").with_context(place)?,
            tune: file.tune.context("[tune] is missing").with_context(place)?,
            trials: journal::read(&folder.journal())?,
        })
    }

    /// What the scores of this tune count.
    pub fn yardstick(&self) -> Yardstick {
        Yardstick::of(self.tune.own.as_ref())
    }

    /// The baseline of this tune.
    pub fn baseline(&self) -> Baseline {
        let fitted = Baseline::fit(self.tune.preset, &self.machine);
        let given = self.space.given.baseline.iter();
        // A folder of an older version may lack knobs; what it has was knobs before.
        let knobs = fitted.knobs.with(given.map(|(name, value)| (name.as_str(), value)));
        fitted.with(|fitted| *fitted = knobs.unwrap_or_else(|_| fitted.clone()))
    }

    /// The knobs of a trial.
    ///
    /// # Errors
    /// The knob whose value makes no sense.
    pub fn knobs(&self, trial: &Trial) -> Result<Knobs, String> {
        let values = trial.knobs.iter().map(|(name, value)| (name.as_str(), value));
        self.baseline().knobs.with(values)
    }

    /// What the search went on without.
    pub fn dropped(&self) -> Dropped {
        Dropped::of(&self.space, &self.trials)
    }

    /// Whether the trial is one of those that candidates are ranked by.
    pub fn is_ranked(&self, trial: &Trial) -> bool {
        matches!(trial.phase, Phase::Baseline | Phase::Search)
    }

    /// Whether the trial ran the baseline.
    pub fn is_baseline(&self, trial: &Trial) -> bool {
        trial.knobs == self.space.given.baseline
    }

    /// The knobs whose values differ from the baseline's, by name.
    pub fn changes<'a>(
        &'a self,
        trial: &'a Trial,
    ) -> impl Iterator<Item = (&'a str, &'a Value, &'a Value)> {
        self.space.given.baseline.iter().filter_map(|(name, old)| {
            let new = trial.knobs.get(name)?;
            (new != old).then_some((name.as_str(), old, new))
        })
    }
}
