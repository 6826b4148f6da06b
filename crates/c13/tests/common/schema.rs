//! Judges policy files by the JSON schema that is shipped, as an editor does.

use boon::{Compiler, SchemaIndex, Schemas};

thread_local! {
    /// The schema, compiled once for each test.
    static SCHEMA: (Schemas, SchemaIndex) = {
        let schema = serde_json::from_str(&c13_reliability::policy::file::schema()).expect("the schema is JSON");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("policies.json", schema).expect("its name is free");
        let index = compiler.compile("policies.json", &mut schemas).expect("it is a schema");
        (schemas, index)
    };
}

/// What the schema does not allow in the text of a policy file.
pub(crate) fn errors(text: &str) -> Option<String> {
    let value: toml::Table = match text.parse() {
        Ok(value) => value,
        Err(error) => return Some(format!("it is not TOML: {error}")),
    };
    let value = serde_json::to_value(value).expect("policy files hold nothing that JSON does not");
    SCHEMA.with(|(schemas, index)| {
        let refused = schemas.validate(&value, *index).err();
        refused.map(|error| error.to_string())
    })
}
