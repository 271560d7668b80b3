//! A new run's folder, and the way back into an old one.

use std::path::Path;
use std::time::SystemTime;

use temper_encoder::reference::MODEL_FOLDER;
use temper_runs::{Base, DataFile, RunFolder, RunManifest, Which, default_root};

use crate::checkpoint::{self, State};
use crate::config::Config;
use crate::error::Error;
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
    let folder = match path {
        Some(path) => RunFolder::create_exact(path)?,
        None => RunFolder::create(&default_root(config.runs.as_deref()), &config.name, SystemTime::now())?,
    };
    let lock = folder.lock()?;
    let state = fresh_state(&config, &prepared)?;
    write_papers(&folder, &config, &prepared, &state, argv)?;
    Ok(Job { config, prepared, folder, state, lock })
}

/// Opens the run at `path` to go on from its last checkpoint (or from the start, if it was cut off before one).
pub fn resume(path: &Path, overrides: &[String], allowed: Allowed, argv: &[String]) -> Result<Job, Error> {
    let folder = RunFolder::open(path)?;
    let lock = folder.lock()?;
    folder.recover()?;
    let manifest = RunManifest::read(&folder.manifest_path())?;
    let config_path = folder.config_path();
    let text = std::fs::read_to_string(&config_path)
        .map_err(|source| Error::Read { path: config_path.clone(), source })?;
    check_config(&text, overrides, &manifest, allowed)?;
    let config = parse(&config_path, &text, overrides)?;

    let (model, state) = match folder.index()?.last {
        Some(step) => {
            let (checkpoint, _) = folder.verify(Which::Step(step))?;
            (Some(checkpoint.join(MODEL_FOLDER)), checkpoint::read_state(&checkpoint)?)
        }
        None => (None, State::default()),
    };
    let prepared = prepare(&config, model.as_deref())?;
    check_data(&prepared.files, &manifest, allowed)?;
    if model.is_none() && prepared.encoder.fingerprint() != manifest.base.fingerprint {
        return Err(Error::Changed {
            what: "config",
            detail: format!("base `{}` is another model now", manifest.base.reference),
        });
    }
    let mut index = folder.index()?.cut_back_to(state.step);
    index.best = state.best.map(|(step, _)| step).filter(|step| index.kept.contains(step));
    folder.write_index(&index)?;
    let state = State { config_hash: hash(&config)?, ..state };
    if !overrides.is_empty() {
        let reference = manifest.base.clone();
        write_config(&folder, &config)?;
        RunManifest {
            config_hash: state.config_hash.clone(),
            argv: argv.to_vec(),
            base: reference,
            ..manifest
        }
        .write(&folder.manifest_path())?;
    }
    Ok(Job { config, prepared, folder, state, lock })
}

fn check_config(
    text: &str,
    overrides: &[String],
    manifest: &RunManifest,
    allowed: Allowed,
) -> Result<(), Error> {
    if allowed.config {
        return Ok(());
    }
    let hashed = blake3::hash(text.as_bytes()).to_hex().to_string();
    if hashed != manifest.config_hash {
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
        data_hashes: prepared.files.iter().map(|f| f.blake3.clone()).collect(),
        ..State::default()
    })
}

fn hash(config: &Config) -> Result<String, Error> {
    Ok(blake3::hash(to_toml(config)?.as_bytes()).to_hex().to_string())
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
        device: config.device.clone(),
        instruction_set: temper_kernels::instruction_set().to_owned(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        base: Base {
            reference: config.model.base.clone().unwrap_or_else(|| "fresh".to_owned()),
            fingerprint: prepared.encoder.fingerprint(),
        },
        data: prepared.files.clone(),
        config_hash: state.config_hash.clone(),
        argv: argv.to_vec(),
    };
    manifest.write(&folder.manifest_path())?;
    Ok(())
}
