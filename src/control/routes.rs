//! Which routes there are, what each answers, and who may use it: the one table that requests are
//! matched against and that `docs/openapi.json` is made of.

use hyper::Method;

use super::problem::{Kind, Problem};

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Status,
    Jails,
    Incidents,
    Events,
    Restart,
    Reload,
    RollBack,
    Undo,
    Pause,
    Resume,
    Check,
    Healthz,
    Readyz,
    Metrics,
    OpenApi,
}

/// What is known of a route.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) route: Route,
    pub(super) method: Method,
    /// With `{name}` in the place of a jail's name.
    pub(super) path: &'static str,
    /// Whether only root and the admins of the settings may use it.
    pub(super) changes: bool,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the document is made in a test")
    )]
    pub(super) what: &'static str,
    /// The statuses beside those of [`ANY`].
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the document is made in a test")
    )]
    pub(super) answers: &'static [u16],
}

/// What any route may answer: it was misunderstood, not permitted, too slow or too large, or the
/// supervisor gives no answer.
#[cfg(test)]
pub(super) const ANY: [u16; 6] = [400, 403, 405, 408, 413, 503];

pub(super) static TABLE: [Row; 15] = [
    row(
        Route::Status,
        Method::GET,
        "/api/status",
        "What is true of the host now",
        &[200],
    ),
    row(
        Route::Jails,
        Method::GET,
        "/api/jails",
        "Every jail that should run, or that something keeps from running",
        &[200],
    ),
    row(
        Route::Incidents,
        Method::GET,
        "/api/incidents",
        "The incident under way, and all that are kept",
        &[200],
    ),
    row(
        Route::Events,
        Method::GET,
        "/api/events",
        "What happens, as server-sent events; Last-Event-ID resumes",
        &[200],
    ),
    row(
        Route::Restart,
        Method::POST,
        "/api/config/restart",
        "Stop fail2ban and start it, or start it where it is down; answers once it protects",
        &[204, 409, 502],
    ),
    row(
        Route::Reload,
        Method::POST,
        "/api/config/reload",
        "Check the config and apply what changed; answers once that is done",
        &[204, 409, 502],
    ),
    row(
        Route::RollBack,
        Method::POST,
        "/api/config/jails/{name}/rollback",
        "Disable a jail, and start fail2ban where it is down",
        &[200, 404, 409, 502],
    ),
    row(
        Route::Undo,
        Method::DELETE,
        "/api/config/jails/{name}/rollback",
        "Remove the rollback of a jail, and have the jail started",
        &[200, 404, 409, 500],
    ),
    row(
        Route::Pause,
        Method::POST,
        "/api/pause",
        "Have jailwarden watch and do nothing",
        &[200, 500],
    ),
    row(
        Route::Resume,
        Method::POST,
        "/api/resume",
        "End a pause",
        &[200, 500],
    ),
    row(
        Route::Check,
        Method::POST,
        "/api/check",
        "What fail2ban would refuse of its config: the document of `jailwarden check --json`",
        &[200, 502, 504],
    ),
    row(
        Route::Healthz,
        Method::GET,
        "/healthz",
        "200 while the supervisor answers",
        &[200],
    ),
    row(
        Route::Readyz,
        Method::GET,
        "/readyz",
        "200 while the host is fully protected",
        &[200],
    ),
    row(
        Route::Metrics,
        Method::GET,
        "/metrics",
        "Counters and gauges, in OpenMetrics text",
        &[200],
    ),
    row(
        Route::OpenApi,
        Method::GET,
        "/openapi.json",
        "This document",
        &[200],
    ),
];

const fn row(
    route: Route,
    method: Method,
    path: &'static str,
    what: &'static str,
    answers: &'static [u16],
) -> Row {
    Row {
        route,
        changes: !matches!(
            route,
            Route::Status
                | Route::Jails
                | Route::Incidents
                | Route::Events
                | Route::Healthz
                | Route::Readyz
                | Route::Metrics
                | Route::OpenApi
        ),
        method,
        path,
        what,
        answers,
    }
}

/// The route for a request, and what stands in the place of `{name}`.
///
/// # Errors
/// There is none.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Result<(&'static Row, &'a str), Problem> {
    // RFC 9110: whatever answers GET answers HEAD, without the body.
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let rows = TABLE.iter();
    let of_path: Vec<_> = rows
        .filter_map(|row| Some((row, name(row.path, path)?)))
        .collect();
    if let Some(found) = of_path.iter().find(|(row, _)| row.method == method) {
        return Ok(*found);
    }
    let methods: Vec<&str> = of_path.iter().map(|(row, _)| row.method.as_str()).collect();
    Err(if methods.is_empty() {
        Problem::new(
            Kind::NoRoute,
            format!("{path} is no route; they are listed by GET /openapi.json"),
        )
    } else {
        let methods = methods.join(", ");
        Problem::new(Kind::NoMethod, format!("{path} takes {methods}"))
    })
}

/// What stands in the place of `{name}`, if the path is of this pattern. It may be anything, so that
/// an illegal name is told from a path that does not exist.
fn name<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.split_once("{name}") {
        Some((before, after)) => path.strip_prefix(before)?.strip_suffix(after),
        None => (pattern == path).then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_route_or_to_a_problem() {
        for row in &TABLE {
            let path = row.path.replace("{name}", "web");
            let (found, name) = find(&row.method, &path).unwrap();
            assert_eq!(found.route, row.route);
            assert_eq!(name.is_empty(), !row.path.contains("{name}"));
        }
        let (row, _) = find(&Method::HEAD, "/readyz").unwrap();
        assert_eq!(row.route, Route::Readyz);
        let odd = find(&Method::POST, "/api/config/jails/../../x/rollback").unwrap();
        assert_eq!((odd.0.route, odd.1), (Route::RollBack, "../../x"));
        let kind = |method, path| find(&method, path).unwrap_err().kind;
        assert_eq!(kind(Method::GET, "/api/pause"), Kind::NoMethod);
        assert_eq!(kind(Method::GET, "/"), Kind::NoRoute);
        assert_eq!(kind(Method::GET, "/api/status/"), Kind::NoRoute);
        let both = find(&Method::GET, "/api/config/jails/web/rollback").unwrap_err();
        assert!(both.detail.ends_with("takes POST, DELETE"), "{both}");
    }
}
