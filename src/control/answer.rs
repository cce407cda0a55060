//! What an answer looks like as HTTP.

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::problem::{MEDIA_TYPE, Problem};
use super::sse::Stream;
use crate::text::safe_json;

/// An answer to a request.
pub(super) type Answer = Response<Either<Full<Bytes>, Stream>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// 200 with JSON.
pub(super) fn json(value: &impl Serialize) -> Answer {
    with(StatusCode::OK, JSON, document(value))
}

/// 200 with JSON that is text already.
pub(super) fn json_text(text: impl Into<Bytes>) -> Answer {
    with(StatusCode::OK, JSON, text.into())
}

/// What `OpenMetrics` text is (its specification, 1.0.0).
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A document of that media type, which is no JSON.
pub(super) fn text(status: StatusCode, media_type: &'static str, text: impl Into<Bytes>) -> Answer {
    with(status, HeaderValue::from_static(media_type), text.into())
}

/// 200 with metrics.
pub(super) fn metrics(text: String) -> Answer {
    self::text(StatusCode::OK, OPEN_METRICS, text)
}

/// 204.
pub(super) fn done() -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// The problem's status, and its document.
pub(super) fn problem(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.status);
    with(
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        HeaderValue::from_static(MEDIA_TYPE),
        document(problem),
    )
}

/// 200 with events, for as long as the client listens.
pub(super) fn events(stream: Stream) -> Answer {
    let mut answer = Response::new(Either::Right(stream));
    let headers = answer.headers_mut();
    let media_type = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The whole of a problem's answer as it goes over the wire, where no request was read.
pub(super) fn in_full(problem: &Problem) -> Vec<u8> {
    let body = document(problem);
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        problem.status,
        StatusCode::from_u16(problem.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default(),
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

fn with(status: StatusCode, media_type: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What others wrote into it is safe to print.
fn document(value: &impl Serialize) -> Bytes {
    let value = serde_json::to_value(value).unwrap_or_default();
    safe_json(&value).into()
}
