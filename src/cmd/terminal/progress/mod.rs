//! What a person, or a program, sees while a tune runs.
//!
//! On a terminal a live view (`live`); otherwise plain lines (`lines`); with `--json` events
//! for programs (`events`); nothing with `--quiet`. Progress goes to stderr, results and events
//! to stdout.

mod bar;
mod chart;
mod events;
mod frame;
mod lines;
mod live;
mod state;
mod theme;

use std::io::IsTerminal;

use anyhow::Result;

use crate::cli::ViewArgs;
use crate::cmd::terminal;
use crate::report::{self, WrittenReport};
use crate::results::{Folder, Results};
use crate::runner::{LocalRunner, Repetitions};
use crate::tune::budget::Budget;
use crate::tune::{NoObserver, Observer};

use events::Events;
use lines::Lines;
use live::Live;
use state::State;

/// Whoever watches a tune.
pub struct Progress {
    view: ViewArgs,
    observer: Box<dyn Observer>,
}

impl Progress {
    /// Says what will be used, and begins to watch.
    pub fn new(
        runner: &LocalRunner,
        repetitions: Repetitions,
        budget: Budget,
        view: ViewArgs,
    ) -> Self {
        let state = State::new(runner, repetitions, budget);
        let is_terminal = std::io::stderr().is_terminal();
        let observer: Box<dyn Observer> = match view {
            ViewArgs { json: true, .. } => Box::new(Events::start(state, runner)),
            ViewArgs { quiet: true, .. } => Box::new(NoObserver),
            _ if is_terminal && console::Term::stderr().features().is_attended() && !is_dumb() => {
                match Live::start(state.clone()) {
                    Ok(live) => Box::new(live),
                    Err(_) => Box::new(Lines::start(state)),
                }
            }
            _ => Box::new(Lines::start(state)),
        };
        Self { view, observer }
    }

    /// Whoever is told what happens.
    pub fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// Stops watching.
    pub fn end(&mut self) {
        self.observer = Box::new(NoObserver);
    }

    /// Says what came out and which files were `written`, in the form that was asked for.
    ///
    /// # Errors
    /// A time in the journal that can't be read; stdout can't be written.
    pub fn conclude(
        &self,
        results: &Results,
        folder: &Folder,
        written: &WrittenReport,
    ) -> Result<()> {
        if self.view.json {
            crate::io::output::print_json(&events::finished(results, folder)?)
        } else {
            terminal::show(&report::summary(results, folder, written))
        }
    }
}

/// Whether the terminal can't move its cursor.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}
