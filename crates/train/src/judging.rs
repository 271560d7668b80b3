//! What a run is judged on: evaluation files, BEIR folders, or a held-out part of the training examples.

use std::path::{Path, PathBuf};

use temper_data::{ColumnMap, Examples, ExcludedPairs, Kind, ReadOptions, Split, files_of, is_beir};
use temper_eval::{Prompts, ReadTask, Reading, Task};
use temper_runs::{DataFile, Exclusions};

use crate::config::{Config, PromptConfig};
use crate::error::Error;
use crate::losses::Objective;
use crate::prepare::TrainSet;

/// Tasks with the name that goes in front of their scores.
pub type NamedTasks = Vec<(String, Task)>;

/// The tasks of the evaluation files, or one on a seeded part of the examples of each set.
pub(crate) fn tasks(
    config: &Config,
    sets: &mut [TrainSet],
    excluded: &mut ExcludedPairs,
    files: &mut Vec<DataFile>,
    mappings: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<(NamedTasks, usize), Error> {
    if config.data.eval.is_empty() {
        let (tasks, held_out) = hold_out_of_each(config, sets, excluded, warnings)?;
        if tasks.is_empty() {
            warnings.push(
                "nothing is held out, so there is nothing to judge by; name a file in data.eval".to_owned(),
            );
        }
        return Ok((tasks, held_out));
    }
    let mut tasks: NamedTasks = Vec::new();
    for path in &config.data.eval {
        let name = match config.data.eval.len() {
            1 => String::new(),
            _ => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        };
        if tasks.iter().any(|(other, _)| *other == name) {
            return Err(Error::Plan(format!(
                "two entries of data.eval are called `{name}`, and their scores bear that name; rename one"
            )));
        }
        let read = read_task(config, path, excluded)?;
        let says_nothing = read.task.says_nothing().map(|why| {
            format!("`{}` says nothing about a model, since {why}; name another in data.eval", path.display())
        });
        match says_nothing {
            // There is no correlation to compute.
            Some(problem) if matches!(&read.task, Task::Sts { gold, .. } if gold.len() < 2) => {
                return Err(Error::Plan(problem));
            }
            Some(problem) => warnings.push(problem),
            None => {}
        }
        if !read.skipped.is_empty() {
            warnings.push(format!("{} bad rows of `{}` are left out", read.skipped.len(), path.display()));
        }
        mappings.extend(read.mappings);
        if is_beir(path) {
            files.extend(hash_all("eval", path)?);
        } else {
            for file in files_of(std::slice::from_ref(path), &Split::Evaluation)? {
                files.extend(hash_all("eval", &file)?);
            }
        }
        tasks.push((name, read.task));
    }
    Ok((tasks, 0))
}

/// Holds a seeded part of every set out, to be judged by under the set's name.
fn hold_out_of_each(
    config: &Config,
    sets: &mut [TrainSet],
    excluded: &mut ExcludedPairs,
    warnings: &mut Vec<String>,
) -> Result<(NamedTasks, usize), Error> {
    let (mut tasks, mut held_out) = (NamedTasks::new(), 0);
    for set in sets {
        // Nothing is judged by classified pairs, so none are held out.
        let share = if set.dataset.kind == Kind::ClassifiedPairs { 0.0 } else { config.data.held_out };
        let (places, mut held) = set.dataset.to_hold_out(config.seed, share, config.data.held_out_max)?;
        let mut met = excluded.clone();
        met.leave_out(&mut held);
        let Some(task) = Task::from_dataset(&held).filter(|_| !held.is_empty()) else { continue };
        if let Some(why) = task.says_nothing() {
            let held = held.len();
            warnings.push(set.named(format!(
                "what would be held out, {held} of the examples, says nothing about a model, since {why}: it is trained \
                 on; raise data.held_out, or name a file in data.eval"
            )));
            continue;
        }
        set.dataset.take_out(&places);
        *excluded = met;
        held_out += places.len();
        tasks.push((set.config.name.clone(), task));
    }
    Ok((tasks, held_out))
}

/// Reads an evaluation file, a BEIR folder or the folder of a data set. The mapping of the training columns applies where the file has them; else the
/// usual names do, as in a question/answer file judged by an anchor/positive one.
pub fn read_task(config: &Config, path: &Path, excluded: &mut ExcludedPairs) -> Result<ReadTask, Error> {
    let options = ReadOptions {
        columns: ColumnMap { scores: None, ..config.data.columns.clone() },
        on_bad_row: config.data.on_bad_row,
        limit: config.data.max_eval_samples,
        label_range: config.data.label_range.or_else(|| config.loss.build().label_range()),
        labels_are_classes: false,
        split: Split::Evaluation,
    };
    let mut reading = Reading { options, ..Reading::default() };
    match reading.read(path, excluded) {
        Err(temper_eval::Error::Data(temper_data::Error::UnknownColumn { .. })) => {
            reading.options.columns = temper_data::ColumnMap::default();
            Ok(reading.read(path, excluded)?)
        }
        read => Ok(read?),
    }
}

/// One line for each task that asks with texts which are also trained on: its scores would flatter.
pub(crate) fn leaks(sets: &[TrainSet], tasks: &[(String, Task)]) -> Vec<String> {
    let leak = |(name, task): &(String, Task)| {
        let asked = task.asked();
        let trained: Vec<Vec<bool>> = sets.iter().map(|set| set.dataset.which_occur(&asked)).collect();
        let seen = (0..asked.len()).filter(|at| trained.iter().any(|occurs| occurs[*at])).count();
        let of = if name.is_empty() { String::new() } else { format!(" of {name}") };
        (seen > 0).then(|| {
            format!(
                "{seen} of the {} evaluation questions{of} are also training texts, so the scores flatter; \
                 `temper data inspect FILE --eval FILE` counts them",
                asked.len()
            )
        })
    };
    tasks.iter().filter_map(leak).collect()
}

/// The name of the score that decides; the first evaluation finds out whether the tasks give it.
pub(crate) fn metric(config: &Config, tasks: &[(String, Task)]) -> String {
    match (&config.train.metric_for_best_model, tasks.first()) {
        (_, None) => String::new(),
        (Some(named), _) => named.strip_prefix("eval_").unwrap_or(named).to_owned(),
        (None, Some((name, task))) => score_name(name, task.default_metric()),
    }
}

/// Scores of several tasks bear the task's name.
pub(crate) fn score_name(task: &str, score: &str) -> String {
    if task.is_empty() { score.to_owned() } else { format!("{task}_{score}") }
}

/// The prompts of both sides of every task: the config's, else none, exactly as in training.
pub fn prompts(config: &Config) -> Prompts {
    of_sides(&config.prompts)
}

/// The prompts of one task: what was held out of a set is judged as the set is trained.
pub(crate) fn prompts_of(config: &Config, task: &str) -> Prompts {
    let of_set = config.sets.iter().find(|set| config.data.eval.is_empty() && set.name == task);
    of_sides(of_set.map_or(&config.prompts, |set| config.prompts_of(set)))
}

fn of_sides(prompts: &PromptConfig) -> Prompts {
    Prompts { first: prompts.anchor.clone(), second: prompts.positive.clone() }
}

/// Which column became which role, one line a file.
pub(crate) fn mappings(dataset: &Examples) -> Vec<String> {
    dataset.files.iter().map(|f| format!("{}: {}", f.path.display(), f.mapping)).collect()
}

/// The pairs of exclusion files, such as a run's `exclusions.jsonl`.
pub fn excluded_pairs(paths: &[PathBuf]) -> Result<ExcludedPairs, Error> {
    let mut pairs = Vec::new();
    for path in paths {
        // One that is absent would exclude nothing, which is right for a run's own file only.
        std::fs::metadata(path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let exclusions = Exclusions::open(path)?;
        pairs.extend(exclusions.pairs().iter().map(|pair| (pair.query.clone(), pair.positive.clone())));
    }
    Ok(pairs.into_iter().collect())
}

/// Hashes a file, or the files of a BEIR folder or a model's.
pub(crate) fn hash_all(role: &str, path: &Path) -> Result<Vec<DataFile>, Error> {
    let read_error = |p: &Path| {
        let path = p.to_owned();
        move |source| Error::Read { path, source }
    };
    let mut files: Vec<PathBuf> = if path.is_dir() {
        let inside = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
        inside(path.to_owned()).chain(inside(path.join("qrels"))).filter(|p| p.is_file()).collect()
    } else {
        vec![path.to_owned()]
    };
    files.sort();
    files
        .iter()
        .map(|file| {
            let bytes = std::fs::read(file).map_err(read_error(file))?;
            Ok(DataFile {
                role: role.to_owned(),
                path: file.display().to_string(),
                size: bytes.len() as u64,
                blake3: blake3::hash(&bytes).to_hex().to_string(),
            })
        })
        .collect()
}
