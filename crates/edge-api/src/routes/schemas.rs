//! Words of the OpenAPI document that many bodies share, as exact as the handlers that check them.
//!
//! Must not know any body: a type here stands for a text in the document and is never built.

#![expect(dead_code, reason = "read by the OpenAPI document alone")]

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type},
    },
};

/// An identifier that the tenant chose: visible characters.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
pub(crate) struct Id(String);

/// The id of a listener, as the tenant chose it: visible characters. What begins with `anonymous:` is a listener without
/// an account, who is named by `anonymous_id`.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 128, pattern = r"^(?!anonymous:)[^\x00-\x1f\x7f-\x9f]+$", example = "user-1")]
pub(crate) struct UserId(String);

/// The id of a listener without an account: visible characters.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
pub(crate) struct AnonymousId(String);

/// A text for people: visible characters.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 512, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
pub(crate) struct Text(String);

/// A genre or tag: visible characters.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
pub(crate) struct Genre(String);

/// A country: ISO 3166-1 alpha-2.
#[derive(ToSchema)]
#[schema(min_length = 2, max_length = 2, pattern = "^[A-Za-z]{2}$", example = "SE")]
pub(crate) struct Country(String);

/// A date or a moment (RFC 3339).
pub(crate) fn date_or_moment() -> Schema {
    any_text([text().format(known(KnownFormat::Date)), text().format(known(KnownFormat::DateTime))])
}

/// A moment (RFC 3339), or the time of day.
pub(crate) fn moment_or_time() -> Schema {
    let time = text().pattern(Some("^([01][0-9]|2[0-3]):[0-5][0-9]$"));
    any_text([text().format(known(KnownFormat::DateTime)).examples(["2026-11-23T18:30:00+01:00"]), time])
}

/// Numbers by name.
pub(crate) fn features() -> Schema {
    let features = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .property_names(Some(text().pattern(Some("^[A-Za-z0-9._-]{1,128}$"))))
        .additional_properties(Some(Schema::Object(number().build())))
        .max_properties(Some(64));
    Schema::Object(features.build())
}

/// Numbers in order.
pub(crate) fn embedding() -> Schema {
    let embedding = ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(number())
        .max_items(Some(1_024));
    Schema::Array(embedding.build())
}

/// A number that 32 bits can hold.
fn number() -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Number).format(known(KnownFormat::Float));
    number.minimum(Some(-3.4e38)).maximum(Some(3.4e38))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn known(format: KnownFormat) -> Option<SchemaFormat> {
    Some(SchemaFormat::KnownFormat(format))
}

fn any_text(forms: [ObjectBuilder; 2]) -> Schema {
    let any = AnyOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Null));
    Schema::AnyOf(forms.into_iter().fold(any, AnyOfBuilder::item).build())
}

/// Adds what derived schemas cannot say: rules over several fields of one body.
pub(super) fn relate(document: &mut utoipa::openapi::OpenApi) {
    let Some(components) = &mut document.components else { return };
    let none = |field: &str| json!({ "properties": { field: { "type": "null" } } });
    let only = |one: &str, other: &str| json!({ "required": [one], "properties": { one: { "type": "string" }, other: { "type": "null" } } });
    let rules = [
        ("PageRequest", "anyOf", json!([none("user_id"), none("anonymous_id")])),
        ("Event", "oneOf", json!([only("user_id", "anonymous_id"), only("anonymous_id", "user_id")])),
        // The handlers read batches element by element, so no derived schema closes them.
        ("EventBatch", "additionalProperties", json!(false)),
        ("ItemBatch", "additionalProperties", json!(false)),
        ("ItemBatch", "properties", json!({ "items": named_items() })),
    ];
    for (name, rule, value) in rules {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
            if rule == "properties" {
                object.properties.clear();
            }
            object.extensions.get_or_insert_default().insert(rule.to_owned(), value);
        }
    }
}

/// Items that name themselves: elsewhere the path does.
fn named_items() -> Value {
    json!({
        "type": "array",
        "minItems": 1,
        "maxItems": 1000,
        "description": "The items; `item_id` is needed in each.",
        "items": {
            "allOf": [
                { "$ref": "#/components/schemas/Item" },
                { "required": ["item_id"], "properties": { "item_id": { "type": "string" } } },
            ]
        },
    })
}
