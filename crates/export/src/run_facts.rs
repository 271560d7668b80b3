//! What a run knows about the checkpoint that is exported: base, data, config, scores before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use temper_runs::{Base, DataFile, Event, RunFolder, RunManifest, Stamped, read_events};

use crate::Error;

/// The history of one checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFacts {
    /// The run folder's name.
    pub run: String,
    /// Optimizer steps taken.
    pub step: u64,
    /// Optimizer steps of the whole run.
    pub total_steps: Option<u64>,
    /// The root of every random choice.
    pub seed: u64,
    /// The model it began from.
    pub base: Base,
    /// The files it read.
    pub data: Vec<DataFile>,
    /// The resolved config, as TOML.
    pub config: String,
    /// The score that decided which checkpoint is best.
    pub metric: Option<String>,
    /// Scores before the first step.
    pub before: BTreeMap<String, f64>,
    /// Scores of this checkpoint.
    pub after: BTreeMap<String, f64>,
}

impl RunFacts {
    /// The history of the model in `RUN/checkpoints/step-N/model`; none for a folder that lies elsewhere.
    pub fn of_model(folder: &Path) -> Result<Option<Self>, Error> {
        let Some((run, step)) = place(folder) else { return Ok(None) };
        let Ok(run) = RunFolder::open(run) else { return Ok(None) };
        let manifest = RunManifest::read(&run.manifest_path())?;
        let events = read_events(&run.events_path())?;
        let config = std::fs::read_to_string(run.config_path()).map_err(Error::read(&run.config_path()))?;
        let mut facts = Self {
            run: run.name(),
            step,
            total_steps: None,
            seed: manifest.seed,
            base: manifest.base,
            data: manifest.data,
            config,
            metric: None,
            before: BTreeMap::new(),
            after: BTreeMap::new(),
        };
        facts.learn(events);
        Ok(Some(facts))
    }

    /// Takes steps and scores from the run's events; the last word counts.
    fn learn(&mut self, events: Vec<Stamped>) {
        for stamped in events {
            match stamped.event {
                Event::Started { total_steps, .. } => self.total_steps = Some(total_steps),
                Event::Evaluated { step, scores, metric, .. } => {
                    if step == 0 {
                        self.before.clone_from(&scores);
                    }
                    if step == self.step {
                        self.after = scores;
                    }
                    self.metric = Some(metric);
                }
                Event::Step { .. }
                | Event::Similarities { .. }
                | Event::WorstQueries { .. }
                | Event::Mining { .. }
                | Event::Mined { .. }
                | Event::Saved { .. }
                | Event::Warned { .. }
                | Event::Finished { .. } => {}
            }
        }
    }

    /// The name of the loss in the config: a string, or the one table under `[loss]`; of several sets, those of all.
    pub fn loss(&self) -> Option<String> {
        let config: toml::Table = self.config.parse().ok()?;
        let Some(sets) = config.get("sets").and_then(toml::Value::as_array) else {
            return name_of_loss(config.get("loss")?);
        };
        let losses = sets.iter().filter_map(|set| name_of_loss(set.get("loss")?));
        let distinct: BTreeSet<String> = losses.collect();
        Some(distinct.into_iter().collect::<Vec<_>>().join(", "))
    }
}

fn name_of_loss(loss: &toml::Value) -> Option<String> {
    match loss {
        toml::Value::String(name) => Some(name.clone()),
        toml::Value::Table(table) => match table.get("name") {
            Some(toml::Value::String(name)) => Some(name.clone()),
            _ => table.keys().next().cloned(),
        },
        _ => None,
    }
}

/// The run and the step that a model folder belongs to.
fn place(folder: &Path) -> Option<(&Path, u64)> {
    let checkpoint = folder.parent().filter(|_| folder.ends_with("model"))?;
    let step = checkpoint.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()?;
    let checkpoints = checkpoint.parent().filter(|path| path.ends_with("checkpoints"))?;
    Some((checkpoints.parent()?, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(config: &str) -> RunFacts {
        RunFacts {
            run: "x".into(),
            step: 40,
            total_steps: None,
            seed: 1,
            base: Base { reference: "m".into(), revision: None, fingerprint: "f".into() },
            data: Vec::new(),
            config: config.into(),
            metric: None,
            before: BTreeMap::new(),
            after: BTreeMap::new(),
        }
    }

    #[test]
    fn a_model_folder_knows_its_run() {
        let of = |path| place(Path::new(path)).map(|(run, step)| (run.display().to_string(), step));
        assert_eq!(of("runs/x/checkpoints/step-000400/model"), Some(("runs/x".into(), 400)));
        assert_eq!(of("models/minilm"), None);
        assert_eq!(of("checkpoints/step-000400"), None);
    }

    #[test]
    fn the_scores_of_this_step_and_of_the_baseline_are_taken() {
        let evaluated = |step, score| {
            Stamped::now(Event::Evaluated {
                step,
                epoch: 0.0,
                scores: BTreeMap::from([("m".to_owned(), score)]),
                metric: "m".into(),
                best: false,
                elapsed_seconds: 0.0,
            })
        };
        let mut found = facts("");
        found.learn(vec![evaluated(0, 0.1), evaluated(20, 0.2), evaluated(40, 0.4), evaluated(60, 0.6)]);
        assert_eq!((found.before["m"], found.after["m"]), (0.1, 0.4));
        assert_eq!(found.metric.as_deref(), Some("m"));
    }

    #[test]
    fn the_loss_is_found_however_it_is_written() {
        assert_eq!(facts("loss = \"cosent\"").loss().as_deref(), Some("cosent"));
        assert_eq!(facts("[loss]\nname = \"cosent\"\nscale = 20").loss().as_deref(), Some("cosent"));
        assert_eq!(facts("[loss.cosent]\nscale = 20").loss().as_deref(), Some("cosent"));
        assert_eq!(facts("[optim]\nlr = 1").loss(), None);
    }
}
