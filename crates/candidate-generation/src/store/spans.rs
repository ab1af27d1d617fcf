//! The CLIENT span of a database operation, under the names of OpenTelemetry's database conventions, and the
//! error of one that failed.

use super::Error;

/// A span of one operation on `rows` rows of a table.
pub(super) fn span(
    system: &'static str,
    operation: &'static str,
    collection: &'static str,
    rows: usize,
) -> tracing::Span {
    let name = if collection.is_empty() { operation.to_owned() } else { format!("{operation} {collection}") };
    tracing::info_span!(
        "db",
        otel.name = name,
        otel.kind = "client",
        db.system.name = system,
        db.operation.name = operation,
        db.collection.name = (!collection.is_empty()).then_some(collection),
        db.operation.batch.size = (rows > 1).then_some(rows),
    )
}

pub(super) fn failed(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Query { operation, source }
}
