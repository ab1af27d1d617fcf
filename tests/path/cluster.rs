//! The same story on a whole cluster: two of each service, three nats-servers that keep everything three times, and
//! PostgreSQL; told through both edges, so that what one process takes in the other has to know.

use anyhow::{Context as _, Result};
use setlist::client::Client;
use testkit::{
    cluster::{Cluster, Part, Shape},
    otlp::Collector,
};
use tests::stock::Stock;

use crate::{story, traces};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_tells_the_same_story_through_either_edge() -> Result<()> {
    let collector = Collector::start().await?;
    let stock = Stock::small(11).await?;
    let cluster = Cluster::start(Shape { otlp: collector.endpoint().to_owned(), ..Shape::default() }).await?;
    stock.put_release(&cluster.releases())?;
    stock.put_through(&cluster.url(Part::edge(0)), cluster.key(), usize::MAX).await?;
    let mut listeners = stock.listeners().into_iter();
    for edge in cluster.edges() {
        let client = Client::new(&edge, cluster.key())?;
        let user = listeners.next().context("an empty world")?;
        let told = story::tell(&client, &user).await?;
        traces::check_page(&collector, &told, true).await?;
    }
    traces::check_event(&collector, "nats", "postgresql").await?;
    cluster.shut_down().await
}
