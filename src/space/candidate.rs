//! Candidate: one level a knob.

/// One value a knob, as positions in each knob's levels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate(Box<[u16]>);

impl Candidate {
    /// The candidate with these levels, in the space's order of knobs.
    pub fn new(levels: impl IntoIterator<Item = usize>) -> Self {
        Self(levels.into_iter().map(|level| level as u16).collect())
    }

    /// The level of the knob at `position`.
    pub fn level(&self, position: usize) -> usize {
        usize::from(self.0[position])
    }

    /// All levels.
    pub fn levels(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().map(|&level| usize::from(level))
    }

    /// The same candidate with one knob at another level.
    pub fn with(&self, position: usize, level: usize) -> Self {
        let mut changed = self.clone();
        changed.0[position] = level as u16;
        changed
    }
}
