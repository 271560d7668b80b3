//! One file from the hub into the cache: under a lock, resumed where it was cut off, verified before it gets its name.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ureq::Body;
use ureq::http::Response;

use super::cache::{Place, make_parent};
use super::client::{ATTEMPTS, Client, Failure, backoff};
use super::listing::Remote;
use super::{Error, Event, HubId};

/// A file that is to come.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) id: &'a HubId,
    pub(super) place: &'a Place,
    pub(super) remote: &'a Remote,
    pub(super) url: String,
}

impl Download<'_> {
    /// Brings the blob, unless it is there; `moved` hears how many bytes of it are here.
    pub(super) fn run(&self, moved: &dyn Fn(u64)) -> Result<(), Error> {
        let blob = self.place.blob(self.remote.hash.hex());
        if !blob.is_file() {
            let _lock = self.lock()?;
            // Another process may have brought it meanwhile.
            if !blob.is_file() {
                self.bring(&blob, moved)?;
            }
        }
        Ok(())
    }

    /// Waits until no other process brings the same blob.
    fn lock(&self) -> Result<File, Error> {
        let path = self.place.lock(self.remote.hash.hex());
        make_parent(&path)?;
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        if file.try_lock().is_err() {
            let text = format!("another process downloads {}; waiting for it", self.remote.path);
            (self.client.listener)(Event::Note(&text));
            file.lock().map_err(Error::io("lock", &path))?;
        }
        Ok(file)
    }

    fn bring(&self, blob: &Path, moved: &dyn Fn(u64)) -> Result<(), Error> {
        let incomplete = PathBuf::from(format!("{}.incomplete", blob.display()));
        make_parent(blob)?;
        loop {
            let resumed = self.receive(&incomplete, moved)?;
            let found = self.remote.hash.of_file(&incomplete, self.remote.size);
            let found = found.map_err(Error::io("read", &incomplete))?;
            if found == self.remote.hash.hex() {
                return fs::rename(&incomplete, blob).map_err(Error::io("write", blob));
            }
            fs::remove_file(&incomplete).map_err(Error::io("remove", &incomplete))?;
            // What was there may have been another file's; from nothing, it is the hub's fault.
            if !resumed {
                let (file, expected) = (self.remote.path.clone(), self.remote.hash.hex().to_owned());
                return Err(Error::Damaged { file, expected, found });
            }
        }
    }

    /// Goes on until the file has its size; whether something of it was there before.
    fn receive(&self, incomplete: &Path, moved: &dyn Fn(u64)) -> Result<bool, Error> {
        let size = self.remote.size;
        let opened = OpenOptions::new().create(true).read(true).append(true).open(incomplete);
        let mut file = opened.map_err(Error::io("write", incomplete))?;
        let mut done = file.metadata().map_err(Error::io("read", incomplete))?.len();
        let resumed = done > 0;
        let (mut fruitless, mut problem) = (0, String::new());
        while done != size {
            if fruitless == ATTEMPTS {
                let file = self.remote.path.clone();
                return Err(Error::Cut { file, done, total: size, problem });
            }
            if fruitless > 0 {
                self.client.pause(&format!("{}: {problem}", self.remote.path), backoff(fruitless));
            }
            if done > size {
                done = start_over(&mut file).map_err(Error::io("write", incomplete))?;
            }
            let before = done;
            match self.request(done) {
                Ok(response) => {
                    if done > 0 && response.status().as_u16() != 206 {
                        done = start_over(&mut file).map_err(Error::io("write", incomplete))?;
                    }
                    problem = copy(response, &mut file, &mut done, moved)
                        .map_err(Error::io("write", incomplete))?
                        .unwrap_or_else(|| "the connection was closed early".to_owned());
                }
                // Part of the file is no longer what the hub has.
                Err(Failure::Refused(refusal)) if refusal.status == 416 && done > 0 => {
                    done = start_over(&mut file).map_err(Error::io("write", incomplete))?;
                }
                Err(Failure::Transport(failure)) => problem = failure,
                Err(refused) => return Err(self.client.explain(refused, self.id, "read")),
            }
            fruitless = if done > before { 1 } else { fruitless + 1 };
        }
        file.sync_all().map_err(Error::io("write", incomplete))?;
        Ok(resumed)
    }

    fn request(&self, from: u64) -> Result<Response<Body>, Failure> {
        self.client.send(&self.url, || {
            // Bytes are counted as the hub stores them.
            let request = self.client.get(&self.url).header("Accept-Encoding", "identity");
            if from > 0 { request.header("Range", format!("bytes={from}-")).call() } else { request.call() }
        })
    }
}

fn start_over(file: &mut File) -> std::io::Result<u64> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))
}

/// Appends what comes; the outer error is that of the file, the inner one that of the connection.
fn copy(
    response: Response<Body>,
    file: &mut File,
    done: &mut u64,
    moved: &dyn Fn(u64),
) -> std::io::Result<Option<String>> {
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(n) => {
                file.write_all(&buffer[..n])?;
                *done += n as u64;
                moved(*done);
            }
            Err(error) => return Ok(Some(error.to_string())),
        }
    }
}
