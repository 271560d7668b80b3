//! A model folder onto the hub, in one commit.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Body;
use ureq::http::Response;

use super::client::{Client, Failure, json_of};
use super::listing::sha256_of;
use super::wanted::{module_folders, wanted};
use super::{Error, Event, HubId, Listener, Settings};

/// What the hub looks at to decide how a file is stored.
const SAMPLE_BYTES: u64 = 512;

const LFS_JSON: &str = "application/vnd.git-lfs+json";

/// A model that is on the hub now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Where people find it.
    pub url: String,
    /// The commit.
    pub commit: String,
    /// Whether the repository was made for it.
    pub created: bool,
}

/// Uploads the model in `folder` to the branch that `id` names; a repository that is not there is made, `private` or
/// for everybody.
pub fn push(
    settings: &Settings,
    folder: &Path,
    id: &HubId,
    private: bool,
    listener: Listener<'_>,
) -> Result<Pushed, Error> {
    check_access(settings, id)?;
    let client = Client::new(settings, listener)?;
    let push = Push { client: &client, id };
    let files = files(folder)?;
    let (modes, created) = match push.modes(&files) {
        Err(Failure::Refused(refusal)) if refusal.status == 404 && refusal.code != "RevisionNotFound" => {
            push.create(private)?;
            (push.modes(&files).map_err(|failure| push.explain(failure))?, true)
        }
        other => (other.map_err(|failure| push.explain(failure))?, false),
    };
    let large = push.upload(&files, &modes)?;
    let (url, commit) = push.commit(&files, &large)?;
    Ok(Pushed { url, commit, created })
}

/// Says at once what the hub would say after a while: that a token is missing, or that the network is not to be used.
pub fn check_access(settings: &Settings, id: &HubId) -> Result<(), Error> {
    let Settings { endpoint, token, token_file, offline, .. } = settings;
    if *offline {
        return Err(Error::Denied {
            problem: format!("`{id}` cannot be pushed: HF_HUB_OFFLINE forbids the network"),
            hint: "unset HF_HUB_OFFLINE".to_owned(),
        });
    }
    if token.is_none() {
        return Err(Error::Denied {
            problem: format!("pushing `{id}` to {endpoint} needs a token that may write it"),
            hint: format!("put one in HF_TOKEN or `{}`", token_file.display()),
        });
    }
    Ok(())
}

/// A file to push.
struct Local {
    name: String,
    path: PathBuf,
    size: u64,
}

/// A large file by its SHA-256.
struct Large<'a> {
    file: &'a Local,
    sha256: String,
}

/// The answer to a batch of large files.
#[derive(Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: BTreeMap<String, Action>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, Value>,
}

/// The files of the model in `folder`, its card among them.
fn files(folder: &Path) -> Result<Vec<Local>, Error> {
    let modules = fs::read(folder.join("modules.json")).unwrap_or_default();
    let folders = module_folders(&modules);
    let mut names = BTreeSet::new();
    for inner in &folders {
        // A module without settings needs no folder.
        let Ok(entries) = folder.join(inner).read_dir() else { continue };
        for entry in entries {
            let name = entry.map_err(Error::io("read", folder.join(inner)))?.file_name();
            names.extend(name.to_str().map(|name| super::wanted::joined(inner, name)));
        }
    }
    let all = names.iter().map(String::as_str).collect();
    let local = |name: &str| {
        let path = folder.join(name);
        let size = fs::metadata(&path).map_err(Error::io("read", &path))?.len();
        Ok(Local { name: name.to_owned(), path, size })
    };
    wanted(&all, &folders).into_iter().map(local).collect()
}

struct Push<'a> {
    client: &'a Client<'a>,
    id: &'a HubId,
}

impl Push<'_> {
    /// How the hub stores each file: the names of those it takes as large ones.
    fn modes(&self, files: &[Local]) -> Result<BTreeSet<String>, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            files: Vec<Mode>,
        }
        #[derive(Deserialize)]
        struct Mode {
            path: String,
            #[serde(rename = "uploadMode")]
            mode: String,
        }
        let described: Vec<Value> = files
            .iter()
            .map(|file| json!({"path": file.name, "size": file.size, "sample": sample(&file.path)}))
            .collect();
        let url = self.api("preupload");
        let body = json!({ "files": described });
        let answer: Answer =
            json_of(&url, self.client.send(&url, || self.client.post(&url).send_json(&body))?)?;
        Ok(answer.files.into_iter().filter(|file| file.mode == "lfs").map(|file| file.path).collect())
    }

    fn create(&self, private: bool) -> Result<(), Error> {
        let (owner, name) = self.id.name.split_once('/').unwrap_or_default();
        let me = self.me()?;
        let mut body = json!({"name": name, "type": "model", "private": private});
        if me != owner {
            body["organization"] = json!(owner);
        }
        let url = format!("{}/api/repos/create", self.client.settings.endpoint);
        match self.client.send(&url, || self.client.post(&url).send_json(&body)) {
            // Made by somebody else just now.
            Err(Failure::Refused(refusal)) if refusal.status == 409 => Ok(()),
            Err(failure) => Err(self.explain(failure)),
            Ok(_) => Ok(()),
        }
    }

    /// The name of the token's account.
    fn me(&self) -> Result<String, Error> {
        let url = format!("{}/api/whoami-v2", self.client.settings.endpoint);
        let answer = self.client.send(&url, || self.client.get(&url).call());
        let account: Value =
            answer.and_then(|answer| json_of(&url, answer)).map_err(|failure| self.explain(failure))?;
        Ok(account["name"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends the large files that the hub does not have yet.
    fn upload<'a>(&self, files: &'a [Local], large: &BTreeSet<String>) -> Result<Vec<Large<'a>>, Error> {
        let hashed = |file: &'a Local| {
            let sha256 = sha256_of(&file.path).map_err(Error::io("read", &file.path))?;
            Ok(Large { file, sha256 })
        };
        let large: Vec<Large<'a>> = files
            .iter()
            .filter(|file| large.contains(&file.name))
            .map(hashed)
            .collect::<Result<_, Error>>()?;
        if large.is_empty() {
            return Ok(large);
        }
        let objects: Vec<Value> =
            large.iter().map(|file| json!({"oid": file.sha256, "size": file.file.size})).collect();
        let body = json!({
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "objects": objects,
            "hash_algo": "sha256",
            "ref": {"name": self.id.revision()},
        });
        let url = format!("{}/{}.git/info/lfs/objects/batch", self.client.settings.endpoint, self.id.name);
        let sent = self.client.send(&url, || self.post_lfs(&url, &body));
        let batch: Batch =
            sent.and_then(|sent| json_of(&url, sent)).map_err(|failure| self.explain(failure))?;
        let sizes = Progress::new(self.client.listener, large.iter().map(|file| file.file.size).sum());
        for file in &large {
            let object = batch.objects.iter().find(|object| object.oid == file.sha256);
            let object = object.filter(|object| object.error.is_none()).ok_or_else(|| Error::Answer {
                url: url.clone(),
                problem: format!("{} is not taken{}", file.file.name, refused(object)),
            })?;
            // Without an action the hub has these bytes already.
            if let Some(action) = object.actions.get("upload") {
                self.send(file, action, &sizes)?;
            }
            if let Some(verify) = object.actions.get("verify") {
                let body = json!({"oid": file.sha256, "size": file.file.size});
                let sent = self.client.send(&verify.href, || self.post_lfs(&verify.href, &body));
                sent.map_err(|failure| self.explain(failure))?;
            }
        }
        Ok(large)
    }

    /// Sends one file, in the parts that the hub asks for.
    fn send(&self, large: &Large<'_>, action: &Action, progress: &Progress<'_>) -> Result<(), Error> {
        let (file, number) =
            (large.file, |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        let Some(part_size) = action.header.get("chunk_size").and_then(number) else {
            return self.put(&action.href, file, 0..file.size, progress).map(drop);
        };
        let numbered = |(name, url): (&String, &Value)| Some((name.parse().ok()?, url.as_str()?.to_owned()));
        let parts: BTreeMap<u64, String> = action.header.iter().filter_map(numbered).collect();
        if part_size == 0 || parts.len() as u64 != file.size.div_ceil(part_size) {
            let problem =
                format!("{} parts of {part_size} bytes for {} of {}", parts.len(), file.size, file.name);
            return Err(Error::Answer { url: action.href.clone(), problem });
        }
        let mut done = Vec::new();
        for (index, (number, url)) in parts.iter().enumerate() {
            let start = index as u64 * part_size;
            let response = self.put(url, file, start..file.size.min(start + part_size), progress)?;
            let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok()).unwrap_or_default();
            done.push(json!({"partNumber": number, "etag": etag}));
        }
        let body = json!({"oid": large.sha256, "parts": done});
        let request = || {
            self.client
                .signed(false, &action.href)
                .header("Accept", LFS_JSON)
                .content_type(LFS_JSON)
                .send(body.to_string())
        };
        self.client.send(&action.href, request).map(drop).map_err(|failure| self.explain(failure))
    }

    fn put(
        &self,
        url: &str,
        file: &Local,
        bytes: std::ops::Range<u64>,
        progress: &Progress<'_>,
    ) -> Result<Response<Body>, Error> {
        let mut opened = File::open(&file.path).map_err(Error::io("read", &file.path))?;
        let (length, before) = (bytes.end - bytes.start, progress.done.get());
        let sent = self.client.send(url, || {
            opened.seek(SeekFrom::Start(bytes.start))?;
            progress.done.set(before);
            let mut part = Counted { inner: (&opened).take(length), progress };
            let request = self.client.signed(true, url).header("Content-Length", length.to_string());
            request.send(ureq::SendBody::from_reader(&mut part))
        });
        sent.map_err(|failure| self.explain(failure))
    }

    /// One commit of everything: small files in it, large ones by their hash.
    fn commit(&self, files: &[Local], large: &[Large<'_>]) -> Result<(String, String), Error> {
        let mut lines = vec![json!({
            "key": "header",
            "value": {"summary": "Upload model with temper", "description": ""},
        })];
        for file in files {
            let stored = large.iter().find(|large| large.file.name == file.name);
            lines.push(if let Some(Large { sha256, .. }) = stored {
                json!({
                    "key": "lfsFile",
                    "value": {"path": file.name, "algo": "sha256", "oid": sha256, "size": file.size},
                })
            } else {
                let content = fs::read(&file.path).map_err(Error::io("read", &file.path))?;
                let content = STANDARD.encode(content);
                json!({"key": "file", "value": {"content": content, "path": file.name, "encoding": "base64"}})
            });
        }
        let body = lines.iter().fold(String::new(), |body, line| body + &line.to_string() + "\n");
        let url = self.api("commit");
        let request = || self.client.post(&url).content_type("application/x-ndjson").send(&body);
        let sent = self.client.send(&url, request).and_then(|sent| json_of(&url, sent));
        let answer: Value = sent.map_err(|failure| self.explain(failure))?;
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        Ok((format!("{}/{}", self.client.settings.endpoint, self.id.name), text("commitOid")))
    }

    fn api(&self, call: &str) -> String {
        let revision = self.id.revision().replace('/', "%2F");
        format!("{}/api/models/{}/{call}/{revision}", self.client.settings.endpoint, self.id.name)
    }

    fn post_lfs(&self, url: &str, body: &Value) -> Result<Response<Body>, ureq::Error> {
        self.client.post(url).header("Accept", LFS_JSON).content_type(LFS_JSON).send(body.to_string())
    }

    fn explain(&self, failure: Failure) -> Error {
        self.client.explain(failure, self.id, "write")
    }
}

/// How much of all large files is sent.
struct Progress<'a> {
    listener: Listener<'a>,
    done: Cell<u64>,
    total: u64,
}

impl<'a> Progress<'a> {
    fn new(listener: Listener<'a>, total: u64) -> Self {
        Self { listener, done: Cell::new(0), total }
    }
}

/// A reader that tells how much was read of it.
struct Counted<'a, R> {
    inner: R,
    progress: &'a Progress<'a>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let done = self.progress.done.get() + count as u64;
        self.progress.done.set(done);
        (self.progress.listener)(Event::Moved { done, total: self.progress.total });
        Ok(count)
    }
}

fn sample(path: &Path) -> String {
    let mut sample = Vec::new();
    // A file that cannot be read is told of when it is sent.
    let _ = File::open(path).and_then(|file| file.take(SAMPLE_BYTES).read_to_end(&mut sample));
    STANDARD.encode(sample)
}

fn refused(object: Option<&Object>) -> String {
    let error = object.and_then(|object| object.error.as_ref()).and_then(|error| error["message"].as_str());
    error.map(|message| format!(": {message}")).unwrap_or_default()
}
