//! Pipeline: every clip once through all stages, all stages at work at once.
//!
//! No queue can jam. The way in is driven by requests: the model's thread asks for a clip's
//! picture when it has room for it, [`AHEAD`] batches ahead, and every queue on that way holds as
//! much as is asked for, so nobody waits to hand over. On the way out the model's thread may
//! have to wait, but only for threads that never wait for it. A failure is sent to the model's
//! thread, which stops asking and closes its queues, whereupon all others end.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select_biased};
use rayon::Scope;

use super::{Picture, Pools, StageClock, StageError, StageOutput};
use crate::workload::Stage;

/// Batches that the pools prepare while the model works on one, and batches of frames that may
/// wait to be written.
const AHEAD: usize = 2;

/// Longer than any picture takes to be read.
const INDEFINITELY: Duration = Duration::from_secs(1 << 32);

/// What one repetition does.
#[derive(Clone, Debug)]
pub struct PipelinePlan<'a> {
    /// JPEG or PNG files; clip `i` takes number `i` modulo their count. Without any, batches have
    /// no planes: the job reads no pictures.
    pub images: &'a [PathBuf],
    /// Clips to make.
    pub clips: usize,
    /// Clips that go through the model together; the last batch may have fewer.
    pub batch_size: usize,
    /// Pixels per row of the model's input.
    pub width: u32,
    /// Rows of the model's input.
    pub height: u32,
    /// An existing folder for the files of what is made ([`StageOutput::file_name`]).
    pub output: &'a Path,
}

/// Pictures that go through the model together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The clips, counted from 0 within the repetition.
    pub clips: Range<usize>,
    /// Clips x 3 planes x height x width values, each from -1 to 1; empty where the job reads no
    /// pictures.
    pub planes: Vec<f32>,
}

impl PipelinePlan<'_> {
    fn image(&self, clip: usize) -> &Path {
        &self.images[clip % self.images.len()]
    }

    fn batches(&self) -> usize {
        self.clips.div_ceil(self.batch_size)
    }

    fn clips_of(&self, batch: usize) -> Range<usize> {
        let first = batch * self.batch_size;
        first..(first + self.batch_size).min(self.clips)
    }
}

/// One file's content on its way out.
struct Piece {
    made: Arc<StageOutput>,
    index: usize,
    path: PathBuf,
}

/// Runs `plan`: the pools feed `model` one batch after the other, in any order, on the calling
/// thread, and write what it makes. Busy time goes to `clock`, which `model` shares.
///
/// # Errors
/// The first failure of any stage; all threads have left the pipeline by then.
///
/// # Panics
/// A plan with a batch size of 0.
pub fn run(
    pools: &Pools,
    plan: &PipelinePlan<'_>,
    clock: &StageClock,
    model: impl FnMut(&Batch) -> Result<StageOutput, StageError>,
) -> Result<(), StageError> {
    assert!(plan.batch_size > 0, "a plan needs a batch size");
    let (faults, fault) = bounded(1);
    let work = Work { plan, clock, faults, unpacked: Mutex::default() };
    pools.io.in_place_scope(|io| {
        pools.preprocess.in_place_scope(|preprocess| {
            pools.batch.in_place_scope(|batch| {
                let (batches, pieces) = spawn(&work, pools, [io, preprocess, batch]);
                drive(plan, &fault, batches, &pieces, model)
            })
        })
    })?;
    fault.try_recv().map_or(Ok(()), Err)
}

/// The way in, as the model's thread sees it.
struct Batches {
    requests: Sender<usize>,
    packed: Receiver<Batch>,
}

/// Starts all workers; they end when what is returned is dropped.
fn spawn<'scope>(
    work: &'scope Work<'_>,
    pools: &Pools,
    [io, preprocess, batch]: [&Scope<'scope>; 3],
) -> (Batches, Sender<Piece>) {
    let clips = AHEAD * work.plan.batch_size;
    let (requests, requested) = bounded(clips);
    let (files, read) = bounded(clips);
    let (groups, grouped) = bounded(AHEAD);
    let (batches, packed) = bounded(AHEAD);
    let (pieces, made) = bounded(clips);
    let (encoded, unwritten) = bounded(clips);
    for _ in 0..pools.io.current_num_threads() {
        let (requested, files, unwritten) = (requested.clone(), files.clone(), unwritten.clone());
        let read = move |clip| work.read(clip, &files);
        io.spawn(move |_| serve(&requested, &unwritten, read, |file| work.write(&file)));
    }
    for _ in 0..pools.preprocess.current_num_threads() {
        let (read, groups) = (read.clone(), groups.clone());
        let (made, encoded) = (made.clone(), encoded.clone());
        let preprocess_one = move |file| work.preprocess(&file, &groups);
        let encode_one = move |piece| work.encode(&piece, &encoded);
        preprocess.spawn(move |_| serve(&read, &made, preprocess_one, encode_one));
    }
    for _ in 0..pools.batch.current_num_threads() {
        let (grouped, batches) = (grouped.clone(), batches.clone());
        batch.spawn(move |_| grouped.iter().for_each(|group| work.pack(&group, &batches)));
    }
    (Batches { requests, packed }, pieces)
}

/// Works off two queues, the first one first, until both are closed. What serves the first is
/// dropped with it, and the senders that it owns: the queues behind can close one by one.
fn serve<A, B>(
    first: &Receiver<A>,
    second: &Receiver<B>,
    mut on_first: impl FnMut(A),
    mut on_second: impl FnMut(B),
) {
    loop {
        select_biased! {
            recv(first) -> item => match item {
                Ok(item) => on_first(item),
                Err(_) => {
                    drop(on_first);
                    return second.iter().for_each(on_second);
                }
            },
            recv(second) -> item => match item {
                Ok(item) => on_second(item),
                Err(_) => return first.iter().for_each(on_first),
            },
        }
    }
}

/// The model's thread: asks for clips, runs batches, hands out what they make.
fn drive(
    plan: &PipelinePlan<'_>,
    fault: &Receiver<StageError>,
    Batches { requests, packed }: Batches,
    pieces: &Sender<Piece>,
    mut model: impl FnMut(&Batch) -> Result<StageOutput, StageError>,
) -> Result<(), StageError> {
    let reads = !plan.images.is_empty();
    let request = |batch| {
        plan.clips_of(batch).filter(|_| reads).for_each(|clip| _ = requests.send(clip));
    };
    (0..AHEAD).for_each(request);
    for number in 0..plan.batches() {
        let unread = || Batch { clips: plan.clips_of(number), planes: Vec::new() };
        let batch = select_biased! {
            recv(fault) -> error => return Err(error.expect("the other end outlives this thread")),
            recv(packed) -> batch => batch,
            default(if reads { INDEFINITELY } else { Duration::ZERO }) => Ok(unread()),
        };
        // Closed early: a worker panicked outside of any stage, and its scope passes that on.
        let Ok(batch) = batch else { return Ok(()) };
        request(number + AHEAD);
        let made = Arc::new(model(&batch)?);
        for (at, clip) in batch.clips.enumerate() {
            for index in 0..made.per_clip() {
                let path = plan.output.join(made.file_name(clip, index));
                let index = at * made.per_clip() + index;
                _ = pieces.send(Piece { made: Arc::clone(&made), index, path });
            }
        }
    }
    Ok(())
}

/// What all workers share.
struct Work<'a> {
    plan: &'a PipelinePlan<'a>,
    clock: &'a StageClock,
    faults: Sender<StageError>,
    /// Pictures by clip, of batches that lack some.
    unpacked: Mutex<BTreeMap<usize, Picture>>,
}

/// A clip's image file in memory.
struct ImageFile {
    clip: usize,
    bytes: Vec<u8>,
}

struct BatchPictures {
    clips: Range<usize>,
    pictures: Vec<Picture>,
}

/// A file to be written.
struct OutputFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Work<'_> {
    fn read(&self, clip: usize, files: &Sender<ImageFile>) {
        let path = self.plan.image(clip);
        let bytes = self.clock.run(Stage::Read, path.display(), || fs::read(path));
        self.hand_over(bytes.map(|bytes| ImageFile { clip, bytes }), files);
    }

    fn preprocess(&self, file: &ImageFile, groups: &Sender<BatchPictures>) {
        let path = self.plan.image(file.clip);
        let picture = self.clock.run(Stage::Preprocess, path.display(), || {
            Picture::from_bytes(&file.bytes, self.plan.width, self.plan.height)
        });
        match picture.map(|picture| self.group(file.clip, picture)) {
            Ok(None) => {}
            Ok(Some(group)) => self.hand_over(Ok(group), groups),
            Err(error) => self.fail(error),
        }
    }

    /// The batch that `picture` completes.
    fn group(&self, clip: usize, picture: Picture) -> Option<BatchPictures> {
        let clips = self.plan.clips_of(clip / self.plan.batch_size);
        let mut unpacked = self.unpacked.lock().expect("nothing panics while it is held");
        unpacked.insert(clip, picture);
        let complete = unpacked.range(clips.clone()).count() == clips.len();
        complete.then(|| {
            let pictures = clips.clone().filter_map(|clip| unpacked.remove(&clip)).collect();
            BatchPictures { clips, pictures }
        })
    }

    fn pack(&self, group: &BatchPictures, batches: &Sender<Batch>) {
        let BatchPictures { clips, pictures } = group;
        let batch = self.clock.run(Stage::Pack, format_args!("clips {clips:?}"), || {
            let planes: Vec<&[f32]> = pictures.iter().map(|picture| &picture.planes[..]).collect();
            anyhow::Ok(Batch { clips: clips.clone(), planes: planes.concat() })
        });
        self.hand_over(batch, batches);
    }

    fn encode(&self, piece: &Piece, encoded: &Sender<OutputFile>) {
        let Piece { made, index, path } = piece;
        let bytes = self.clock.run(Stage::Write, path.display(), || made.file(*index));
        self.hand_over(bytes.map(|bytes| OutputFile { path: path.clone(), bytes }), encoded);
    }

    fn write(&self, file: &OutputFile) {
        let OutputFile { path, bytes } = file;
        let written = self.clock.run(Stage::Write, path.display(), || fs::write(path, bytes));
        written.unwrap_or_else(|error| self.fail(error));
    }

    fn hand_over<T>(&self, result: Result<T, StageError>, next: &Sender<T>) {
        match result {
            // Closed only when the run is ending anyway.
            Ok(item) => _ = next.send(item),
            Err(error) => self.fail(error),
        }
    }

    /// Tells the model's thread; only the first failure is kept.
    fn fail(&self, error: StageError) {
        _ = self.faults.try_send(error);
    }
}

#[cfg(test)]
mod tests;
