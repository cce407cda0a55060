//! The page to look at, at an address of this host that asks nobody who they are: so there is nothing
//! to change, and no page of another origin gets anything out of it.

mod states;
#[cfg(test)]
mod tests;
mod timeline;
mod view;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode};

use self::view::View;
use super::answer::{self, Answer};
use super::api::{Api, Caller};
use super::problem::{Kind, Problem};

const HTML: &str = "text/html; charset=utf-8";

/// What a browser is told with every answer: to load nothing from elsewhere, to run nothing that stands
/// in the page, and to show none of it to other origins.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Answers whoever is on this host.
pub(super) async fn answer(api: &Arc<Api>, request: Request<Incoming>) -> Result<Answer, Problem> {
    is_meant(request.headers(), request.uri().authority())?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::new(
            Kind::Forbidden,
            format!(
                "at this address everything can be read and nothing changed; changes go through \
                 control.socket, or the command line, such as: {} restart",
                api.called
            ),
        ));
    }
    let asset = |media_type, text| Ok(answer::text(StatusCode::OK, media_type, text));
    match request.uri().path() {
        "/" => Ok(page(api).await),
        "/page.css" => asset("text/css; charset=utf-8", include_str!("page.css")),
        "/page.js" => asset("text/javascript; charset=utf-8", include_str!("page.js")),
        "/page.svg" => asset("image/svg+xml", include_str!("page.svg")),
        _ => api.route(Caller::Anybody, request).await,
    }
}

/// The page, also where the supervisor gives no answer: that is then what it says.
async fn page(api: &Api) -> Answer {
    let view = async {
        let (status, past) = (api.status().await?, api.past().await?);
        Ok(View {
            status,
            past,
            news: api.link.recent(),
            host: host(),
        })
    };
    match view.await {
        Ok(view) => answer::text(StatusCode::OK, HTML, view.page()),
        Err(problem) => answer::text(
            StatusCode::SERVICE_UNAVAILABLE,
            HTML,
            view::no_answer(&host(), api.instance.as_deref(), &problem),
        ),
    }
}

fn host() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

/// Adds [`HEADERS`].
pub(super) fn guarded(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Refuses what is addressed to another host. A page elsewhere whose name is made to lead here (DNS
/// rebinding) is of one origin with this, and could read all of it; its requests name it. The port may be
/// another, as with `ssh -L`.
fn is_meant(headers: &HeaderMap, authority: Option<&Authority>) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => "",
    };
    let is_ours = host.parse().is_ok_and(|host: Authority| is_local(&host));
    if is_ours && authority.is_none_or(is_local) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Forbidden,
        "this address answers to its own name alone: call it by http://localhost, http://127.0.0.1 or \
         http://[::1], and its port",
    ))
}

fn is_local(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
