//! What an evaluation tells beside its scores: how similarities spread, and which queries fared worst.

use temper_eval::{Judgement, Placement, Task};
use temper_runs::{Event, Histogram};

/// Bins of a histogram: 0.02 wide each.
const BINS: usize = 100;
/// Queries told of.
const WORST: usize = 24;

/// The events on one task; none where no query was ranked.
pub(crate) fn events(step: u64, set: &str, task: &Task, judgement: &Judgement) -> Vec<Event> {
    let placements = &judgement.placements;
    if placements.is_empty() {
        return Vec::new();
    }
    let histogram = |of: fn(&Placement) -> Option<f32>| {
        Histogram::of_cosines(placements.iter().filter_map(of).map(f64::from), BINS)
    };
    let similarities = Event::Similarities {
        step,
        set: set.to_owned(),
        positive: histogram(|placement| Some(placement.score)),
        hardest_negative: histogram(Placement::hardest_negative),
    };
    let queries = task.worst_queries(judgement, WORST);
    vec![similarities, Event::WorstQueries { step, set: set.to_owned(), queries }]
}
