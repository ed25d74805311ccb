//! New tensors, filled where the calling thread's memory policy puts them.

use std::cell::RefCell;
use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::pages;

/// How many elements are copied at a time: below ATen's grain (32768), above which it would hand
/// a part to its pool and another thread would touch the pages first.
const CHUNK: i64 = 16_384;

/// What a new tensor looks like.
#[derive(Clone, Copy)]
pub struct TensorSpec<'a> {
    pub shape: &'a [i64],
    /// A contiguous tensor's if `None`.
    pub strides: Option<&'a [i64]>,
    pub kind: Kind,
}

thread_local! {
    /// Bytes of tensors on their way to other strides, kept while a thread builds models: fresh
    /// pages for each would take as long as the tensors' own.
    static STAGE: RefCell<Tensor> = RefCell::new(bytes(0));
}

impl TensorSpec<'_> {
    /// A new tensor filled by the calling thread alone: `chunk` gives the flat elements of a
    /// contiguous one from `start`, as many as it likes up to `length`.
    pub fn filled(self, chunk: impl FnMut(i64, i64) -> Tensor) -> Tensor {
        let options = (self.kind, Device::Cpu);
        let Some(strides) = self.strides else {
            let tensor = Tensor::empty(self.shape, options);
            pages::populate(addresses(&tensor));
            fill(&tensor.view(-1), chunk);
            return tensor;
        };
        let mut tensor = Tensor::empty_strided(self.shape, strides, options);
        pages::populate(addresses(&tensor));
        let stage = self.stage();
        fill(&stage, chunk);
        // One call, so by this thread only as long as ATen has a single one, as while a trial's
        // models are built; pages are there already.
        tensor.copy_(&stage.view(self.shape));
        tensor
    }

    /// Memory for its elements in a row.
    fn stage(self) -> Tensor {
        let elements = self.shape.iter().product::<i64>();
        let needed = elements * self.kind.elt_size_in_bytes() as i64;
        STAGE.with_borrow_mut(|stage| {
            if stage.size1().unwrap_or(0) < needed {
                *stage = bytes(0);
                *stage = bytes(needed);
            }
            stage.narrow(0, 0, needed).view_dtype(self.kind)
        })
    }
}

fn bytes(count: i64) -> Tensor {
    Tensor::empty([count], (Kind::Uint8, Device::Cpu))
}

fn fill(flat: &Tensor, mut chunk: impl FnMut(i64, i64) -> Tensor) {
    let total = flat.numel() as i64;
    let mut start = 0;
    while start < total {
        let piece = chunk(start, CHUNK.min(total - start));
        let length = piece.numel() as i64;
        flat.narrow(0, start, length).copy_(&piece);
        start += length;
    }
}

/// Where a tensor without gaps lies.
pub fn addresses(tensor: &Tensor) -> Range<usize> {
    let start = tensor.data_ptr() as usize;
    start..start + tensor.numel() * tensor.kind().elt_size_in_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::{Init, Weights};
    use super::*;
    use wan22_tune::launch::page_placement;

    /// Of channels-last kernels too it is the tensor in use that is said to lie somewhere.
    #[test]
    fn other_strides_change_no_element_and_the_account_knows_where_they_lie() {
        let (shape, strides) = ([256, 512, 3, 7, 7], [512 * 147, 1, 512 * 49, 512 * 7, 512]);
        let weights = Weights::random(1);
        let scope = weights.root(Kind::Float, Device::Cpu);
        let laid = scope.strided("weight", &shape, Some(&strides), Init::Kernel);
        assert_eq!(laid.stride(), strides);
        assert_eq!(weights.places(), [addresses(&laid)]);
        // Some kernels and containers do not tell.
        if let Ok(placement) = page_placement::of(&weights.places()) {
            let bytes = placement.values().sum::<u64>();
            let whole = 4 * shape.iter().product::<i64>() as u64;
            assert!(bytes.abs_diff(whole) < whole / 100, "{bytes} of {whole}");
        }
        let plain = scope.tensor("weight", &shape, Init::Kernel);
        assert!(plain.is_contiguous() && plain == laid);
    }
}
