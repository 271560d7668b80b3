//! The names of classes, numbered in the order in which they are met.

use std::collections::HashMap;

/// Names by number and numbers by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Classes {
    /// The number of a class, a new one where it was not met before.
    pub(crate) fn add(&mut self, name: String) -> usize {
        if let Some(number) = self.find(&name) {
            return number;
        }
        self.names.push(name.clone());
        self.numbers.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }

    /// The number of a class that was met.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// Every name, at its number.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.clone()
    }
}
