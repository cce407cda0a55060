//! Whether JSON is as a schema says, for the keywords that `docs/openapi.json` uses. An unknown
//! keyword fails, so that none is passed over.

use serde_json::{Map, Value};

/// What is wrong with `value`; `root` is what references lead into.
pub(crate) fn faults(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut check = Check {
        root,
        faults: Vec::new(),
    };
    check.value("", schema, value);
    check.faults
}

struct Check<'a> {
    root: &'a Value,
    faults: Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, at: &str, schema: &Value, value: &Value) {
        for (keyword, wanted) in schema.as_object().unwrap() {
            let holds = match keyword.as_str() {
                "description" | "title" | "format" | "default" => true,
                "$ref" => {
                    let place = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                    self.value(at, self.root.pointer(place).unwrap(), value);
                    true
                }
                "type" => match wanted {
                    Value::Array(types) => types.iter().any(|it| is_of(it, value)),
                    one => is_of(one, value),
                },
                "const" => wanted == value,
                "enum" => wanted.as_array().unwrap().contains(value),
                "minimum" => value
                    .as_f64()
                    .is_none_or(|it| it >= wanted.as_f64().unwrap()),
                "maximum" => value
                    .as_f64()
                    .is_none_or(|it| it <= wanted.as_f64().unwrap()),
                "anyOf" | "oneOf" => {
                    let fits = |it: &&Value| faults(self.root, it, value).is_empty();
                    let fitting = wanted.as_array().unwrap().iter().filter(fits).count();
                    fitting == 1 || (keyword == "anyOf" && fitting > 1)
                }
                "required" => value.as_object().is_none_or(|object| {
                    let keys = wanted.as_array().unwrap().iter();
                    keys.map(|key| key.as_str().unwrap())
                        .all(|key| object.contains_key(key))
                }),
                "properties" | "additionalProperties" => {
                    self.object(at, schema.as_object().unwrap(), value);
                    true
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(&format!("{at}/{index}"), wanted, item);
                    }
                    true
                }
                unknown => panic!("{at}: {unknown} is not known here"),
            };
            if !holds {
                self.faults
                    .push(format!("{at}: {value} against {keyword} {wanted}"));
            }
        }
    }

    fn object(&mut self, at: &str, schema: &Map<String, Value>, value: &Value) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let place = format!("{at}/{key}");
            match schema.get("properties").and_then(|it| it.get(key)) {
                Some(known) => self.value(&place, known, value),
                None => match schema.get("additionalProperties") {
                    Some(other @ Value::Object(_)) => self.value(&place, other, value),
                    // What we answer is documented, though clients must expect more.
                    None | Some(Value::Bool(_)) if schema.contains_key("properties") => {
                        self.faults.push(format!("{place}: not documented"));
                    }
                    _ => {}
                },
            }
        }
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

#[test]
fn faults_are_found() {
    let root = serde_json::json!({ "a": { "type": "integer", "minimum": 0 } });
    let schema = serde_json::json!({
        "type": "object",
        "required": ["n"],
        "properties": {
            "n": { "$ref": "#/a" },
            "m": { "anyOf": [{ "$ref": "#/a" }, { "type": "null" }] },
            "l": { "type": "array", "items": { "enum": ["x"] } },
        },
    });
    let count = |text: &str| faults(&root, &schema, &serde_json::from_str(text).unwrap()).len();
    assert_eq!(count(r#"{"n": 1, "m": null, "l": ["x", "x"]}"#), 0);
    for faulty in [
        "3",
        "{}",
        r#"{"n": "1"}"#,
        r#"{"n": -1}"#,
        r#"{"n": 1, "m": "x"}"#,
        r#"{"n": 1, "l": ["x", "y"]}"#,
        r#"{"n": 1, "o": 2}"#,
    ] {
        assert_eq!(count(faulty), 1, "{faulty}");
    }
}
