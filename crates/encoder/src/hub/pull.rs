//! From an id to a folder in the cache.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::cache::{Place, State, transformer_folder};
use super::client::{Client, configured, json_of};
use super::download::Download;
use super::listing::{Listing, Remote};
use super::wanted::{joined, module_folders, optional, wanted, weights};
use super::{Error, Event, HubId, Listener, Settings};

/// A model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its folder.
    pub folder: PathBuf,
    /// The commit it is.
    pub commit: String,
}

/// The model from the cache; from the hub what the cache lacks of it.
pub fn find(settings: &Settings, id: &HubId, listener: Listener<'_>) -> Result<Pulled, Error> {
    let place = Place::of(settings, id);
    let cached = place.commit().map(|commit| (place.state(&commit), commit));
    let pulled = |commit: String| Pulled { folder: place.snapshot(&commit), commit };
    match cached {
        Some((State::Whole, commit)) => Ok(pulled(commit)),
        Some((State::Loadable, commit)) if settings.offline => Ok(pulled(commit)),
        Some((State::Loadable, commit)) => match pull(settings, id, listener) {
            // It loads, and that nothing is missing can be asked another time.
            Err(error) if error.is_failure() => {
                listener(Event::Note(&format!("{error}; using what is in the cache")));
                Ok(pulled(commit))
            }
            other => other,
        },
        Some((State::Part, _)) | None => pull(settings, id, listener),
    }
}

/// The model as the hub has it now: what the cache lacks of it is downloaded.
pub fn pull(settings: &Settings, id: &HubId, listener: Listener<'_>) -> Result<Pulled, Error> {
    if settings.offline {
        return Err(Error::Offline { id: id.clone(), cached: super::cache::told(settings) });
    }
    let (client, place) = (Client::new(settings, listener)?, Place::of(settings, id));
    let pull = Pull { client: &client, place: &place, id };
    let (commit, files) = pull.list()?;
    let modules = match files.iter().find(|file| file.path == "modules.json") {
        Some(file) => pull.read(&commit, file)?,
        None => Vec::new(),
    };
    let names: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let chosen = wanted(&names, &module_folders(&modules));
    let root = transformer_folder(&modules);
    check(id, &names, &chosen, &root)?;
    let files: Vec<&Remote> = files.iter().filter(|file| chosen.contains(&file.path.as_str())).collect();
    pull.bring(&commit, &files)?;
    for path in optional(&root).iter().filter(|path| !names.contains(path.as_str())) {
        place.mark_absent(&commit, path)?;
    }
    for file in files {
        place.link(&commit, &file.path, file.hash.hex())?;
    }
    place.remember(&commit)?;
    Ok(Pulled { folder: place.snapshot(&commit), commit })
}

struct Pull<'a> {
    client: &'a Client<'a>,
    place: &'a Place,
    id: &'a HubId,
}

impl Pull<'_> {
    /// The commit that the revision is now, and its files.
    fn list(&self) -> Result<(String, Vec<Remote>), Error> {
        let repo = self.client.api.repo(self.place.repo());
        let url = format!("{}/api/{}", self.client.settings.endpoint, self.place.repo().api_url());
        let request = || configured(repo.info_request()).query("blobs", "true").call();
        let listed = self.client.send(&url, request).and_then(|listed| json_of(&url, listed));
        let listing: Listing = listed.map_err(|failure| self.client.explain(failure, self.id, "read"))?;
        let answer = |problem| Error::Answer { url: url.clone(), problem };
        let commit = listing.sha.clone();
        if !super::id::is_commit(&commit) {
            return Err(answer(format!("`{commit}` is no commit")));
        }
        Ok((commit, listing.files().map_err(answer)?))
    }

    /// The bytes of a small file.
    fn read(&self, commit: &str, file: &Remote) -> Result<Vec<u8>, Error> {
        self.download(commit, file).run(&|_| ())?;
        let blob = self.place.blob(file.hash.hex());
        std::fs::read(&blob).map_err(Error::io("read", blob))
    }

    /// Brings all blobs. A snapshot is linked only afterwards, so that one that looks whole is.
    fn bring(&self, commit: &str, files: &[&Remote]) -> Result<(), Error> {
        let total = files.iter().map(|file| file.size).sum();
        let before = Cell::new(0);
        for file in files {
            let moved = |here| (self.client.listener)(Event::Moved { done: before.get() + here, total });
            self.download(commit, file).run(&moved)?;
            before.set(before.get() + file.size);
        }
        Ok(())
    }

    fn download<'a>(&'a self, commit: &str, remote: &'a Remote) -> Download<'a> {
        let repo =
            hf_hub::Repo::with_revision(self.id.name.clone(), hf_hub::RepoType::Model, commit.to_owned());
        let url = self.client.api.repo(repo).url(&encoded(&remote.path));
        Download { client: self.client, id: self.id, place: self.place, remote, url }
    }
}

/// A model must be readable before its weights are worth downloading.
fn check(id: &HubId, all: &BTreeSet<&str>, chosen: &[&str], root: &str) -> Result<(), Error> {
    let unusable = |problem: &str| Err(Error::Unusable { id: id.clone(), problem: problem.to_owned() });
    if !chosen.contains(&joined(root, "config.json").as_str()) {
        return unusable(
            "holds no `config.json`, so it is no model of transformers or sentence-transformers",
        );
    }
    match weights(all, root) {
        Some(_) => Ok(()),
        None => unusable("holds neither `model.safetensors` nor `pytorch_model.bin`"),
    }
}

/// A path as a URL has it.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_encoded_but_for_its_slashes() {
        assert_eq!(encoded("1_Pooling/config.json"), "1_Pooling/config.json");
        assert_eq!(encoded("a b/ü?.json"), "a%20b/%C3%BC%3F.json");
    }
}
