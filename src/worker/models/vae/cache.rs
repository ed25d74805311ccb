//! What causal convolutions remember from one chunk of frames to the next.

use tch::Tensor;

/// One slot a causal convolution, in the order in which a forward meets them.
#[derive(Default)]
pub struct FeatureCache {
    slots: Vec<Slot>,
    next: usize,
}

/// What a convolution remembers.
#[derive(Default)]
pub enum Slot {
    /// It has seen no chunk.
    #[default]
    Fresh,
    /// It has let a first chunk pass and starts with zeros at the next (the reference's "Rep").
    Passed,
    /// The last frames of its input.
    Frames(Tensor),
}

impl FeatureCache {
    /// Starts another chunk: the next convolution is the first again.
    pub fn rewind(&mut self) {
        self.next = 0;
    }

    /// The slot of the next convolution.
    pub fn slot(&mut self) -> &mut Slot {
        if self.next == self.slots.len() {
            self.slots.push(Slot::Fresh);
        }
        self.next += 1;
        &mut self.slots[self.next - 1]
    }
}
