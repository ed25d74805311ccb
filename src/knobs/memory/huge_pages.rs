//! `huge_pages`: who asks for them, for one process, chosen when it starts; the host's own setting
//! is never touched.

use strum::VariantArray;

use super::allocator::Allocator;
use super::policy::TELLING_BYTES;
use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::effect::{Effect, Mismatch};
use crate::knobs::form::{VariableForm, one_of};
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Settings, Variable};
use crate::machine::{SystemRoots, line};

/// glibc asks for huge pages for what it maps and for its heaps.
pub const GLIBC_HUGE: &str = "glibc.malloc.hugetlb=1";

words! {
    /// Who asks the kernel for huge pages.
    pub enum HugePages {
        /// Nobody.
        #[default]
        None,
        /// libtorch, for its large tensors.
        Libtorch,
        /// glibc's malloc (2.35 or newer), for all that it hands out.
        Glibc,
    }
}

impl HugePages {
    /// The kernel's switch, below sysfs.
    pub const SWITCH: &str = "kernel/mm/transparent_hugepage/enabled";

    /// The word that the kernel's switch is at; `None` for a kernel without.
    pub fn switch(roots: &SystemRoots) -> Option<String> {
        let text = line(&roots.sys.join(Self::SWITCH))?;
        let mut words = text.split_whitespace();
        let chosen = words.find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
        chosen.map(ToOwned::to_owned)
    }

    /// The variable that asks for them.
    fn variable(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::None => None,
            Self::Libtorch => Some(("THP_MEM_ALLOC_ENABLE", "1")),
            Self::Glibc => Some(("GLIBC_TUNABLES", GLIBC_HUGE)),
        }
    }

    /// Whether `allocator` is the one that asks.
    fn goes_with(self, allocator: Allocator) -> bool {
        self != Self::Glibc || allocator.library().is_none()
    }

    /// Why asking would change nothing on this system; `None` where it may.
    fn refusal(self, roots: &SystemRoots) -> Option<String> {
        if self == Self::None {
            return None;
        }
        match (Self::switch(roots).as_deref(), self) {
            (None, _) => Some("the kernel has no transparent huge pages".to_owned()),
            (Some("never"), _) => Some(format!(
                "transparent huge pages are off: `echo madvise | sudo tee /sys/{}`",
                Self::SWITCH
            )),
            (Some("always"), Self::Glibc) => {
                Some("the kernel gives huge pages to all anyway (always)".to_owned())
            }
            _ if self == Self::Glibc && glibc() < (2, 35) => {
                Some("glibc is older than 2.35".to_owned())
            }
            _ => None,
        }
    }
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = HugePages;

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        knobs.huge_pages.refusal(host.roots.as_ref()?)
    }

    fn conflict(&self, knobs: &Knobs) -> Option<String> {
        let fits = knobs.huge_pages.goes_with(knobs.allocator);
        (!fits).then(|| format!("not with allocator = {}", knobs.allocator))
    }

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        let variable = knobs.huge_pages.variable();
        variable.map(|(name, value)| (name, value.to_owned())).into_iter().collect()
    }

    fn forms(&self) -> Vec<VariableForm> {
        let form = |(name, value)| VariableForm::new(name, one_of([value]));
        HugePages::VARIANTS.iter().filter_map(|who| who.variable()).map(form).collect()
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        let is_set = |who: &&HugePages| {
            who.variable().is_some_and(|(name, value)| caller.text(name).contains(value))
        };
        let asking = [HugePages::Glibc, HugePages::Libtorch];
        knobs.huge_pages = asking.iter().find(is_set).copied().unwrap_or_default();
    }

    /// Large memory of which nothing came in huge pages although it was asked for.
    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let is_set = |(name, value): (&str, &str)| {
            asked.environment.get(name).is_some_and(|got| got.contains(value))
        };
        let asked = HugePages::VARIANTS.iter().filter_map(|who| who.variable()).any(is_set);
        let anonymous: u64 = got.anonymous_bytes.values().sum();
        if !asked || anonymous < TELLING_BYTES || got.huge_page_bytes > 0 {
            return Vec::new();
        }
        vec![Mismatch::new("", "some", format!("none in {} MiB", anonymous >> 20))]
    }
}

/// glibc's version; zeros for another C library.
fn glibc() -> (u32, u32) {
    let text = crate::machine::syscalls::glibc_version();
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(switch: &str) -> [Option<String>; 3] {
        let file = format!("sys/{}", HugePages::SWITCH);
        let (_tree, roots) = SystemRoots::of_files(&[(file, switch)]);
        [HugePages::None, HugePages::Libtorch, HugePages::Glibc].map(|pages| pages.refusal(&roots))
    }

    #[test]
    fn what_the_kernel_does_not_give_cannot_be_asked_for() {
        let [none, libtorch, glibc] = refusals("always madvise [never]\n");
        assert_eq!((none, &libtorch), (None, &glibc));
        assert!(libtorch.unwrap().starts_with("transparent huge pages are off: `echo madvise"));
        assert_eq!(refusals("always [madvise] never\n"), [None, None, None]);
        let [_, libtorch, glibc] = refusals("[always] madvise never\n");
        assert!(libtorch.is_none() && glibc.unwrap().contains("to all anyway"));
        let [_, libtorch, _] = refusals("");
        assert_eq!(libtorch.unwrap(), "the kernel has no transparent huge pages");
    }

    #[test]
    fn only_glibc_asks_for_itself() {
        assert!(HugePages::Glibc.goes_with(Allocator::GlibcKeep));
        assert!(!HugePages::Glibc.goes_with(Allocator::Tcmalloc));
        assert!(HugePages::Libtorch.goes_with(Allocator::Tcmalloc));
    }
}
