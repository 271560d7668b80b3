//! Several sets of training examples in one run: the `[[sets]]` tables of a config. A run of one set is the case where
//! there is one.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use temper_data::{ColumnMap, Mixing};

use crate::config::{Config, PromptConfig, TrainConfig};
use crate::losses::LossConfig;

/// One `[[sets]]` table. Every batch has examples of one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetConfig {
    /// What its losses and scores are called: letters, digits, `_` and `-`. Empty in a run of one set.
    pub name: String,
    /// Training files, all of one kind.
    pub train: Vec<PathBuf>,
    /// Read only this many of its examples; `data.max_train_samples` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_train_samples: Option<usize>,
    /// Labels outside this range are bad rows; `data.label_range`, or what the loss can learn from, when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_range: Option<(f32, f32)>,
    /// Which column is what; `[data.columns]` when not given. What neither names is recognised by the usual names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<ColumnMap>,
    /// Texts put in front of its columns; `[prompts]` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptConfig>,
    /// What is minimised.
    #[serde(default)]
    pub loss: LossConfig,
}

/// Which set each batch comes from; see [`Mixing`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetSampler {
    /// One batch of each in turn, until the smallest has none left.
    RoundRobin,
    /// Every batch of every set, in random order.
    #[default]
    Proportional,
    /// In proportion to the size to the power of 1 / `multi_dataset_temperature`.
    Temperature,
}

impl Config {
    /// The sets to learn from, what they leave to the config filled in: those of `[[sets]]`, or the one of `[data]` and
    /// `[loss]`, which has no name.
    pub fn sets(&self) -> Vec<SetConfig> {
        if self.sets.is_empty() {
            return vec![SetConfig {
                name: String::new(),
                train: self.data.train.clone(),
                max_train_samples: self.data.max_train_samples,
                label_range: self.data.label_range,
                columns: Some(self.data.columns.clone()),
                prompts: Some(self.prompts.clone()),
                loss: self.loss.clone(),
            }];
        }
        let filled_in = |set: &SetConfig| SetConfig {
            max_train_samples: set.max_train_samples.or(self.data.max_train_samples),
            label_range: set.label_range.or(self.data.label_range),
            columns: Some(set.columns.as_ref().unwrap_or(&self.data.columns).clone()),
            prompts: Some(self.prompts_of(set).clone()),
            ..set.clone()
        };
        self.sets.iter().map(filled_in).collect()
    }

    /// The prompts that a set of `[[sets]]` is trained with.
    pub(crate) fn prompts_of<'a>(&'a self, set: &'a SetConfig) -> &'a PromptConfig {
        set.prompts.as_ref().unwrap_or(&self.prompts)
    }

    /// How the sets take turns.
    pub fn mixing(&self) -> Mixing {
        match self.train.multi_dataset_batch_sampler.unwrap_or_default() {
            SetSampler::RoundRobin => Mixing::RoundRobin,
            SetSampler::Proportional => Mixing::Proportional,
            SetSampler::Temperature => {
                Mixing::Temperature(self.train.multi_dataset_temperature.unwrap_or(1.0))
            }
        }
    }
}

/// Rules between `[[sets]]` and the rest of a config.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    check_sampler(&config.train)?;
    if config.sets.is_empty() {
        return match config.train.multi_dataset_batch_sampler {
            Some(_) => Err("`train.multi_dataset_batch_sampler` means nothing without `[[sets]]`".to_owned()),
            None => Ok(()),
        };
    }
    let of_one_set = [
        (
            "[mine]",
            config.mine.is_some(),
            "mine the negatives of a set with `temper mine`, whose output trains as it is",
        ),
        ("data.train", !config.data.train.is_empty(), "give every set its own `train`"),
        ("[loss]", config.loss != LossConfig::default(), "give every set its own `loss`"),
    ];
    if let Some((key, _, remedy)) = of_one_set.iter().find(|(_, given, _)| *given) {
        return Err(format!("`{key}` and `[[sets]]` exclude each other; {remedy}"));
    }
    let mut names = HashSet::new();
    for set in &config.sets {
        let named = |problem: String| format!("set `{}`: {problem}", set.name);
        let usual = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if set.name.is_empty() || !set.name.chars().all(usual) {
            return Err(format!(
                "`sets.name` is `{}`, expected letters, digits, `_` and `-`: losses and scores bear it",
                set.name
            ));
        }
        if !names.insert(&set.name) {
            return Err(format!("two `[[sets]]` have the `name` {}; rename one", set.name));
        }
        if set.train.is_empty() {
            return Err(named("`train` names no file".to_owned()));
        }
        if set.max_train_samples == Some(0) {
            return Err(named(
                "`max_train_samples` is 0, expected at least 1; leave it out to read all".to_owned(),
            ));
        }
        set.loss.check().map_err(named)?;
    }
    Ok(())
}

/// The temperature is given where it is meant, and only there.
fn check_sampler(train: &TrainConfig) -> Result<(), String> {
    let is_meant = train.multi_dataset_batch_sampler == Some(SetSampler::Temperature);
    match train.multi_dataset_temperature {
        None if is_meant => Err(
            "`train.multi_dataset_temperature` is missing, as in 2.0: the sampler \"temperature\" needs it"
                .to_owned(),
        ),
        Some(_) if !is_meant => Err("`train.multi_dataset_temperature` means nothing without \
                                     train.multi_dataset_batch_sampler = \"temperature\""
            .to_owned()),
        Some(value) if !(value.is_finite() && value > 0.0) => {
            Err(format!("`train.multi_dataset_temperature` is {value}, expected a positive number"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::parse::{parse, to_toml};

    const TWO: &str = "[model]\nbase = \"m\"\n[prompts]\nanchor = \"q: \"\n\
        [[sets]]\nname = \"a\"\ntrain = [\"a.jsonl\"]\n\
        [[sets]]\nname = \"b\"\ntrain = [\"b.jsonl\"]\nmax_train_samples = 7\nprompts = {}\n[sets.loss]\nname = \"cosent\"\n";

    fn parsed(text: &str, overrides: &[&str]) -> Result<Config, String> {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        parse(Path::new("x.toml"), text, &overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_set_does_not_say_the_config_says() {
        let set = ["data.max_train_samples=5", "data.columns.anchor=ask", "sets.b.columns={}"];
        let config = parsed(TWO, &set).unwrap();
        let sets = config.sets();
        let asked = sets.iter().map(|set| set.columns.as_ref().unwrap().anchor.as_deref());
        assert_eq!(asked.collect::<Vec<_>>(), [Some("ask"), None]);
        assert_eq!(sets.iter().map(|set| set.max_train_samples).collect::<Vec<_>>(), [Some(5), Some(7)]);
        let anchors = sets.iter().map(|set| set.prompts.as_ref().unwrap().anchor.as_deref());
        assert_eq!(anchors.collect::<Vec<_>>(), [Some("q: "), None]);
        assert_eq!(parsed(&to_toml(&config).unwrap(), &[]).unwrap(), config);
        assert_eq!(config.mixing(), Mixing::Proportional);
    }

    #[test]
    fn a_set_is_reached_by_its_name() {
        let config = parsed(TWO, &["sets.b.loss.scale=30.0"]).unwrap();
        assert_eq!(config.sets[1].loss.scale, Some(30.0));
        let problem = parsed(TWO, &["sets.c.loss.scale=30.0"]).unwrap_err();
        assert!(problem.contains("no set is called `c`; there are a, b"), "{problem}");
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        for (from, to, expected) in [
            ("name = \"b\"", "name = \"a\"", "two `[[sets]]` have the `name` a"),
            ("name = \"b\"", "name = \"b b\"", "`sets.name` is `b b`"),
            ("name = \"b\"", "nam = \"b\"", "line 9: unknown field `nam`"),
            ("name = \"b\"\n", "", "missing field `name`"),
            ("train = [\"b.jsonl\"]", "train = []", "set `b`: `train` names no file"),
            ("max_train_samples = 7", "max_train_samples = 0", "set `b`: `max_train_samples` is 0"),
            (
                "\"cosent\"",
                "\"cosent\"\nsymmetric = true",
                "set `b`: [loss] `symmetric` means nothing to cosent",
            ),
            ("[prompts]", "[data]\ntrain = [\"c\"]\n[prompts]", "`data.train` and `[[sets]]` exclude"),
            ("[prompts]", "[loss]\nscale = 3.0\n[prompts]", "`[loss]` and `[[sets]]` exclude"),
            ("[prompts]", "[mine]\n[prompts]", "`[mine]` and `[[sets]]` exclude each other"),
            ("[prompts]", "[train]\nmulti_dataset_temperature = 2.0\n[prompts]", "means nothing without"),
            (
                "[prompts]",
                "[train]\nmulti_dataset_batch_sampler = \"temperature\"\n[prompts]",
                "`train.multi_dataset_temperature` is missing",
            ),
        ] {
            let problem = parsed(&TWO.replace(from, to), &[]).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let alone = "[model]\nbase = \"m\"\n[data]\ntrain = [\"t\"]\n";
        let problem = parsed(alone, &["train.multi_dataset_batch_sampler=round_robin"]).unwrap_err();
        assert!(problem.contains("without `[[sets]]`"), "{problem}");
    }
}
