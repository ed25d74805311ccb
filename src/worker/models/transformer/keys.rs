//! How a slice of a job attends as the whole job does: among as many keys, and with queries enough.

use std::cell::RefCell;

use tch::Tensor;

/// Queries from which libtorch's attention on CPUs works on larger blocks of them, as
/// `FlashAttentionKernel.cpp` chooses: blocks of 256, of 64, and below of 32.
const KERNELS: [i64; 2] = [768, 192];

/// As many keys and values as the whole job has, `[1, keys, heads, head width]` each: the slice's own
/// first ones, then the first forward's again and again, so that they spread as real ones do.
#[derive(Default)]
pub struct JobKeys {
    count: i64,
    kept: RefCell<Option<[Tensor; 2]>>,
}

impl JobKeys {
    /// This many, where a slice has fewer.
    pub fn of(count: i64) -> Self {
        Self { count, kept: RefCell::default() }
    }

    /// Keys and values `[batch, tokens, heads, head width]` among those of the whole job, the same
    /// for each clip of a batch.
    pub fn among(&self, key: Tensor, value: Tensor) -> [Tensor; 2] {
        let size = key.size();
        if self.count <= size[1] {
            return [key, value];
        }
        let mut kept = self.kept.borrow_mut();
        let kept = kept.get_or_insert_with(|| [&key, &value].map(|own| self.repeated(own)));
        for (all, own) in kept.iter().zip([&key, &value]) {
            all.narrow(1, 0, size[1]).copy_(&own.narrow(0, 0, 1));
        }
        [0, 1].map(|which| kept[which].expand([size[0], -1, -1, -1], false))
    }

    /// Heads, and queries of each, `[heads, queries]`, in whose shape a slice's `tokens` of `heads` heads
    /// run the kernel of the whole job: fewer heads of more queries each, as many in all.
    pub fn shape(&self, tokens: i64, heads: i64) -> [i64; 2] {
        let rows = tokens * heads;
        let least = KERNELS.into_iter().find(|least| *least <= self.count).unwrap_or_default();
        if tokens >= least.min(self.count) {
            return [heads, tokens];
        }
        let fits = |heads: &i64| rows % heads == 0;
        let heads = (1..=rows / least).rev().find(fits).unwrap_or(heads);
        [heads, rows / heads]
    }

    fn repeated(&self, own: &Tensor) -> Tensor {
        let times = self.count.div_euclid(own.size()[1]) + 1;
        own.narrow(0, 0, 1).repeat([1, times, 1, 1]).narrow(1, 0, self.count).contiguous()
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_slice_attends_in_the_shape_of_the_whole_job() {
        assert_eq!(JobKeys::of(27_280).shape(128, 24), [4, 768]);
        // 2688 rows make three heads of 896, but no four of 768.
        assert_eq!(JobKeys::of(27_280).shape(112, 24), [3, 896]);
        assert_eq!(JobKeys::of(27_280).shape(1024, 24), [24, 1024]);
        assert_eq!(JobKeys::of(400).shape(128, 24), [16, 192]);
        assert_eq!(JobKeys::of(150).shape(64, 24), [24, 64]);
        assert_eq!(JobKeys::default().shape(64, 24), [24, 64]);
    }

    #[test]
    fn a_slices_own_keys_come_first_and_then_those_of_the_first_forward() {
        let keys = JobKeys::of(5);
        let of = |from: i64| {
            Tensor::arange_start(from, from + 2, (Kind::Float, Device::Cpu)).view([1, 2, 1, 1])
        };
        let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.contiguous().view(-1)).unwrap();
        let [key, value] = keys.among(of(1), of(11));
        assert_eq!(values(&key), [1.0, 2.0, 1.0, 2.0, 1.0]);
        assert_eq!(values(&value), [11.0, 12.0, 11.0, 12.0, 11.0]);
        let [key, _] = keys.among(of(7), of(0));
        assert_eq!(values(&key), [7.0, 8.0, 1.0, 2.0, 1.0]);
        assert_eq!(JobKeys::default().among(of(1), of(3))[0].size(), [1, 2, 1, 1]);
    }
}
