//! The OpenAPI document and the page drawn from it.

use serde_json::Value;

use crate::support::Edge;

/// Calls `visit` with every object of a document.
fn walk(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| walk(value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_complete() {
    let edge = Edge::start().await;
    let answer = edge.send("GET", "/openapi.json", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    walk(&document, &mut |object| {
        if let Some(name) = object.get("$ref").and_then(Value::as_str) {
            let pointer = name.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{name} leads nowhere");
        }
    });
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{what}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{what}");
            for name in path.split(['{', '}']).skip(1).step_by(2) {
                let declared = operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|p| p["name"] == name && p["in"] == "path" && p["required"] == true);
                assert!(declared, "{what}: {name}");
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.starts_with(['4', '5']) {
                    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Problem", "{what}: {status}");
                }
            }
            if operation["security"].as_array().unwrap().iter().any(|one| one.get("api_key").is_some()) {
                for status in ["401", "403", "429", "500", "503", "504"] {
                    assert!(operation["responses"].get(status).is_some(), "{what}: {status}");
                }
            }
            if let Some(body) = operation.get("requestBody") {
                assert_eq!(body["required"], true, "{what}");
                for status in ["400", "408", "413", "415"] {
                    assert!(operation["responses"].get(status).is_some(), "{what}: {status}");
                }
            }
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["api_key"]["scheme"], "bearer");
    let user = &document["components"]["schemas"]["UserId"];
    assert!(user["pattern"].as_str().unwrap().starts_with("^(?!anonymous:)"), "{user}");
    for (body, field) in [("PageRequest", "user_id"), ("Event", "user_id")] {
        let field = &document["components"]["schemas"][body]["properties"][field];
        assert!(field.to_string().contains("#/components/schemas/UserId"), "{field}");
    }
    let request = &document["components"]["schemas"]["PageRequest"];
    assert_eq!(
        (request["properties"]["limit"]["minimum"].as_u64(), request["properties"]["limit"]["maximum"].as_u64()),
        (Some(1), Some(100))
    );
    assert_eq!(request["properties"]["exclude"]["maxItems"], 500);
    assert_eq!(request["additionalProperties"], false);
    assert!(request["example"].is_object());
}

#[tokio::test]
async fn the_page_for_people_needs_nothing_from_elsewhere() {
    let edge = Edge::start().await;
    let page = edge.send("GET", "/docs", "").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    for holds in ["POST /v1/surfaces/{surface}:page", "PageRequest", "seed_items"] {
        assert!(page.text.contains(holds), "{holds}");
    }
    assert!(!page.text.contains("http://") && !page.text.contains("https://") && !page.text.contains("<script"));
    assert_eq!(edge.send("GET", "/docs/style.css", "").await.status, 200);
    let schema = edge.send("GET", "/v1/schemas/surface.json", "").await;
    assert_eq!(schema.json()["title"], "Surface");
}
