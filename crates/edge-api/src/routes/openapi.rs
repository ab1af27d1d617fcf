//! The OpenAPI document: the handlers' own words, and what holds for all of them.
//!
//! Must not know how routes are served.

use axum::extract::rejection::QueryRejection;
use shared_models::ErrorCode;
use utoipa::{
    OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, Response, ResponseBuilder,
        header::HeaderBuilder,
        path::Operation,
        schema::{ObjectBuilder, Type},
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    access::{Access, ROUTES},
    schemas,
};
use crate::problem::{FieldError, Problem, ProblemBody};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Setlist",
        description = "Decides what each listener sees next: pages of ranked shelves, and the events that change the very next page.\n\nErrors are problem details (RFC 9457): match on `reason`, quote `request_id`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(super::surfaces::page, super::surfaces::recommend, super::recommendations::replay, super::admin::get),
    components(schemas(ProblemBody<'static>)),
    tags(
        (name = "serve", description = "Pages and slates"),
        (name = "understand", description = "Why an answer is as it is, and what would have been answered otherwise"),
        (name = "feed back", description = "What listeners did"),
        (name = "catalogue", description = "Items"),
        (name = "users", description = "Listeners"),
        (name = "surfaces", description = "Where recommendations show"),
        (name = "operate", description = "The process itself"),
    ),
)]
struct Document;

/// A router that knows the verbs of surfaces, which it cannot match by itself.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// Adds what holds for every operation: the key, and the errors that layers answer with.
pub(crate) fn complete(document: &mut utoipa::openapi::OpenApi) {
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    schemas::relate(document);
    let components = document.components.get_or_insert_default();
    let mut key = Http::new(HttpAuthScheme::Bearer);
    key.description = Some(
        "An API key: `Authorization: Bearer setlist_…`. Its scopes are `serve`, `events`, `catalog`, `explain` and `admin`."
            .to_owned(),
    );
    components.security_schemes.insert("api_key".to_owned(), RefOr::T(SecurityScheme::Http(key)));
    for route in ROUTES {
        let Some(item) = document.paths.paths.get_mut(route.template) else {
            continue;
        };
        let operation = match route.method {
            "GET" => &mut item.get,
            "PUT" => &mut item.put,
            "POST" => &mut item.post,
            "DELETE" => &mut item.delete,
            _ => continue,
        };
        if let Some(operation) = operation {
            add_common(operation, matches!(route.access, Access::Key(_)));
        }
    }
}

fn add_common(operation: &mut Operation, guarded: bool) {
    let mut add = |status: &str, response: Response| {
        operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
    };
    add("503", problem("Too busy, or a dependency is away: come back after `Retry-After`", Some("retry-after")));
    add("500", problem("A defect of ours", None));
    if !guarded {
        return;
    }
    add("401", problem("No API key, or one that opens nothing", Some("www-authenticate")));
    add("403", problem("The key lacks the scope", None));
    add("429", too_many());
    add("504", problem("It took too long", None));
    if operation.request_body.is_some() {
        operation
            .responses
            .responses
            .entry("413".to_owned())
            .or_insert(RefOr::T(problem("The body is too large", None)));
        operation
            .responses
            .responses
            .entry("408".to_owned())
            .or_insert(RefOr::T(problem("The body came too slowly", None)));
        operation
            .responses
            .responses
            .entry("415".to_owned())
            .or_insert(RefOr::T(problem("The body is not JSON by its content type", None)));
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required = Some(utoipa::openapi::Required::True);
    }
}

/// The refusal of who asks too often or too much at once; every answer to a key tells what is left.
fn too_many() -> Response {
    let header = |description: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        HeaderBuilder::new().description(Some(description)).schema(Some(text)).build()
    };
    let mut response = problem("A quota or a queue is full: come back after `Retry-After`", Some("retry-after"));
    let left = "What is left of each quota: `\"key\";r=<requests>;t=<seconds until it is whole again>`";
    let policy = "Each quota: `\"key\";q=<requests>;w=<seconds>`";
    response.headers.insert("ratelimit".to_owned(), RefOr::T(header(left)));
    response.headers.insert("ratelimit-policy".to_owned(), RefOr::T(header(policy)));
    response
}

fn problem(description: &str, header: Option<&str>) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response = ResponseBuilder::new().description(description).content("application/problem+json", content);
    if let Some(name) = header {
        response = response
            .header(name, HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build());
    }
    response.build()
}

/// What is wrong with the query parameters.
pub(super) fn query_problem(error: &QueryRejection) -> Problem {
    let text = error.body_text();
    let what = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, what)| what);
    // `limit: invalid digit …` names the parameter before the colon, "unknown field `limt`, …" between backticks.
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let before_colon = what.split_once(": ").map(|(name, _)| name).filter(is_name);
    let name = before_colon.or_else(|| what.split('`').nth(1)).unwrap_or("query");
    let expected = what.split_once(": ").map_or(what, |(_, expected)| expected);
    Problem::new(ErrorCode::InvalidArgument, "invalid_field", "1 field is wrong").with_errors(vec![FieldError::new(
        format!("?{name}"),
        what.split(',').next().unwrap_or_default(),
        expected.to_owned(),
    )])
}
