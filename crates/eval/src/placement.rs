//! How single queries of a retrieval task fared: what stands behind a mean score, for people to look at.

use temper_data::Retrieval;
use temper_runs::{Confuser, WorstQuery};

/// Documents kept of those that compete with a query's positive.
pub(crate) const CONFUSERS: usize = 5;
/// Characters kept of their texts, which are looked at, while query and positive must be found again in the data.
const CONFUSER_CHARS: usize = 500;

/// Where the best of a query's relevant documents stands in the ranking of the whole corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// Row of the query.
    pub query: usize,
    /// Row of that document.
    pub positive: usize,
    /// Its place, from 1.
    pub rank: usize,
    /// How similar the two are.
    pub score: f32,
    /// The documents ranked highest that are not relevant, with their scores, best first; empty where relevant ones
    /// fill the ranking.
    pub confusers: Vec<(usize, f32)>,
}

impl Placement {
    /// The score of the document ranked highest that is not relevant.
    pub fn hardest_negative(&self) -> Option<f32> {
        self.confusers.first().map(|(_, score)| *score)
    }

    /// How far the positive stands above the hardest negative; below 0 where the query is answered wrongly.
    fn margin(&self) -> f32 {
        self.hardest_negative().map_or(f32::INFINITY, |negative| self.score - negative)
    }
}

/// The `count` queries whose positive is ranked lowest, worst first; at the same rank by how far it stands behind.
pub(crate) fn worst_queries(task: &Retrieval, placements: &[Placement], count: usize) -> Vec<WorstQuery> {
    let mut worst: Vec<&Placement> = placements.iter().collect();
    worst.sort_by(|a, b| b.rank.cmp(&a.rank).then(a.margin().total_cmp(&b.margin())));
    let document = |row: usize| task.corpus[row].1.as_str();
    let confuser = |(row, score): &(usize, f32)| Confuser {
        text: document(*row).chars().take(CONFUSER_CHARS).collect(),
        score: f64::from(*score),
    };
    let described = |placement: &Placement| WorstQuery {
        query: task.queries[placement.query].1.clone(),
        positive: document(placement.positive).to_owned(),
        rank: placement.rank as u64,
        score: f64::from(placement.score),
        confusers: placement.confusers.iter().map(confuser).collect(),
    };
    worst.into_iter().take(count).map(described).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(query: usize, rank: usize, score: f32, negative: f32) -> Placement {
        Placement { query, positive: query, rank, score, confusers: vec![(0, negative)] }
    }

    #[test]
    fn the_lowest_rank_is_worst_then_the_smallest_margin() {
        let texts = |prefix: &str| (0..4).map(|row| (String::new(), format!("{prefix}{row}"))).collect();
        let task = Retrieval { queries: texts("q"), corpus: texts("d"), relevant: Vec::new() };
        let placements = [
            placement(0, 1, 0.9, 0.5),
            placement(1, 7, 0.4, 0.5),
            placement(2, 1, 0.9, 0.8),
            placement(3, 7, 0.4, 0.6),
        ];
        let worst = worst_queries(&task, &placements, 3);
        assert_eq!(worst.iter().map(|worst| worst.query.as_str()).collect::<Vec<_>>(), ["q3", "q1", "q2"]);
        assert_eq!((worst[0].positive.as_str(), worst[0].rank), ("d3", 7));
        assert_eq!(worst[0].confusers[0].text, "d0");
    }
}
