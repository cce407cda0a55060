//! The API as a program reads it. It is made of the code's own types in a test, which holds the file
//! to them (`JAILWARDEN_WRITE_DOCS=1` writes it), so that it costs nothing at run time.

/// An `OpenAPI` 3.1 document.
pub(super) const DOCUMENT: &str = include_str!("../../docs/openapi.json");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use schemars::generate::{SchemaGenerator, SchemaSettings};
    use serde_json::{Map, Value, json};

    use super::super::answer::OPEN_METRICS;
    use super::super::problem::{MEDIA_TYPE, Problem};
    use super::super::routes::{ANY, Route, Row, TABLE};
    use super::super::wire::{
        CheckRequest, Health, Incidents, Jails, PauseRequest, Resumed, RollbackAnswer,
    };
    use super::*;
    use crate::status::{Happening, Pause, Status};

    fn document() -> Value {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let mut schemas = settings.into_generator();
        // An event's data is of this type.
        schemas.subschema_for::<Happening>();
        let problem = content(MEDIA_TYPE, schemas.subschema_for::<Problem>());
        let mut paths = Map::new();
        for row in &TABLE {
            let operations = paths.entry(row.path).or_insert_with(|| json!({}));
            operations[row.method.as_str().to_lowercase()] = operation(row, &mut schemas);
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "jailwarden",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "The control API of jailwarden, over a Unix socket. Whoever may \
                    connect may read; only root and the users in control.admins may change.",
                "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            },
            "servers": [{ "url": "http://localhost", "description": "/run/jailwarden/control.sock" }],
            "paths": paths,
            "components": {
                "responses": { "Problem": { "description": "A problem", "content": problem } },
                "schemas": schemas.take_definitions(true),
            },
        })
    }

    fn operation(row: &Row, schemas: &mut SchemaGenerator) -> Value {
        let mut operation = json!({
            "operationId": format!("{:?}", row.route),
            "summary": row.what,
            "responses": responses(row, schemas),
        });
        if row.changes {
            operation["description"] = json!("For root and the users in control.admins.");
        }
        if row.path.contains("{name}") {
            operation["parameters"] = json!([{
                "name": "name", "in": "path", "required": true, "description": "The jail",
                "schema": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$" },
            }]);
        }
        let request = match row.route {
            Route::Pause => Some(schemas.subschema_for::<PauseRequest>()),
            Route::Check => Some(schemas.subschema_for::<CheckRequest>()),
            _ => None,
        };
        if let Some(schema) = request {
            operation["requestBody"] = json!({ "content": content("application/json", schema) });
        }
        operation
    }

    fn responses(row: &Row, schemas: &mut SchemaGenerator) -> Value {
        let mut responses = Map::new();
        for status in row.answers.iter().chain(&ANY) {
            let good = (*status < 300).then(|| good(row.route, schemas)).flatten();
            let response = match status {
                204 => json!({ "description": "It is done" }),
                200 => json!({ "description": "As wanted", "content": good }),
                _ => json!({ "$ref": "#/components/responses/Problem" }),
            };
            responses.insert(status.to_string(), response);
        }
        responses.into()
    }

    fn good(route: Route, schemas: &mut SchemaGenerator) -> Option<Value> {
        let schema = match route {
            Route::Status => schemas.subschema_for::<Status>(),
            Route::Jails => schemas.subschema_for::<Jails>(),
            Route::Incidents => schemas.subschema_for::<Incidents>(),
            Route::RollBack | Route::Undo => schemas.subschema_for::<RollbackAnswer>(),
            Route::Pause => schemas.subschema_for::<Pause>(),
            Route::Resume => schemas.subschema_for::<Resumed>(),
            Route::Healthz | Route::Readyz => schemas.subschema_for::<Health>(),
            Route::Check | Route::OpenApi => {
                return Some(content("application/json", json!({ "type": "object" })));
            }
            Route::Events => {
                return Some(content("text/event-stream", json!({ "type": "string" })));
            }
            Route::Metrics => {
                return Some(content(OPEN_METRICS, json!({ "type": "string" })));
            }
            Route::Restart | Route::Reload => return None,
        };
        Some(content("application/json", schema))
    }

    fn content(media_type: &str, schema: impl Into<Value>) -> Value {
        let schema = schema.into();
        json!({ media_type: { "schema": schema } })
    }

    #[test]
    fn the_document_is_that_of_the_code() {
        let made = format!("{:#}\n", document());
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
        if std::env::var_os("JAILWARDEN_WRITE_DOCS").is_some_and(|set| set == "1") {
            std::fs::write(&file, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap();
        assert!(
            kept == made,
            "{} is out of date; JAILWARDEN_WRITE_DOCS=1 writes it",
            file.display()
        );
    }

    #[test]
    fn every_route_is_in_the_document_and_no_other() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations: usize = paths
            .values()
            .map(|path| path.as_object().unwrap().len())
            .sum();
        assert_eq!(operations, TABLE.len());
        for row in &TABLE {
            let operation = &paths[row.path][row.method.as_str().to_lowercase()];
            assert_eq!(operation["summary"], row.what);
        }
    }
}
