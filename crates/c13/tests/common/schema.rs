//! Judges policy files by the JSON schema that is shipped, as an editor does.

use super::pattern::fits;
use serde_json::Value as Json;

/// What the schema does not allow in the text of a policy file.
pub(crate) fn errors(text: &str) -> Option<String> {
    let schema: Json = serde_json::from_str(c13_reliability::policy::file::SCHEMA).expect("the schema is JSON");
    let value: toml::Table = match text.parse() {
        Ok(value) => value,
        Err(error) => return Some(format!("it is not TOML: {error}")),
    };
    let value = serde_json::to_value(value).expect("policy files hold nothing that JSON does not");
    mismatch(&schema, &schema, &value, "the file").err()
}

/// What of the value the schema does not allow. It knows the words that our schema uses, and refuses others.
fn mismatch(root: &Json, schema: &Json, value: &Json, at: &str) -> Result<(), String> {
    let words = schema.as_object().expect("a schema is an object");
    for (word, rule) in words {
        let holds = match word.as_str() {
            "$schema" | "title" | "description" | "$defs" | "properties" => true,
            "$ref" => {
                let name = rule.as_str().and_then(|path| path.strip_prefix("#/$defs/"));
                let target = &root["$defs"][name.expect("references point into the definitions")];
                assert!(target.is_object(), "there is no {rule}");
                mismatch(root, target, value, at)?;
                true
            }
            "anyOf" => rule
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| mismatch(root, kind, value, at).is_ok())),
            "type" => match rule {
                Json::Array(types) => types.iter().any(|name| is_of(name, value)),
                name => is_of(name, value),
            },
            "not" => mismatch(root, rule, value, at).is_err(),
            "enum" => rule.as_array().is_some_and(|values| values.contains(value)),
            "const" => rule == value,
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= rule.as_f64().unwrap_or(f64::MAX)),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= rule.as_f64().unwrap_or(f64::MIN)),
            "exclusiveMinimum" => value
                .as_f64()
                .is_none_or(|number| number > rule.as_f64().unwrap_or(f64::MAX)),
            "exclusiveMaximum" => value
                .as_f64()
                .is_none_or(|number| number < rule.as_f64().unwrap_or(f64::MIN)),
            "minItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap_or(u64::MAX)),
            "maxItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap_or(0)),
            "pattern" => value
                .as_str()
                .is_none_or(|text| fits(rule.as_str().unwrap_or_default(), text)),
            "required" => {
                let keys = rule.as_array().into_iter().flatten().filter_map(Json::as_str);
                keys.into_iter()
                    .all(|key| value.as_object().is_none_or(|object| object.contains_key(key)))
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    mismatch(root, rule, item, at)?;
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    mismatch(root, rule, &Json::String(key.clone()), at)?;
                }
                true
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}.{key}");
                    match (schema["properties"].get(key), rule) {
                        (Some(schema), _) => mismatch(root, schema, value, &at)?,
                        (None, Json::Bool(false)) => return Err(format!("{at} is unknown")),
                        (None, schema) => mismatch(root, schema, value, &at)?,
                    }
                }
                true
            }
            other => panic!("the schema says {other:?}, which this check does not know"),
        };
        if !holds {
            return Err(format!("{at} is {value}, but {word:?} is {rule}"));
        }
    }
    Ok(())
}

fn is_of(name: &Json, value: &Json) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => panic!("the schema has a type {name}, which this check does not know"),
    }
}
