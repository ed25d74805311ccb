//! Live: the view on a terminal, drawn again and again in place.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use console::{Term, colors_enabled_stderr, measure_text_width};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::frame::frame;
use super::lines::opening;
use super::state::State;
use super::theme::Theme;
use crate::cmd::terminal::{fitted, tell};
use crate::io::printable::line as plain;
use crate::machine::threads;
use crate::runner::TrialRequest;
use crate::trial::Trial;
use crate::tune::Observer;

/// How often the view is drawn: clocks tick, and a new size is seen.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// How long the last drawing may take; a terminal that nobody reads takes none.
const LAST_DRAWING_TIMEOUT: Duration = Duration::from_secs(1);

/// A view that a thread of its own keeps up to date.
pub struct Live {
    state: Arc<Mutex<State>>,
    /// Takes notes and, once it is gone, ends the drawing; tells when that is done. Only the thread
    /// behind it writes to the terminal, which may have stopped.
    ticker: Option<(Sender<String>, Receiver<()>)>,
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
        let (notes, noted) = channel::<String>();
        let drawn = Arc::clone(&state);
        let view = Screen::new();
        let (done, is_done) = channel();
        threads::spawn(move || {
            loop {
                match noted.recv_timeout(REDRAW_INTERVAL) {
                    // It stands above the view, and stays there.
                    Ok(note) => view.bar.println(note),
                    Err(RecvTimeoutError::Timeout) => {
                        let state = locked(&drawn).clone();
                        view.draw(&state);
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            view.bar.finish_and_clear();
            let _ = done.send(());
        })?;
        Ok(Self { state, ticker: Some((notes, is_done)) })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some((notes, is_done)) = self.ticker.take() {
            drop(notes);
            // Where the terminal has stopped, the thread hangs in a write and ends with the program.
            let _ = is_done.recv_timeout(LAST_DRAWING_TIMEOUT);
        }
    }
}

impl Observer for Live {
    fn started(&self, request: &TrialRequest) {
        locked(&self.state).start(request);
    }

    fn finished(&self, trials: &[Trial]) {
        locked(&self.state).finish(trials);
    }

    fn noted(&self, sentence: &str) {
        let note = fitted(&format!("note: {}", plain(sentence)), &Term::stderr());
        if let Some((notes, _)) = &self.ticker {
            let _ = notes.send(note);
        }
    }
}

/// A view that cannot be drawn is no reason to lose a tune.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Screen {
    bar: ProgressBar,
    term: Term,
    theme: Theme,
    /// The size at the last drawing, and how wide each line was.
    drawn: Cell<((usize, usize), Vec<usize>)>,
}

impl Screen {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is well formed"));
        let theme = Theme::new(colors_enabled_stderr());
        Self { bar, term: Term::stderr(), theme, drawn: Cell::default() }
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
        let lines = frame(state, state.budget.gone(), room, &self.theme);
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
