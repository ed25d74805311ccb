//! Output: what is said on stderr and printed on stdout.
//!
//! Both can fail at any time: a disk is full, a reader has gone away, a terminal has hung up. What
//! is only said may be lost. It never ends a program, nor keeps it from what it was started for.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::Result;
use clap::Parser;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::io::printable;

/// How long a full pipe or a stopped terminal is waited for, once.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A pipe that is ready takes this much at once.
const PIPE_BUF: usize = 4096;

/// Whether stderr was waited for in vain.
static STALLED: AtomicBool = AtomicBool::new(false);

/// Lets a write to a file that has reached the user's limit (`ulimit -f`) fail as one to a full disk
/// does; otherwise the kernel ends the program. Programs that this one starts are not concerned.
pub fn outlive_file_limits() {
    // A handler that does nothing that matters; where there can be none, all is as before.
    let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::default());
}

/// Says a line, or several, on stderr; what can't be written is lost.
pub fn say(text: &str) {
    let text = format!("{}\n", printable::lines(text));
    let mut stderr = io::stderr().lock();
    for part in text.as_bytes().chunks(PIPE_BUF) {
        if !is_ready(&stderr) || stderr.write_all(part).is_err() {
            return;
        }
    }
}

/// Whether writing does not block: a reader that has stopped reading must not stop a tune.
fn is_ready(stream: &impl AsFd) -> bool {
    let patience = if STALLED.load(Relaxed) { Timespec::default() } else { PATIENCE };
    let mut polled = [PollFd::new(stream, PollFlags::OUT)];
    let is_ready = poll(&mut polled, Some(&patience)) != Ok(0);
    STALLED.store(!is_ready, Relaxed);
    is_ready
}

/// Prints to stdout, as it is unless a terminal shows it. A reader that has gone away (`| head`) is
/// no failure: the rest is lost, as it wanted.
///
/// # Errors
/// Stdout can't be written, a full disk for example.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let shown = stdout.is_terminal().then(|| printable::lines(text));
    let text = shown.as_deref().unwrap_or(text);
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if is_unread(&error) => Ok(()),
        written => Ok(written?),
    }
}

/// Prints JSON to stdout; what a terminal would take for a command is escaped.
///
/// # Errors
/// As [`print()`].
pub fn print_json(text: &str) -> Result<()> {
    print(&printable::json(text))
}

/// Prints a value as indented JSON, as [`print_json`] does.
///
/// # Errors
/// As [`print()`].
pub fn print_value(value: &impl serde::Serialize) -> Result<()> {
    print_json(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Whether stdout failed with `error` because nobody reads it: the other end of a pipe, a socket or
/// a terminal is gone.
pub fn is_unread(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => true,
        // A terminal that has hung up says this; of a file it would be a broken disk.
        _ if error.raw_os_error() == Some(libc::EIO) => is_stdout_a_device().unwrap_or(false),
        _ => false,
    }
}

fn is_stdout_a_device() -> io::Result<bool> {
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(file.metadata()?.file_type().is_char_device())
}

/// Parses the command line. Help, version and mistakes are printed as clap does, which ends the
/// program.
pub fn parse<T: Parser>() -> T {
    let error = match T::try_parse() {
        Ok(parsed) => return parsed,
        Err(error) => error,
    };
    let is_clean = |word: std::ffi::OsString| {
        word.to_str().is_some_and(|word| !word.chars().any(printable::is_hidden))
    };
    if std::env::args_os().all(is_clean) {
        error.exit();
    }
    // A mistake is quoted with its styles, from which a hostile name can't be told apart.
    let text = error.render().to_string();
    if error.use_stderr() {
        say(text.trim_end());
    } else {
        let _ = print(&text);
    }
    exit(error.exit_code())
}
