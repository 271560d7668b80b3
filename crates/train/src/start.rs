//! A new run's folder, and the way back into an old one.

use std::path::Path;
use std::time::SystemTime;

use temper_encoder::reference::MODEL_FOLDER;
use temper_kernels::DeviceName;
use temper_runs::{Base, DataFile, RunFolder, RunManifest, Which, default_root, parse_reference};

use crate::checkpoint::{self, State};
use crate::config::Config;
use crate::error::Error;
use crate::mining::Negatives;
use crate::parse::{parse, to_toml};
use crate::prepare::{Prepared, prepare};
use crate::run::Job;

/// What may differ from the run that is resumed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// Config keys.
    pub config: bool,
    /// Data files.
    pub data: bool,
}

/// Keys whose change on resume is what the person asked for, not an accident.
const EXTENDS: [&str; 2] = ["train.num_train_epochs", "train.max_steps"];

/// Prepares everything, then makes the run's folder with its config and manifest.
///
/// `path` is the exact folder; without it, one named after the config and the time.
pub fn create(config: Config, path: Option<&Path>, argv: &[String]) -> Result<Job, Error> {
    let prepared = prepare(&config, None)?;
    create_prepared(config, prepared, path, argv)
}

/// The second half of [`create`].
pub(crate) fn create_prepared(
    mut config: Config,
    prepared: Prepared,
    path: Option<&Path>,
    argv: &[String],
) -> Result<Job, Error> {
    pin(&mut config, &prepared);
    let folder = match path {
        Some(path) => RunFolder::create_exact(path)?,
        None => RunFolder::create(&default_root(config.runs.as_deref()), &config.name, SystemTime::now())?,
    };
    let claim = folder.claim()?;
    let state = fresh_state(&config, &prepared)?;
    write_papers(&folder, &config, &prepared, &state, argv)?;
    Ok(Job { config, prepared, folder, state, negatives: None, claim })
}

/// The run's own config names the commit that it began from, whatever the hub's branch becomes.
fn pin(config: &mut Config, prepared: &Prepared) {
    if let (Some(base), Some(commit)) = (&mut config.model.base, &prepared.commit) {
        base.truncate(base.find('@').unwrap_or(base.len()));
        config.model.revision = Some(commit.clone());
    }
}

/// Opens a run to go on from its last checkpoint (or from the start, if it was cut off before one); `RUN@400` goes
/// back to that checkpoint, and later ones are removed.
pub fn resume(run: &Path, overrides: &[String], allowed: Allowed, argv: &[String]) -> Result<Job, Error> {
    let (folder, which) = open(run)?;
    let claim = folder.claim()?;
    folder.recover()?;
    let manifest = RunManifest::read(&folder.manifest_path())?;
    let config_path = folder.config_path();
    let text = std::fs::read_to_string(&config_path)
        .map_err(|source| Error::Read { path: config_path.clone(), source })?;
    let config = parse(&config_path, &text, overrides)?;
    check_config(&text, &config, overrides, &manifest, allowed)?;

    let (model, mut state) = match which.or(folder.index()?.last.map(Which::Step)) {
        Some(which) => {
            let (checkpoint, _) = folder.verify(which)?;
            checkpoint::check_resumable(&checkpoint)?;
            (Some(checkpoint.join(MODEL_FOLDER)), checkpoint::read_state(&checkpoint)?)
        }
        None => (None, State::default()),
    };
    let mut prepared = prepare(&config, model.as_deref())?;
    if let Some(checkpoint) = model.as_deref().and_then(Path::parent) {
        prepared.owned = checkpoint::read_owned(checkpoint, prepared.owned)?;
    }
    let negatives = negatives(model.as_deref(), &config, &prepared, &state)?;
    check_data(&prepared.files, &manifest, allowed)?;
    let base = check_base(&prepared, model.is_none(), &manifest, allowed)?;
    check_length(&config, &prepared, state.step)?;
    prepared.warnings.extend(other_instructions(&manifest));
    let mut index = folder.index()?.cut_back_to(state.step);
    // The best one may have been rotated out since, when an older checkpoint is gone back to.
    state.best = state.best.filter(|(step, _)| index.kept.contains(step));
    index.best = state.best.map(|(step, _)| step);
    folder.write_index(&index)?;
    folder.prune(&index)?;
    state.config_hash = hash(&config)?;
    state.data_hashes = hashes(&prepared);
    state.examples_hash = examples_hash(&config)?;
    let now = RunManifest {
        config_hash: state.config_hash.clone(),
        data: prepared.files.clone(),
        base,
        ..manifest.clone()
    };
    if now != manifest {
        // The manifest first: a kill in between is answered by the same command again, see `check_config`.
        RunManifest { argv: argv.to_vec(), ..now }.write(&folder.manifest_path())?;
    }
    write_config(&folder, &config)?;
    Ok(Job { config, prepared, folder, state, negatives, claim })
}

/// The negatives that the checkpoint was trained with, while they are those of this config and these data.
fn negatives(
    model: Option<&Path>,
    config: &Config,
    prepared: &Prepared,
    state: &State,
) -> Result<Option<Negatives>, Error> {
    let (Some(checkpoint), Some(mine)) = (model.and_then(Path::parent), &config.mine) else {
        return Ok(None);
    };
    let negatives = checkpoint::read_negatives(checkpoint)?;
    let expected = prepared.sets[0].dataset.len() * mine.num_negatives;
    let fits = |n: &Negatives| n.count == mine.num_negatives && n.examples.len() == expected;
    let same_examples =
        state.data_hashes == hashes(prepared) && state.examples_hash == examples_hash(config)?;
    Ok(negatives.filter(|negatives| same_examples && fits(negatives)))
}

/// The run and the checkpoint asked for, if one was.
fn open(run: &Path) -> Result<(RunFolder, Option<Which>), Error> {
    let reference = run.to_str().filter(|_| !run.is_dir()).and_then(parse_reference);
    Ok(match reference {
        Some((path, which)) if path != run => (RunFolder::open(&path)?, Some(which)),
        _ => (RunFolder::open(run)?, None),
    })
}

/// A run cannot end before the step it is at.
fn check_length(config: &Config, prepared: &Prepared, step: u64) -> Result<(), Error> {
    let total = prepared.order(config).total_steps();
    if total >= step {
        return Ok(());
    }
    Err(Error::Plan(format!(
        "the run is at step {step} already, and would end after {total}; give more of train.max_steps or \
         train.num_train_epochs, or go back to an earlier checkpoint with RUN@STEP"
    )))
}

/// A run that begins anew must do so from the same weights.
fn check_base(
    prepared: &Prepared,
    anew: bool,
    manifest: &RunManifest,
    allowed: Allowed,
) -> Result<Base, Error> {
    let base = manifest.base.clone();
    if !anew {
        return Ok(base);
    }
    let fingerprint = prepared.encoder.fingerprint();
    // A fresh encoder's vocabulary comes from the data.
    if fingerprint == base.fingerprint || allowed.config || allowed.data {
        return Ok(Base { fingerprint, ..base });
    }
    Err(Error::Changed { what: "config", detail: format!("base `{}` is another model now", base.reference) })
}

/// Other instructions round otherwise.
pub(crate) fn other_instructions(manifest: &RunManifest) -> Option<String> {
    let now = temper_kernels::instruction_set();
    (now != manifest.instruction_set).then(|| {
        format!(
            "the run was started with the instruction set {}, and this machine has {now}: \
             the numbers will differ in their last digits from here on",
            manifest.instruction_set
        )
    })
}

fn check_config(
    text: &str,
    config: &Config,
    overrides: &[String],
    manifest: &RunManifest,
    allowed: Allowed,
) -> Result<(), Error> {
    if allowed.config {
        return Ok(());
    }
    let hashed = blake3::hash(text.as_bytes()).to_hex().to_string();
    // The second one is a resume with the same `--set` that was killed between its two writes.
    if hashed != manifest.config_hash && hash(config)? != manifest.config_hash {
        return Err(Error::Changed { what: "config", detail: "the run's config.toml was edited".to_owned() });
    }
    let key = |assignment: &String| assignment.split('=').next().unwrap_or_default().trim().to_owned();
    match overrides.iter().map(key).find(|k| !EXTENDS.contains(&k.as_str())) {
        Some(key) => Err(Error::Changed { what: "config", detail: format!("--set {key}") }),
        None => Ok(()),
    }
}

fn check_data(now: &[DataFile], manifest: &RunManifest, allowed: Allowed) -> Result<(), Error> {
    if allowed.data || now == manifest.data.as_slice() {
        return Ok(());
    }
    let differs = now.iter().find(|file| !manifest.data.contains(file));
    let detail = match differs {
        Some(file) => format!("`{}` is not the file that the run started with", file.path),
        None => "fewer files than the run started with".to_owned(),
    };
    Err(Error::Changed { what: "data", detail })
}

fn fresh_state(config: &Config, prepared: &Prepared) -> Result<State, Error> {
    Ok(State {
        config_hash: hash(config)?,
        data_hashes: hashes(prepared),
        examples_hash: examples_hash(config)?,
        ..State::default()
    })
}

fn hashes(prepared: &Prepared) -> Vec<String> {
    prepared.files.iter().map(|f| f.blake3.clone()).collect()
}

fn hash(config: &Config) -> Result<String, Error> {
    Ok(blake3::hash(to_toml(config)?.as_bytes()).to_hex().to_string())
}

/// Another seed holds other examples out, and so may any key of `[data]`.
fn examples_hash(config: &Config) -> Result<String, Error> {
    let data = toml::to_string(&config.data).map_err(|e| Error::Plan(e.to_string()))?;
    Ok(blake3::hash(format!("seed = {}\n{data}", config.seed).as_bytes()).to_hex().to_string())
}

fn write_config(folder: &RunFolder, config: &Config) -> Result<(), Error> {
    temper_runs::write_atomic(&folder.config_path(), to_toml(config)?.as_bytes())?;
    Ok(())
}

fn write_papers(
    folder: &RunFolder,
    config: &Config,
    prepared: &Prepared,
    state: &State,
    argv: &[String],
) -> Result<(), Error> {
    write_config(folder, config)?;
    let manifest = RunManifest {
        temper_version: env!("CARGO_PKG_VERSION").to_owned(),
        created: temper_runs::rfc3339(SystemTime::now()),
        seed: config.seed,
        device: DeviceName::of(&prepared.encoder.device()).to_string(),
        instruction_set: temper_kernels::instruction_set().to_owned(),
        threads: rayon::current_num_threads(),
        base: Base {
            reference: config.model.base.clone().unwrap_or_else(|| "fresh".to_owned()),
            revision: prepared.commit.clone(),
            fingerprint: prepared.encoder.fingerprint(),
        },
        data: prepared.files.clone(),
        config_hash: state.config_hash.clone(),
        argv: argv.to_vec(),
    };
    manifest.write(&folder.manifest_path())?;
    Ok(())
}
