//! Which texts of a data set are the same, in 4 bytes a text and 8 bytes a different one.

/// A number for every text of every example, equal exactly where texts are equal.
///
/// Texts are known by 64 bits of their blake3: among ten million different ones, two share these with a chance of one in
/// 400,000.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextNumbers {
    columns: usize,
    /// Of every different text, ascending; its place is its number.
    hashes: Vec<u64>,
    /// `[examples, columns]`.
    numbers: Vec<u32>,
}

/// Texts that are still coming in; the example with the fewest decides how many of each count.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    columns: Option<usize>,
    /// `[examples, columns]`.
    hashes: Vec<u64>,
}

impl Collected {
    pub(crate) fn push(&mut self, texts: &[String]) {
        let columns = *self.columns.get_or_insert(texts.len());
        if texts.len() < columns {
            self.narrow(texts.len());
        }
        self.hashes.extend(texts.iter().take(columns).map(|text| hash(text)));
    }

    fn narrow(&mut self, columns: usize) {
        let before = self.columns.replace(columns).unwrap_or(columns);
        let mut place = 0;
        self.hashes.retain(|_| {
            place += 1;
            (place - 1) % before < columns
        });
    }

    /// Numbers the first `columns` texts of every example.
    pub(crate) fn numbered(mut self, columns: usize) -> TextNumbers {
        if self.columns.is_some_and(|before| before > columns) {
            self.narrow(columns);
        }
        let mut hashes = self.hashes.clone();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.shrink_to_fit();
        // A table of four billion texts would need more memory than an index of rows is for.
        let number = |hash: &u64| hashes.partition_point(|other| other < hash) as u32;
        let numbers = self.hashes.iter().map(number).collect();
        TextNumbers { columns, hashes, numbers }
    }
}

impl TextNumbers {
    /// Numbers the texts of some examples, all of which have the same number of them.
    pub fn of<'a>(examples: impl IntoIterator<Item = &'a [String]>) -> Self {
        let mut collected = Collected::default();
        for texts in examples {
            collected.push(texts);
        }
        let columns = collected.columns.unwrap_or(2);
        collected.numbered(columns)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.numbers.len() / self.columns.max(1)
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The numbers of an example's texts.
    pub fn example(&self, index: usize) -> &[u32] {
        &self.numbers[index * self.columns..][..self.columns]
    }

    /// Numbers are below this.
    pub fn distinct(&self) -> usize {
        self.hashes.len()
    }

    /// The number of a text, if any example had it.
    pub fn number(&self, text: &str) -> Option<u32> {
        self.hashes.binary_search(&hash(text)).ok().map(|place| place as u32)
    }

    /// For every number whether an example has it.
    pub(crate) fn in_use(&self) -> Vec<bool> {
        let mut used = vec![false; self.distinct()];
        for number in &self.numbers {
            used[*number as usize] = true;
        }
        used
    }

    /// Keeps the examples that `keep` marks.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        let mut place = 0;
        let columns = self.columns;
        self.numbers.retain(|_| {
            place += 1;
            keep[(place - 1) / columns]
        });
    }
}

fn hash(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk().expect("this is a bug: a hash has 32 bytes");
    u64::from_le_bytes(*first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|text| (*text).to_owned()).collect()).collect()
    }

    #[test]
    fn equal_texts_have_equal_numbers_in_any_column() {
        let rows = texts(&[&["a", "b"], &["b", "c"], &["a", "c"]]);
        let numbers = TextNumbers::of(rows.iter().map(Vec::as_slice));
        let [x, y, z] = [0, 1, 2].map(|index| numbers.example(index).to_vec());
        assert_eq!((numbers.len(), numbers.distinct()), (3, 3));
        assert!(x[1] == y[0] && x[0] == z[0] && y[1] == z[1] && x[0] != x[1] && x[0] != y[1]);
        assert_eq!(numbers.number("c"), Some(y[1]));
        assert_eq!(numbers.number("d"), None);
    }

    #[test]
    fn a_late_example_with_fewer_texts_narrows_those_before() {
        let mut collected = Collected::default();
        for row in texts(&[&["a", "b", "n", "m"], &["c", "d", "o"], &["e", "f", "p", "q"]]) {
            collected.push(&row);
        }
        let three = texts(&[&["a", "b", "n"], &["c", "d", "o"], &["e", "f", "p"]]);
        assert_eq!(collected.numbered(3), TextNumbers::of(three.iter().map(Vec::as_slice)));
    }

    #[test]
    fn examples_that_are_left_out_use_no_number() {
        let rows = texts(&[&["a", "b"], &["c", "b"]]);
        let mut numbers = TextNumbers::of(rows.iter().map(Vec::as_slice));
        numbers.retain(&[false, true]);
        let used = numbers.in_use();
        let is_used = |text| used[numbers.number(text).unwrap() as usize];
        assert_eq!((numbers.len(), ["a", "b", "c"].map(is_used)), (1, [false, true, true]));
    }
}
