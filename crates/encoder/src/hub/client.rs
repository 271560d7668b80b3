//! Requests to the hub: who asks, back-off, and what a refusal means.

use std::time::Duration;

use hf_hub::api::sync::{Api, ApiBuilder};
use ureq::config::RedirectAuthHeaders;
use ureq::http::Response;
use ureq::typestate::{WithBody, WithoutBody};
use ureq::{Agent, Body, RequestBuilder};

use super::{Error, Event, HubId, Listener, Settings};

/// How often a request is tried that the hub is too busy for, or that brings nothing.
pub(super) const ATTEMPTS: u32 = 6;

/// Who waits longer is told to come back.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection over which nothing comes for so long is lost.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// The hub, and who listens.
pub(super) struct Client<'a> {
    pub(super) settings: &'a Settings,
    pub(super) listener: Listener<'a>,
    /// hf-hub's client for the same hub.
    pub(super) api: Api,
    agent: Agent,
}

/// Why there is no answer to go on with.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection failed.
    Transport(String),
    /// The answer is not what a hub answers.
    Nonsense { url: String, problem: String },
    /// The hub said no.
    Refused(Refusal),
}

/// How the hub said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) url: String,
    pub(super) status: u16,
    /// `X-Error-Code`: `RepoNotFound`, `RevisionNotFound`, `GatedRepo`, ...
    pub(super) code: String,
    pub(super) message: String,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a Settings, listener: Listener<'a>) -> Result<Self, Error> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("temper/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(SILENCE_TIMEOUT));
        let endpoint = settings.endpoint.clone();
        let api = ApiBuilder::from_cache(hf_hub::Cache::new(settings.cache.clone()))
            .with_progress(false)
            .with_endpoint(endpoint.clone())
            .with_token(settings.token.as_ref().map(|token| token.secret.clone()))
            .build()
            .map_err(|error| Error::Answer { url: endpoint, problem: error.to_string() })?;
        Ok(Self { settings, listener, api, agent: config.build().into() })
    }

    /// GET of a URL of the hub.
    pub(super) fn get(&self, url: &str) -> RequestBuilder<WithoutBody> {
        match &self.settings.token {
            Some(token) => self.agent.get(url).header("Authorization", format!("Bearer {}", token.secret)),
            None => self.agent.get(url),
        }
    }

    /// POST to a URL of the hub.
    pub(super) fn post(&self, url: &str) -> RequestBuilder<WithBody> {
        match &self.settings.token {
            Some(token) => self.agent.post(url).header("Authorization", format!("Bearer {}", token.secret)),
            None => self.agent.post(url),
        }
    }

    /// POST or PUT to a URL that carries its own permission, for which the token is nobody's business.
    pub(super) fn signed(&self, put: bool, url: &str) -> RequestBuilder<WithBody> {
        if put { self.agent.put(url) } else { self.agent.post(url) }
    }

    /// Sends until the hub has time for it; `request` makes and sends one.
    pub(super) fn send(
        &self,
        url: &str,
        mut request: impl FnMut() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Failure> {
        for attempt in 1.. {
            let response = request().map_err(|error| Failure::Transport(error.to_string()))?;
            let status = response.status().as_u16();
            if status < 400 {
                return Ok(response);
            }
            let asked = seconds(&response, "retry-after");
            let refusal = Refusal::read(url, response);
            match wait(status, attempt, asked) {
                Some(pause) => self.pause(&format!("{} answered {status}", self.settings.endpoint), pause),
                None => return Err(Failure::Refused(refusal)),
            }
        }
        unreachable!("this is a bug: attempts end")
    }

    /// Waits, and tells why.
    pub(super) fn pause(&self, why: &str, pause: Duration) {
        let text = format!("{why}; trying again in {:.1} s", pause.as_secs_f64());
        (self.listener)(Event::Note(&text));
        std::thread::sleep(pause);
    }

    /// What a failed request that was about `id` means; `may` is what the token must allow.
    pub(super) fn explain(&self, failure: Failure, id: &HubId, may: &str) -> Error {
        match failure {
            Failure::Transport(problem) => Error::Network {
                endpoint: self.settings.endpoint.clone(),
                problem,
                cached: super::cache::told(self.settings),
            },
            Failure::Nonsense { url, problem } => Error::Answer { url, problem },
            Failure::Refused(refusal) => self.refused(refusal, id, may),
        }
    }

    fn refused(&self, refusal: Refusal, id: &HubId, may: &str) -> Error {
        let Settings { endpoint, token, token_file, .. } = self.settings;
        let denied = |problem: String, hint: String| Error::Denied { problem, hint };
        let places = format!("in HF_TOKEN or `{}`", token_file.display());
        match (refusal.status, refusal.code.as_str(), token) {
            (401 | 403, "GatedRepo", None) => denied(
                format!("`{}` is gated: its files need a token of an account that was given access", id.name),
                format!("ask for access at {endpoint}/{}, then put that account's token {places}", id.name),
            ),
            (401 | 403, "GatedRepo", Some(token)) => denied(
                format!("`{}` is gated, and the account of the {token:?} has no access to it", id.name),
                format!(
                    "ask for access at {endpoint}/{}; a fine-grained token must also allow gated models",
                    id.name
                ),
            ),
            (404, "RevisionNotFound", _) => Error::NoRevision(id.clone()),
            (401, _, Some(token)) if refusal.message.contains("Invalid credentials") => denied(
                format!("{endpoint} does not know the {token:?}"),
                format!("make a token that may {may} `{}`, and put it {places}", id.name),
            ),
            // Models that an anonymous person may not see are answered like those that are not.
            (401 | 404, _, _) if may == "read" => Error::NotFound {
                id: id.clone(),
                endpoint: endpoint.clone(),
                token: token.clone(),
                near: self.near(id),
            },
            (401 | 403, _, None) => denied(
                format!("without a token `{}` cannot be {}", id.name, done(may)),
                format!("put a token that may {may} it {places}"),
            ),
            (401 | 403, _, Some(token)) => denied(
                format!("the {token:?} may not {may} `{}`{}", id.name, reason(&refusal.message)),
                format!("give that token the right to {may} it, or put another {places}"),
            ),
            _ => Error::Refused { url: refusal.url, status: refusal.status, message: refusal.message },
        }
    }

    /// Models whose name is like that of `id`; none when even that cannot be asked.
    fn near(&self, id: &HubId) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct Model {
            id: String,
        }
        let url = format!("{}/api/models", self.settings.endpoint);
        let name = id.name.rsplit('/').next().unwrap_or_default();
        // The hub finds substrings only, so a name with a slip in its end is looked for by its beginning.
        let beginning: String = name.chars().take((name.len() * 2).div_ceil(3)).collect();
        let search = |text: &str| -> Option<Vec<Model>> {
            let request = self.get(&url).query("search", text).query("limit", "5");
            request.call().ok()?.body_mut().read_json().ok()
        };
        let found = [name, &beginning].iter().find_map(|text| search(text).filter(|found| !found.is_empty()));
        found.unwrap_or_default().into_iter().map(|model| model.id).filter(|near| *near != id.name).collect()
    }
}

impl Refusal {
    fn read(url: &str, mut response: Response<Body>) -> Self {
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (code, told) = (header("x-error-code").unwrap_or_default(), header("x-error-message"));
        let status = response.status().as_u16();
        let message = told.unwrap_or_else(|| {
            let body = response.body_mut().with_config().limit(1 << 16).read_to_string().unwrap_or_default();
            let json: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            json["error"].as_str().unwrap_or_default().to_owned()
        });
        Self { url: url.to_owned(), status, code, message }
    }
}

/// The same settings for a request of hf-hub's own agent.
pub(super) fn configured(request: RequestBuilder<WithoutBody>) -> RequestBuilder<WithoutBody> {
    request
        .config()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_per_read(Some(SILENCE_TIMEOUT))
        .build()
}

/// The JSON of an answer.
pub(super) fn json_of<T: serde::de::DeserializeOwned>(
    url: &str,
    mut response: Response<Body>,
) -> Result<T, Failure> {
    let read = response.body_mut().with_config().limit(1 << 26).read_json();
    read.map_err(|error| Failure::Nonsense { url: url.to_owned(), problem: error.to_string() })
}

/// How long to wait before the next attempt; none when there should be no other.
fn wait(status: u16, attempt: u32, asked: Option<u64>) -> Option<Duration> {
    let busy = status == 408 || status == 429 || status >= 500;
    let pause = asked.map_or(backoff(attempt), Duration::from_secs);
    (busy && attempt < ATTEMPTS && pause <= LONGEST_WAIT).then_some(pause)
}

/// Half a second, doubled each time.
pub(super) fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(500) * 2_u32.pow(attempt.saturating_sub(1).min(5))
}

fn seconds(response: &Response<Body>, header: &str) -> Option<u64> {
    response.headers().get(header)?.to_str().ok()?.trim().parse().ok()
}

fn reason(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn done(may: &str) -> &str {
    if may == "read" { "read" } else { "written" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_hubs_are_asked_again_later_and_the_others_never() {
        let pauses: Vec<u64> =
            (1..ATTEMPTS).filter_map(|n| wait(503, n, None)).map(|d| d.as_millis() as u64).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000]);
        assert_eq!(wait(429, 1, Some(7)), Some(Duration::from_secs(7)));
        assert_eq!(wait(429, 1, Some(3600)), None);
        assert_eq!(
            (wait(404, 1, None), wait(401, 1, Some(1)), wait(500, ATTEMPTS, None)),
            (None, None, None)
        );
    }
}
