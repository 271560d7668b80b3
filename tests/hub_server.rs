//! A server that answers like the hub, on a port of this machine, with faults to order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// May read and write everything but what is gated.
pub const TOKEN: &str = "hf_owner";
/// May read private models, and write nothing.
pub const READER: &str = "hf_reader";

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What goes wrong, once.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Half of the body comes, and the rest so many milliseconds later.
    Halt(u64),
    /// This status, with these headers.
    Status(u16, Vec<(&'static str, &'static str)>),
    /// The whole body, whatever range was asked for.
    NoRange,
    /// A body of the right length and the wrong bytes.
    Corrupt,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A model on the server.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub files: Files,
    pub revisions: BTreeMap<String, Files>,
    pub gated: bool,
    pub private: bool,
}

#[derive(Default)]
pub struct State {
    pub models: BTreeMap<String, Model>,
    /// A part of the path, and what goes wrong there; the first that fits is used up.
    pub faults: Vec<(&'static str, Fault)>,
    pub log: Vec<Request>,
    pub large: BTreeMap<String, Vec<u8>>,
    /// Ask for large files in parts of so many bytes.
    pub part_size: Option<usize>,
}

/// The server, until the test ends.
pub struct HubServer {
    pub url: String,
    state: Arc<Mutex<State>>,
}

/// Status, headers and body.
struct Answer(u16, Vec<(String, String)>, Vec<u8>);

impl HubServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { url, state }
    }

    /// With one public model: the files of this folder.
    pub fn with(id: &str, folder: &str) -> Self {
        let server = Self::start();
        server.state().models.insert(id.to_owned(), Model { files: files(folder), ..Model::default() });
        server
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn order(&self, path: &'static str, fault: Fault) {
        self.state().faults.push((path, fault));
    }

    /// The requests whose path holds `part`, in order.
    pub fn requests(&self, part: &str) -> Vec<Request> {
        self.state().log.iter().filter(|request| request.path.contains(part)).cloned().collect()
    }
}

/// The files of a folder by their paths in it.
pub fn files(folder: &str) -> Files {
    fn walk(root: &Path, folder: &Path, found: &mut Files) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    let mut found = Files::new();
    walk(Path::new(folder), Path::new(folder), &mut found);
    found
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

fn git(bytes: &[u8]) -> String {
    hex(Sha1::digest([format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat()))
}

/// A commit's name: it changes with the files.
pub fn commit_of(files: &Files) -> String {
    hex(Sha1::digest(
        files.iter().fold(Vec::new(), |all, (name, bytes)| [&all, name.as_bytes(), bytes].concat()),
    ))
}

fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".bin")
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let request = receive(&stream)?;
    let (mut answer, fault) = {
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.log.push(request.clone());
        let at = state.faults.iter().position(|(part, _)| request.path.contains(part));
        let fault = at.map(|at| state.faults.remove(at).1);
        let mut answered = request.clone();
        if matches!(fault, Some(Fault::NoRange)) {
            answered.headers.remove("range");
        }
        (respond(&answered, &mut state), fault)
    };
    if let Some(Fault::Status(status, headers)) = &fault {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        answer = Answer(*status, headers, b"{\"error\": \"as ordered\"}".to_vec());
    }
    if matches!(fault, Some(Fault::Corrupt)) {
        answer.2.iter_mut().for_each(|byte| *byte ^= 1);
    }
    let Answer(status, headers, body) = answer;
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    match (fault, request.method.as_str()) {
        (_, "HEAD") => Ok(()),
        (Some(Fault::Cut(length)), _) => stream.write_all(&body[..length.min(body.len())]),
        (Some(Fault::Halt(milliseconds)), _) => {
            let (first, second) = body.split_at(body.len() / 2);
            stream.write_all(first)?;
            std::thread::sleep(Duration::from_millis(milliseconds));
            stream.write_all(second)
        }
        _ => stream.write_all(&body),
    }
}

fn receive(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, headers, body })
}

fn refuse(status: u16, code: &str, message: &str) -> Answer {
    let headers = [("X-Error-Code", code), ("X-Error-Message", message)];
    Answer(status, headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(), Vec::new())
}

fn ok(value: &Value) -> Answer {
    Answer(200, vec![("Content-Type".into(), "application/json".into())], value.to_string().into_bytes())
}

fn respond(request: &Request, state: &mut State) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let token = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
    if token.is_some_and(|token| token != TOKEN && token != READER) {
        return refuse(401, "", "Invalid credentials in Authorization header");
    }
    match (request.method.as_str(), &parts[..]) {
        ("GET", ["api", "models"]) => search(query, state),
        ("GET", ["api", "models", owner, name, "revision", revision]) => {
            let id = format!("{owner}/{name}");
            match visible(&id, token, state).and_then(|model| revision_of(model, revision)) {
                Ok(files) => listing(&id, files),
                Err(refusal) => refusal,
            }
        }
        ("GET" | "HEAD", [owner, name, "resolve", revision, rest @ ..]) => {
            match visible(&format!("{owner}/{name}"), token, state) {
                Ok(model) if model.gated => {
                    refuse(if token.is_some() { 403 } else { 401 }, "GatedRepo", "Access is restricted.")
                }
                Ok(model) => resolve(request, model, revision, &rest.join("/")),
                Err(refusal) => refusal,
            }
        }
        ("GET" | "HEAD", ["cdn", sha]) => {
            assert_eq!(token, None, "the token is not for the CDN");
            let all = state.models.values().flat_map(|m| m.revisions.values().chain([&m.files]));
            let found = all.flat_map(BTreeMap::values).find(|bytes| sha256(bytes) == *sha);
            ranged(request, found.unwrap(), Vec::new())
        }
        ("PUT", ["lfs", sha, ..]) => {
            assert_eq!(token, None, "the token is not for the store");
            state.large.entry((*sha).to_owned()).or_default().extend(&request.body);
            Answer(200, vec![("ETag".into(), format!("\"{}\"", git(&request.body)))], Vec::new())
        }
        ("POST", ["lfs", _, "complete"]) => ok(&json!({})),
        _ => write(request, &parts, token, state),
    }
}

fn search(query: &str, state: &State) -> Answer {
    let wanted = query.split('&').find_map(|pair| pair.strip_prefix("search=")).unwrap_or_default();
    let found = state.models.iter().filter(|(id, model)| id.contains(wanted) && !model.private);
    ok(&json!(found.map(|(id, _)| json!({"id": id})).collect::<Vec<_>>()))
}

fn visible<'a>(id: &str, token: Option<&str>, state: &'a State) -> Result<&'a Model, Answer> {
    let missing = || refuse(if token.is_some() { 404 } else { 401 }, "RepoNotFound", "Repository not found");
    state.models.get(id).filter(|model| !model.private || token.is_some()).ok_or_else(missing)
}

fn revision_of<'a>(model: &'a Model, revision: &str) -> Result<&'a Files, Answer> {
    let commit = |files: &&Files| commit_of(files) == revision;
    let found = if revision == "main" { Some(&model.files) } else { model.revisions.get(revision) };
    found
        .or_else(|| model.revisions.values().chain([&model.files]).find(commit))
        .ok_or_else(|| refuse(404, "RevisionNotFound", "Invalid rev id"))
}

fn listing(id: &str, files: &Files) -> Answer {
    let sibling = |(name, bytes): (&String, &Vec<u8>)| {
        let mut sibling = json!({"rfilename": name, "size": bytes.len(), "blobId": git(bytes)});
        if is_large(name) {
            sibling["lfs"] = json!({"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 130});
        }
        sibling
    };
    let siblings: Vec<Value> = files.iter().map(sibling).collect();
    ok(&json!({"id": id, "sha": commit_of(files), "siblings": siblings}))
}

fn resolve(request: &Request, model: &Model, revision: &str, path: &str) -> Answer {
    let files = match revision_of(model, revision) {
        Ok(files) => files,
        Err(refusal) => return refusal,
    };
    let commit = ("X-Repo-Commit".to_owned(), commit_of(files));
    let Some(bytes) = files.get(path) else {
        return refuse(404, "EntryNotFound", "Entry not found");
    };
    if !is_large(path) {
        return ranged(request, bytes, vec![commit, ("ETag".into(), format!("\"{}\"", git(bytes)))]);
    }
    // Another host, as on the hub: tokens must not go there.
    let port = request.header("host").and_then(|host| host.split(':').nth(1)).unwrap_or_default();
    let headers = vec![
        commit,
        ("X-Linked-ETag".into(), format!("\"{}\"", sha256(bytes))),
        ("X-Linked-Size".into(), bytes.len().to_string()),
        ("Location".into(), format!("http://localhost:{port}/cdn/{}", sha256(bytes))),
    ];
    Answer(302, headers, Vec::new())
}

fn ranged(request: &Request, bytes: &[u8], mut headers: Vec<(String, String)>) -> Answer {
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
    let Some(from) = range.and_then(|range| range.split('-').next()?.parse::<usize>().ok()) else {
        return Answer(200, headers, bytes.to_vec());
    };
    if from >= bytes.len() {
        return Answer(416, headers, Vec::new());
    }
    headers.push(("Content-Range".into(), format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())));
    Answer(206, headers, bytes[from..].to_vec())
}

/// What only a token with the right to write may do.
fn write(request: &Request, parts: &[&str], token: Option<&str>, state: &mut State) -> Answer {
    match token {
        None => return refuse(401, "", "Invalid username or password."),
        Some(READER) => return refuse(403, "", "You need the write role"),
        Some(_) => {}
    }
    let host = request.header("host").unwrap_or_default();
    match (request.method.as_str(), parts) {
        ("GET", ["api", "whoami-v2"]) => ok(&json!({"name": "me", "type": "user"})),
        ("POST", ["api", "repos", "create"]) => {
            let body = request.json();
            let owner = body["organization"].as_str().unwrap_or("me");
            let id = format!("{owner}/{}", body["name"].as_str().unwrap());
            let private = body["private"] == true;
            state.models.insert(id, Model { private, ..Model::default() });
            ok(&json!({}))
        }
        ("POST", ["api", "models", owner, name, "preupload", _]) => {
            if !state.models.contains_key(&format!("{owner}/{name}")) {
                return refuse(404, "RepoNotFound", "Repository not found");
            }
            let mode = |file: &Value| {
                let mode = if is_large(file["path"].as_str().unwrap()) { "lfs" } else { "regular" };
                json!({"path": file["path"], "uploadMode": mode, "shouldIgnore": false})
            };
            let body = request.json();
            ok(&json!({"files": body["files"].as_array().unwrap().iter().map(mode).collect::<Vec<_>>()}))
        }
        ("POST", [_, name, "info", "lfs", "objects", "batch"]) if name.ends_with(".git") => {
            let body = request.json();
            let object = |object: &Value| batched(object, host, state);
            ok(
                &json!({"objects": body["objects"].as_array().unwrap().iter().map(object).collect::<Vec<_>>()}),
            )
        }
        ("POST", ["api", "models", owner, name, "commit", _]) => {
            commit(request, &format!("{owner}/{name}"), state)
        }
        _ => refuse(404, "", "no such path"),
    }
}

fn batched(object: &Value, host: &str, state: &State) -> Value {
    let (oid, size) = (object["oid"].as_str().unwrap(), object["size"].as_u64().unwrap() as usize);
    let mut answer = json!({"oid": oid, "size": size});
    if state.large.contains_key(oid) {
        return answer;
    }
    let href = format!("http://{host}/lfs/{oid}");
    answer["actions"] = match state.part_size {
        None => json!({"upload": {"href": href}}),
        Some(part) => {
            let mut header = json!({"chunk_size": part.to_string()});
            for number in 1..=size.div_ceil(part) {
                header[format!("{number:05}")] = json!(format!("{href}/{number}"));
            }
            json!({"upload": {"href": format!("{href}/complete"), "header": header}})
        }
    };
    answer
}

fn commit(request: &Request, id: &str, state: &mut State) -> Answer {
    let mut files = Files::new();
    for line in request.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_slice(line).unwrap();
        let value = &line["value"];
        let text = |field: &str| value[field].as_str().unwrap().to_owned();
        match line["key"].as_str().unwrap() {
            "file" => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text("content")).unwrap();
                files.insert(text("path"), bytes);
            }
            "lfsFile" => {
                let bytes = state.large.get(&text("oid")).cloned().unwrap();
                assert_eq!(sha256(&bytes), text("oid"));
                files.insert(text("path"), bytes);
            }
            _ => {}
        }
    }
    let model = state.models.get_mut(id).unwrap();
    model.files.extend(files);
    ok(&json!({"success": true, "commitOid": commit_of(&model.files), "commitUrl": "x"}))
}
