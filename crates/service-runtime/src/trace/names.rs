//! OpenTelemetry's semantic-convention names, pinned in one place, and our own beside them.
//!
//! HTTP and database names are stable (v1.44); RPC is a release candidate and messaging is in development, so a change
//! there is made here and nowhere else. Span macros need literal field names: a test holds the layers to this list.

/// The HTTP method of a request.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The matched route, such as `/v1/surfaces/{surface}:page`.
pub const HTTP_ROUTE: &str = "http.route";
/// The HTTP status of an answer.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// The path of a request, as it was sent.
pub const URL_PATH: &str = "url.path";
/// The scheme of a request.
pub const URL_SCHEME: &str = "url.scheme";
/// The program that called.
pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";
/// The version of the protocol: `1.1` or `2`.
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
/// The host that is called.
pub const SERVER_ADDRESS: &str = "server.address";
/// The port that is called.
pub const SERVER_PORT: &str = "server.port";
/// What kind of failure it was, from a closed set.
pub const ERROR_TYPE: &str = "error.type";

/// Always `grpc` for a remote call.
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
/// The full method name, such as `setlist.ranking.v1.Ranking/Rank`; also the span's name.
pub const RPC_METHOD: &str = "rpc.method";
/// The gRPC status by name, such as `DEADLINE_EXCEEDED`.
pub const RPC_STATUS_CODE: &str = "rpc.status_code";

/// The messaging system: `nats`, or ours.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// What is done: `publish`, `process`, `ack`.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// The kind of operation: `send`, `receive`, `process`, `settle`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The subject.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The subject with its variable parts named.
pub const MESSAGING_DESTINATION_TEMPLATE: &str = "messaging.destination.template";
/// The durable consumer.
pub const MESSAGING_CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// The message's own id.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// How many messages a batch holds.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// How large a message is.
pub const MESSAGING_MESSAGE_BODY_SIZE: &str = "messaging.message.body.size";

/// The database: `sqlite` or `postgresql`.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// The operation, such as `INSERT`.
pub const DB_OPERATION_NAME: &str = "db.operation.name";
/// The table.
pub const DB_COLLECTION_NAME: &str = "db.collection.name";
/// A short description of a query without its values.
pub const DB_QUERY_SUMMARY: &str = "db.query.summary";

/// Which of our services a span belongs to, when several share a process.
pub const COMPONENT: &str = "setlist.component";
/// How much of the deadline was left when the work began.
pub const DEADLINE_REMAINING: &str = "setlist.deadline.remaining_ms";

/// How many attempts a call took, retries too.
pub const ATTEMPTS: &str = "setlist.attempts";
/// `open` on a call that a circuit breaker refused.
pub const BREAKER: &str = "setlist.breaker";

/// The surface that was asked for.
pub const SURFACE: &str = "setlist.surface";
/// Whose request it is.
pub const TENANT: &str = "setlist.tenant";
/// The release of models that answered; empty while none is live.
pub const RELEASE: &str = "setlist.release";
/// How far down the brown-out ladder an answer stands.
pub const DEGRADED: &str = "setlist.degraded";
/// What was missing, slow or skipped, as `stage=cause`.
pub const DEGRADED_REASONS: &str = "setlist.degraded.reasons";
/// How many shelves an answer has.
pub const SHELVES: &str = "setlist.shelves";
/// How many cards an answer has.
pub const CARDS: &str = "setlist.cards";
