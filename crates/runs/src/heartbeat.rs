//! Whether a run is alive: on this machine its lock tells, on others that share the disk a file rewritten now and then.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Error, RunFolder};

/// Between two signs of life.
const EVERY: Duration = Duration::from_secs(10);

/// A sign of life older than this is none. Clocks may differ a little, so one from the near future counts too.
const FRESH_SECONDS: f64 = 60.0;

/// The content of `heartbeat.json`: who trains, and when it last said so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// The process.
    pub pid: u32,
    /// The machine's name, for people.
    pub host: String,
    /// What tells this machine from others of the same name.
    pub machine: String,
    /// Unix seconds.
    pub time: f64,
}

/// A run that this process may write to: holds its lock, and rewrites `heartbeat.json` from a thread of its own. Dropped,
/// it takes the file away.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
    path: PathBuf,
    beating: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.beating.take() {
            drop(stop);
            // It only waits and writes; a panic there would have nothing to tell.
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

impl RunFolder {
    /// Locks the run and begins to give signs of life, until the claim is dropped or the process ends.
    pub fn claim(&self) -> Result<Claim, Error> {
        let lock = self.lock()?;
        let (stop, stopped) = mpsc::channel();
        let path = self.heartbeat_path();
        let beat_at = path.clone();
        let beats = move || {
            loop {
                // A beat that cannot be written must not stop the run; on this machine the lock speaks for it.
                let _ = beat(&beat_at);
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("heartbeat".to_owned()).spawn(beats).ok();
        Ok(Claim { _lock: lock, path, beating: thread.map(|thread| (stop, thread)) })
    }

    /// Whether a process trains in this run right now.
    ///
    /// A copy of a live run is not alive: on this machine its own lock tells, elsewhere it takes a minute at most.
    pub fn is_alive(&self) -> bool {
        self.is_locked() || self.is_alive_elsewhere()
    }

    /// The same for whoever holds the lock.
    pub(crate) fn is_alive_elsewhere(&self) -> bool {
        self.pulse().is_some_and(|pulse| is_fresh_elsewhere(&pulse, &machine(), unix_seconds()))
    }

    /// The last sign of life, old or new; none where a run ended by itself.
    pub fn pulse(&self) -> Option<Pulse> {
        serde_json::from_slice(&fs::read(self.heartbeat_path()).ok()?).ok()
    }

    fn is_locked(&self) -> bool {
        File::open(self.lock_path())
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// Here the lock tells, and sooner.
fn is_fresh_elsewhere(pulse: &Pulse, here: &str, now: f64) -> bool {
    pulse.machine != here && (now - pulse.time).abs() < FRESH_SECONDS
}

/// Renamed into place for whoever reads meanwhile, but not synced: training must not wait for the disk.
fn beat(path: &Path) -> std::io::Result<()> {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let pulse = Pulse { pid: std::process::id(), host, machine: machine(), time: unix_seconds() };
    let temporary = path.with_file_name(".heartbeat.json.tmp");
    fs::write(&temporary, serde_json::to_vec(&pulse)?)?;
    fs::rename(temporary, path)
}

/// The running system's own mark where there is one: locks reach as far as it does, and containers share both.
fn machine() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(boot) => boot.trim().to_owned(),
        Err(_) => gethostname::gethostname().to_string_lossy().into_owned(),
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fresh_sign_of_life_counts_from_another_machine() {
        for (machine, time, alive) in [
            ("here", 999.0, false),
            ("there", 950.0, true),
            ("there", 1020.0, true),
            ("there", 930.0, false),
            ("there", 1070.0, false),
        ] {
            let pulse = Pulse { pid: 1, host: "h".into(), machine: machine.into(), time };
            assert_eq!(is_fresh_elsewhere(&pulse, "here", 1000.0), alive, "{pulse:?}");
        }
    }

    #[test]
    fn a_run_is_alive_while_it_is_locked_and_its_copy_is_not() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create_exact(&root.path().join("x")).unwrap();
        assert!(!run.is_alive());
        let claim = run.claim().unwrap();
        while run.pulse().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(run.is_alive());
        assert_eq!(run.pulse().unwrap().pid, std::process::id());
        let copy = RunFolder::create_exact(&root.path().join("y")).unwrap();
        for file in [".lock", "heartbeat.json"] {
            fs::copy(run.path().join(file), copy.path().join(file)).unwrap();
        }
        assert!(!copy.is_alive());
        let pulse = Pulse { machine: "another".into(), ..run.pulse().unwrap() };
        fs::write(copy.heartbeat_path(), serde_json::to_vec(&pulse).unwrap()).unwrap();
        assert!(copy.is_alive(), "as on a disk that another machine shares");
        drop(claim);
        assert!(!run.is_alive());
        assert_eq!(run.pulse(), None);
    }

    #[test]
    fn looking_does_not_keep_a_run_from_being_claimed() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create_exact(&root.path().join("x")).unwrap();
        drop(run.lock().unwrap());
        let look = File::open(run.lock_path()).unwrap();
        look.try_lock_shared().unwrap();
        let looking = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            drop(look);
        });
        run.lock().unwrap();
        looking.join().unwrap();
    }
}
