//! The documentation as a page, drawn once from the OpenAPI document: no script, nothing from elsewhere.
//!
//! Must not know routes beyond what the document says.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde_json::Value;

use super::{Edge, json_bytes};
use crate::surfaces::schema_text;

const STYLE: &str = include_str!("docs.css");

/// Documents that never change while the process runs.
pub(crate) struct Documents {
    openapi: bytes::Bytes,
    page: bytes::Bytes,
    surface_schema: bytes::Bytes,
}

impl Documents {
    /// Draws everything from the OpenAPI document.
    pub(crate) fn new(openapi: &utoipa::openapi::OpenApi) -> Self {
        // A document of plain strings always serialises.
        let text = serde_json::to_string(openapi).unwrap_or_default();
        let value = serde_json::from_str(&text).unwrap_or_default();
        Self { openapi: text.into(), page: draw(&value).into(), surface_schema: schema_text().into() }
    }
}

/// The OpenAPI document
#[utoipa::path(get, path = "/openapi.json", tag = "operate", operation_id = "openapi",
    responses((status = 200, description = "This document", content_type = "application/json", body = Object)), security(()))]
pub(crate) async fn openapi(State(edge): State<Arc<Edge>>) -> Response {
    json_bytes(edge.documents.openapi.clone())
}

/// The JSON Schema of surface files
#[utoipa::path(get, path = "/v1/schemas/surface.json", tag = "surfaces", operation_id = "surface_schema",
    responses((status = 200, description = "The schema", content_type = "application/schema+json", body = Object)), security(()))]
pub(crate) async fn surface_schema(State(edge): State<Arc<Edge>>) -> Response {
    typed(edge.documents.surface_schema.clone(), "application/schema+json")
}

/// This documentation as a page
#[utoipa::path(get, path = "/docs", tag = "operate", operation_id = "docs",
    responses((status = 200, description = "A page for people", content_type = "text/html", body = String)), security(()))]
pub(crate) async fn page(State(edge): State<Arc<Edge>>) -> Response {
    let mut response = typed(edge.documents.page.clone(), "text/html; charset=utf-8");
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// The style of the documentation
#[utoipa::path(get, path = "/docs/style.css", tag = "operate", operation_id = "docs_style",
    responses((status = 200, description = "A style sheet", content_type = "text/css", body = String)), security(()))]
pub(crate) async fn style() -> Response {
    typed(bytes::Bytes::from_static(STYLE.as_bytes()), "text/css; charset=utf-8")
}

fn typed(bytes: bytes::Bytes, content_type: &'static str) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn draw(document: &Value) -> String {
    let mut page = String::with_capacity(64 * 1024);
    page.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Setlist API</title><link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body><main>");
    tag(&mut page, "h1", &format!("{} {}", text(&document["info"]["title"]), text(&document["info"]["version"])));
    paragraphs(&mut page, text(&document["info"]["description"]));
    page.push_str("<p>Machine-readable: <a href=\"/openapi.json\">openapi.json</a>, <a href=\"/v1/schemas/surface.json\">surface.json</a></p>");
    for group in list(&document["tags"]) {
        let name = text(&group["name"]);
        tag(&mut page, "h2", &format!("{name}: {}", text(&group["description"])));
        for (path, item) in map(&document["paths"]) {
            for (method, operation) in map(item) {
                if list(&operation["tags"]).any(|tag| tag == name) {
                    draw_operation(&mut page, document, path, method, operation);
                }
            }
        }
    }
    tag(&mut page, "h2", "Bodies");
    for (name, schema) in map(&document["components"]["schemas"]) {
        draw_schema(&mut page, name, schema);
    }
    page.push_str("</main></body></html>");
    page
}

fn draw_operation(page: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    page.push_str("<details><summary><code>");
    escape(page, &format!("{} {path}", method.to_uppercase()));
    page.push_str("</code> ");
    escape(page, text(&operation["summary"]));
    page.push_str("</summary>");
    paragraphs(page, text(&operation["description"]));
    let scopes: Vec<&str> =
        list(&operation["security"]).flat_map(map).flat_map(|(_, scopes)| list(scopes)).map(text).collect();
    let key = if scopes.is_empty() {
        "Public.".to_owned()
    } else {
        format!("Needs a key with the scope {}.", scopes.join(", "))
    };
    tag(page, "p", &key);
    if operation["parameters"].is_array() {
        page.push_str("<table><tr><th>Parameter</th><th>In</th><th>Meaning</th></tr>");
        for parameter in list(&operation["parameters"]) {
            let meaning = format!("{} {}", text(&parameter["description"]), limits(&parameter["schema"]));
            row(page, &[text(&parameter["name"]), text(&parameter["in"]), &meaning]);
        }
        page.push_str("</table>");
    }
    if let Some((_, content)) = map(&operation["requestBody"]["content"]).next() {
        page.push_str("<p>Body: ");
        link(page, &content["schema"]);
        page.push_str("</p>");
        let schema = content["schema"]["$ref"].as_str().and_then(|name| name.rsplit('/').next());
        let example =
            schema.map(|name| &document["components"]["schemas"][name]["example"]).filter(|example| !example.is_null());
        if let Some(example) = example {
            tag(page, "pre", &serde_json::to_string_pretty(example).unwrap_or_default());
        }
    }
    page.push_str("<table><tr><th>Status</th><th>Meaning</th><th>Body</th></tr>");
    for (status, response) in map(&operation["responses"]) {
        page.push_str("<tr><td>");
        escape(page, status);
        page.push_str("</td><td>");
        escape(page, text(&response["description"]));
        page.push_str("</td><td>");
        if let Some((_, content)) = map(&response["content"]).next() {
            link(page, &content["schema"]);
        }
        page.push_str("</td></tr>");
    }
    page.push_str("</table></details>");
}

fn draw_schema(page: &mut String, name: &str, schema: &Value) {
    page.push_str("<details id=\"");
    escape(page, name);
    page.push_str("\"><summary><code>");
    escape(page, name);
    page.push_str("</code> ");
    escape(page, text(&schema["description"]));
    page.push_str("</summary><table><tr><th>Field</th><th>Type</th><th>Meaning</th></tr>");
    let required: Vec<&str> = list(&schema["required"]).map(text).collect();
    for (field, property) in map(&schema["properties"]) {
        page.push_str("<tr><td><code>");
        escape(page, field);
        page.push_str("</code>");
        page.push_str(if required.contains(&field.as_str()) { " (needed)" } else { "" });
        page.push_str("</td><td>");
        link(page, property);
        page.push_str("</td><td>");
        escape(page, &format!("{} {}", text(&property["description"]), limits(property)));
        page.push_str("</td></tr>");
    }
    page.push_str("</table></details>");
}

/// The name of a schema's type, linked where it has a place of its own.
fn link(page: &mut String, schema: &Value) {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        page.push_str("<a href=\"#");
        escape(page, name);
        page.push_str("\">");
        escape(page, name);
        page.push_str("</a>");
    } else if schema["items"].is_object() {
        page.push_str("list of ");
        link(page, &schema["items"]);
    } else if schema["type"].is_array() {
        let types: Vec<&str> = list(&schema["type"]).map(text).collect();
        escape(page, &types.join(" or "));
    } else {
        escape(page, text(&schema["type"]));
    }
}

fn limits(schema: &Value) -> String {
    let mut words = String::new();
    for (name, word) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "characters at least"),
        ("maxLength", "characters at most"),
        ("minItems", "entries at least"),
        ("maxItems", "entries at most"),
        ("pattern", "pattern"),
    ] {
        if !schema[name].is_null() {
            // Writing to a string cannot fail.
            let _ = write!(words, "{}{word} {}", if words.is_empty() { "" } else { ", " }, schema[name]);
        }
    }
    if words.is_empty() { words } else { format!("({words})") }
}

fn row(page: &mut String, cells: &[&str]) {
    page.push_str("<tr>");
    for cell in cells {
        tag(page, "td", cell);
    }
    page.push_str("</tr>");
}

fn tag(page: &mut String, name: &str, content: &str) {
    page.push('<');
    page.push_str(name);
    page.push('>');
    escape(page, content);
    page.push_str("</");
    page.push_str(name);
    page.push('>');
}

fn paragraphs(page: &mut String, content: &str) {
    for paragraph in content.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        tag(page, "p", paragraph);
    }
}

fn escape(page: &mut String, content: &str) {
    for character in content.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            other => page.push(other),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn map(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
