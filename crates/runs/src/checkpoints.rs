//! Which checkpoints of a run are kept, and which one is best.

use serde::{Deserialize, Serialize};

use crate::Which;

/// The content of `checkpoints/index.json`: steps only, so that a copied run still reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointIndex {
    /// The best by the run's metric.
    pub best: Option<u64>,
    /// The newest.
    pub last: Option<u64>,
    /// Every one there is, ascending.
    pub kept: Vec<u64>,
}

impl CheckpointIndex {
    /// The index after a save at `step`: the newest `keep_last` and the best stay.
    #[must_use]
    pub fn after_save(&self, step: u64, best: bool, keep_last: usize) -> Self {
        let best = if best { Some(step) } else { self.best };
        let mut kept: Vec<u64> = self.kept.iter().copied().filter(|&other| other != step).collect();
        kept.push(step);
        kept.sort_unstable();
        let rotated = kept.len().saturating_sub(keep_last.max(1));
        let kept = kept
            .iter()
            .enumerate()
            .filter(|&(place, &other)| place >= rotated || Some(other) == best || other == step)
            .map(|(_, &other)| other)
            .collect::<Vec<_>>();
        Self { best, last: kept.last().copied(), kept }
    }

    /// The index of a run that goes on from `step`: what came later is forgotten.
    #[must_use]
    pub fn cut_back_to(&self, step: u64) -> Self {
        let kept: Vec<u64> = self.kept.iter().copied().filter(|&other| other <= step).collect();
        Self { best: self.best.filter(|&best| best <= step), last: kept.last().copied(), kept }
    }

    /// Trusts the folder over the file: a kill may fall between a save or a removal and the writing of the index.
    #[must_use]
    pub(crate) fn reconciled(&self, steps_on_disk: &[u64]) -> Self {
        Self {
            best: self.best.filter(|best| steps_on_disk.contains(best)),
            last: steps_on_disk.iter().copied().max(),
            kept: steps_on_disk.to_vec(),
        }
    }

    /// The step that `which` means, if that checkpoint is there.
    pub fn step(&self, which: Which) -> Option<u64> {
        match which {
            Which::Best => self.best,
            Which::Last => self.last,
            Which::Step(step) => self.kept.contains(&step).then_some(step),
        }
    }
}

/// The folder name of the checkpoint at `step`; padded so that names sort.
pub(crate) fn folder_name(step: u64) -> String {
    format!("step-{step:06}")
}

/// The inverse of `folder_name`; `None` for anything else.
pub(crate) fn step_of(folder_name: &str) -> Option<u64> {
    let step = folder_name.strip_prefix("step-")?.parse().ok()?;
    (self::folder_name(step) == folder_name).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_outlives_rotation() {
        let index = CheckpointIndex::default()
            .after_save(100, true, 2)
            .after_save(200, false, 2)
            .after_save(300, false, 2)
            .after_save(400, false, 2);
        assert_eq!(index, CheckpointIndex { best: Some(100), last: Some(400), kept: vec![100, 300, 400] });
        let index = index.after_save(500, true, 2);
        assert_eq!(index.kept, [400, 500]);
    }

    #[test]
    fn saving_a_step_again_does_not_double_it() {
        let index = CheckpointIndex::default().after_save(100, true, 0).after_save(100, false, 0);
        assert_eq!(index, CheckpointIndex { best: Some(100), last: Some(100), kept: vec![100] });
    }

    #[test]
    fn cutting_back_forgets_what_came_later() {
        let index = CheckpointIndex { best: Some(300), last: Some(400), kept: vec![200, 300, 400] };
        assert_eq!(index.cut_back_to(200), CheckpointIndex { best: None, last: Some(200), kept: vec![200] });
    }

    #[test]
    fn the_folder_is_trusted_over_the_index() {
        let index = CheckpointIndex { best: Some(100), last: Some(200), kept: vec![100, 200] };
        let expected = CheckpointIndex { best: None, last: Some(300), kept: vec![200, 300] };
        assert_eq!(index.reconciled(&[200, 300]), expected);
    }

    #[test]
    fn folder_names_sort_and_read_back() {
        assert_eq!(folder_name(400), "step-000400");
        for step in [0, 400, 1_234_567] {
            assert_eq!(step_of(&folder_name(step)), Some(step));
        }
        for other in ["step-400", ".step-000400.partial", "step-", "index.json"] {
            assert_eq!(step_of(other), None, "{other}");
        }
    }
}
