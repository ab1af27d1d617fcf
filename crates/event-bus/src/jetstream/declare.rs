//! Streams and consumers on the server, declared from `streams.toml`: made when they are not there, brought in line
//! when they are. This file must not know messages.

use async_nats::jetstream::{
    Context, ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    context::GetStreamErrorKind,
    stream::{Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};

use crate::{
    config::Config,
    error::Error,
    subjects::{ConsumerSpec, Start, Storage, StreamName, WhenFull},
};

/// Declares all streams.
pub(super) async fn streams(context: &Context, config: &Config) -> Result<(), Error> {
    for name in StreamName::ALL {
        let spec = name.spec();
        // A process with a wrong setting must not take a cluster's copies away: a cluster that cannot say, because it
        // looks for a leader, is asked again by whoever opens the bus.
        let there = stream(context, name).await?.map_or(0, |stream| stream.cached_info().config.num_replicas);
        if there > usize::from(config.replicas) {
            tracing::warn!(
                stream = name.as_str(),
                there,
                configured = config.replicas,
                "stream keeps more replicas than are configured; to have fewer, change it on the server"
            );
        }
        let wanted = StreamConfig {
            name: name.as_str().to_owned(),
            subjects: vec![spec.subjects.clone()],
            retention: RetentionPolicy::Limits,
            discard: match spec.when_full {
                WhenFull::Refuse => DiscardPolicy::New,
                WhenFull::Forget => DiscardPolicy::Old,
            },
            storage: match spec.storage {
                Storage::File => StorageType::File,
            },
            max_age: spec.max_age,
            max_bytes: i64::try_from(spec.max_bytes(config.max_bytes)).unwrap_or(i64::MAX),
            duplicate_window: spec.dedup_window,
            num_replicas: usize::from(config.replicas).max(there),
            allow_direct: true,
            ..StreamConfig::default()
        };
        context
            .create_or_update_stream(wanted)
            .await
            .map_err(|error| Error::unavailable("declaring a stream", error))?;
    }
    Ok(())
}

/// A stream with its standing; `None` when nobody has made it.
pub(super) async fn stream(context: &Context, name: StreamName) -> Result<Option<Stream>, Error> {
    match context.get_stream(name.as_str()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(Error::unavailable("reading a stream", error)),
        },
    }
}

/// Declares a consumer.
///
/// The server never gives a message up: the seat counts deliveries, because only a seat can move the message to
/// the dead letters.
pub(super) async fn consumer(context: &Context, spec: &ConsumerSpec) -> Result<PullConsumer, Error> {
    let stream = context
        .get_stream_no_info(spec.stream.as_str())
        .await
        .map_err(|error| Error::unavailable("finding a stream", error))?;
    let wanted = pull::Config {
        durable_name: Some(spec.name.to_string()),
        deliver_policy: match spec.start {
            Start::Oldest => DeliverPolicy::All,
            Start::Newest => DeliverPolicy::New,
        },
        ack_policy: AckPolicy::Explicit,
        ack_wait: spec.ack_wait,
        max_deliver: -1,
        filter_subject: spec.filter.as_ref().map_or_else(String::new, |filter| filter.as_str().to_owned()),
        max_ack_pending: i64::try_from(spec.max_unanswered).unwrap_or(i64::MAX),
        // As many as its stream has.
        num_replicas: 0,
        ..pull::Config::default()
    };
    stream.create_consumer(wanted).await.map_err(|error| Error::unavailable("declaring a consumer", error))
}
