//! Which routes there are, and who may use them. What is not in this table is closed.
//!
//! Must not know handlers. A test holds the table, the OpenAPI document and the router to each other.

use axum::extract::{MatchedPath, Request};
use http::Method;
use service_runtime::layers::DocumentedRoute;

use crate::{auth::Scope, limits::Class};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Who has a key with this scope.
    Key(Scope),
}

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method, in upper case.
    pub method: &'static str,
    /// The path as documentation, traces and metrics name it.
    pub template: &'static str,
    /// Both, as spans are named.
    pub name: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it is worth when there is too much to do; none for a probe, which must tell a busy process from a dead one.
    pub(crate) class: Option<Class>,
}

macro_rules! route {
    ($method:literal, $template:literal, $access:expr, $class:expr) => {
        Route {
            method: $method,
            template: $template,
            name: concat!($method, " ", $template),
            access: $access,
            class: $class,
        }
    };
}

const SERVE: Access = Access::Key(Scope::Serve);
const EVENTS: Access = Access::Key(Scope::Events);
const CATALOG: Access = Access::Key(Scope::Catalog);
const EXPLAIN: Access = Access::Key(Scope::Explain);
const ADMIN: Access = Access::Key(Scope::Admin);

const LOOKS: Option<Class> = Some(Class::Page);
const ASKS: Option<Class> = Some(Class::Recommend);
const BESIDE: Option<Class> = Some(Class::Background);
const TELLS: Option<Class> = Some(Class::Events);
const PROBE: Option<Class> = None;

pub(crate) const PAGE: &str = "/v1/surfaces/{surface}:page";
pub(crate) const RECOMMEND: &str = "/v1/surfaces/{surface}:recommend";
/// The router cannot match a suffix: it hands over what follows, and `surfaces` reads the verb.
pub(crate) const SURFACE_ACTION: &str = "/v1/surfaces/{*surface_action}";
pub(crate) const RECOMMENDATION: &str = "/v1/recommendations/{id}";
/// The router hands over `{id}:replay` as the id.
pub(crate) const REPLAY: &str = "/v1/recommendations/{id}:replay";
const ADMIN_SURFACE: &str = "/v1/admin/surfaces/{surface}";
/// Names of surfaces may hold `/`.
pub(crate) const ADMIN_SURFACE_MATCHED: &str = "/v1/admin/surfaces/{*surface}";

/// Every route.
pub const ROUTES: &[Route] = &[
    route!("POST", "/v1/surfaces/{surface}:page", SERVE, LOOKS),
    route!("POST", "/v1/surfaces/{surface}:recommend", SERVE, ASKS),
    route!("GET", "/v1/items/{id}/similar", SERVE, ASKS),
    route!("POST", "/v1/events", EVENTS, TELLS),
    route!("PUT", "/v1/items/{id}", CATALOG, ASKS),
    route!("GET", "/v1/items/{id}", CATALOG, ASKS),
    route!("DELETE", "/v1/items/{id}", CATALOG, ASKS),
    route!("POST", "/v1/items:batch", CATALOG, BESIDE),
    route!("PUT", "/v1/users/{id}", CATALOG, ASKS),
    route!("GET", "/v1/users/{id}", CATALOG, ASKS),
    route!("GET", "/v1/recommendations", EXPLAIN, BESIDE),
    route!("GET", "/v1/recommendations/{id}", EXPLAIN, BESIDE),
    route!("GET", "/v1/recommendations/{id}/explain", EXPLAIN, BESIDE),
    route!("GET", "/v1/recommendations/{id}/explain/{item}", EXPLAIN, BESIDE),
    route!("POST", "/v1/recommendations/{id}:replay", EXPLAIN, BESIDE),
    route!("GET", "/v1/admin/surfaces", ADMIN, BESIDE),
    route!("GET", "/v1/admin/surfaces/{surface}", ADMIN, BESIDE),
    route!("GET", "/v1/schemas/surface.json", Access::Public, BESIDE),
    route!("GET", "/openapi.json", Access::Public, BESIDE),
    route!("GET", "/docs", Access::Public, BESIDE),
    route!("GET", "/docs/style.css", Access::Public, BESIDE),
    route!("GET", "/livez", Access::Public, PROBE),
    route!("GET", "/readyz", Access::Public, PROBE),
];

/// Who may use a method of a path; `None` is nobody.
pub(crate) fn of(method: &Method, template: &str) -> Option<Access> {
    route_of(method, template).map(|route| route.access)
}

fn route_of(method: &Method, template: &str) -> Option<&'static Route> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    ROUTES.iter().find(|route| route.template == template && route.method == method.as_str())
}

/// The methods of a path.
pub(crate) fn methods(template: &str) -> Vec<&'static str> {
    ROUTES.iter().filter(|route| route.template == template).map(|route| route.method).collect()
}

/// The template of a request's route, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteTemplate(pub(crate) &'static str);

/// The template for what the router matched.
fn template_of(matched: &str, path: &str) -> Option<&'static str> {
    match matched {
        SURFACE_ACTION => path.rsplit_once(':').and_then(|(_, verb)| match verb {
            "page" => Some(PAGE),
            "recommend" => Some(RECOMMEND),
            _ => None,
        }),
        ADMIN_SURFACE_MATCHED => Some(ADMIN_SURFACE),
        RECOMMENDATION if path.ends_with(":replay") => Some(REPLAY),
        // A route that is in the router and not in the table gets a name that is in no table: closed.
        _ => Some(ROUTES.iter().find(|route| route.template == matched).map_or("undeclared", |route| route.template)),
    }
}

/// Finds the template of a request, and its class. Where the router matched something else than the template, that is
/// taken out of sight: a span must carry one route, the documented one.
pub(crate) fn name(mut request: Request) -> Request {
    let Some(matched) = request.extensions().get::<MatchedPath>() else {
        request.extensions_mut().insert(Class::Background);
        return request;
    };
    let template = template_of(matched.as_str(), request.uri().path());
    let route = template.and_then(|template| route_of(request.method(), template));
    // What answers no route is refused by the way; until then it is worth nothing.
    let class = route.map_or(Some(Class::Background), |route| route.class);
    let class = class.map(|class| class.told_by(request.headers()));
    if template != Some(matched.as_str()) {
        request.extensions_mut().remove::<MatchedPath>();
    }
    if let Some(class) = class {
        request.extensions_mut().insert(class);
    }
    if let Some(template) = template {
        let name = route.filter(|route| route.method == request.method().as_str()).map(|route| route.name);
        request.extensions_mut().insert(RouteTemplate(template));
        request.extensions_mut().insert(DocumentedRoute { route: template, name });
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_declared_is_closed() {
        assert_eq!(template_of("/v1/secret", "/v1/secret"), Some("undeclared"));
        assert_eq!(of(&Method::GET, "undeclared"), None);
        assert_eq!(of(&Method::DELETE, "/v1/events"), None);
        assert_eq!(of(&Method::HEAD, "/livez"), Some(Access::Public));
    }

    #[test]
    fn making_an_answer_again_has_its_own_template() {
        assert_eq!(template_of(RECOMMENDATION, "/v1/recommendations/1:replay"), Some(REPLAY));
        assert_eq!(template_of(RECOMMENDATION, "/v1/recommendations/1"), Some(RECOMMENDATION));
        for template in [RECOMMENDATION, REPLAY] {
            assert!(ROUTES.iter().any(|route| route.template == template), "{template}");
        }
    }

    #[test]
    fn verbs_of_surfaces_have_their_own_templates() {
        let check = |path: &str, expected| assert_eq!(template_of(SURFACE_ACTION, path), expected, "{path}");
        check("/v1/surfaces/home:page", Some(PAGE));
        check("/v1/surfaces/artist/similar:recommend", Some(RECOMMEND));
        check("/v1/surfaces/home:explode", None);
        check("/v1/surfaces/home", None);
        for template in [PAGE, RECOMMEND, ADMIN_SURFACE] {
            assert!(ROUTES.iter().any(|route| route.template == template), "{template}");
        }
    }
}
