//! Live: the view on a terminal, drawn again and again in place.

use std::cell::Cell;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use console::{Term, colors_enabled_stderr, measure_text_width};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::frame::frame;
use super::lines::opening;
use super::look::Look;
use super::state::State;
use crate::cmd::terminal::{fitted, tell};
use crate::report::table::plain;
use crate::threads;
use crate::trial::Trial;
use crate::tune::{Order, Watch};

/// How often the view is drawn: clocks tick, and a new size is seen.
const TICK: Duration = Duration::from_millis(200);

/// A view that a thread of its own keeps up to date.
pub struct Live {
    state: Arc<Mutex<State>>,
    bar: ProgressBar,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Live {
    /// Says what will be used, and starts to draw.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(state: State) -> Result<Self> {
        // The machine and the budget are in the view.
        for note in opening(&state).iter().skip(1) {
            tell(&plain(note));
        }
        let state = Arc::new(Mutex::new(state));
        let (stop, stopped) = channel();
        let drawn = Arc::clone(&state);
        let view = View::new();
        let bar = view.bar.clone();
        let ticker = threads::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let state = locked(&drawn).clone();
                view.draw(&state);
            }
            view.bar.finish_and_clear();
        })?;
        Ok(Self { state, bar, ticker: Some((stop, ticker)) })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some((stop, ticker)) = self.ticker.take() {
            drop(stop);
            let _ = ticker.join();
        }
    }
}

impl Watch for Live {
    fn started(&self, order: &Order<'_>) {
        locked(&self.state).start(order);
    }

    fn finished(&self, trials: &[Trial]) {
        locked(&self.state).finish(trials);
    }

    /// Stands above the view, and stays there.
    fn noted(&self, sentence: &str) {
        self.bar.println(fitted(&format!("note: {}", plain(sentence)), &Term::stderr()));
    }
}

/// A view that cannot be drawn is no reason to lose a tune.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is on the terminal.
struct View {
    bar: ProgressBar,
    term: Term,
    look: Look,
    /// The size at the last drawing, and how wide each line was.
    drawn: Cell<((usize, usize), Vec<usize>)>,
}

impl View {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is well formed"));
        let look = Look::new(colors_enabled_stderr());
        Self { bar, term: Term::stderr(), look, drawn: Cell::default() }
    }

    fn draw(&self, state: &State) {
        let (rows, columns) = self.term.size();
        let size = (usize::from(columns), usize::from(rows));
        let (old, widths) = self.drawn.take();
        if old != size && !widths.is_empty() {
            self.wipe(&widths, size.0);
        }
        // The last column and the last row stay free, or the terminal would move everything.
        let room = (size.0.saturating_sub(1), size.1.saturating_sub(1));
        let lines = frame(state, state.budget.gone(), room, &self.look);
        self.drawn.set((size, lines.iter().map(|line| measure_text_width(line)).collect()));
        self.bar.set_message(lines.join("\n"));
        self.bar.tick();
    }

    /// Takes away what a change of the terminal's size made of the view: a narrower terminal has
    /// broken each line into several.
    fn wipe(&self, widths: &[usize], columns: usize) {
        let rows = widths.iter().map(|width| width.div_ceil(columns.max(1)).max(1));
        let broken = rows.sum::<usize>() - widths.len();
        self.bar.suspend(|| {
            let _ = self.term.move_cursor_up(broken);
            let _ = self.term.clear_to_end_of_screen();
        });
    }
}
