//! The main job on listening data in its own format: import, train, and a page whose titles and reasons make sense.
//!
//! The Last.fm HetRec data may not be shipped. Where `SETLIST_DATA` names a folder that holds `lastfm-hetrec-2k`, the
//! test runs on it; and always on a small folder of the same format that it writes itself.

use std::{fmt::Write as _, path::Path, sync::Arc};

use anyhow::{Result, ensure};
use learning::{
    datasets::{Options, lastfm},
    progress::Silent,
};
use service_runtime::Runtime;
use setlist::{client::Client, import, platform::Platform, train};
use shared_models::{Clock, SystemClock, TenantId};
use testkit::folder::Folder;

use crate::{one_process::configure, story};

/// Imports a HetRec folder, trains, serves, and answers the report and the page of `user`.
async fn run(data: &Path, user: &str) -> Result<()> {
    let folder = Folder::new()?;
    let (config, key) = configure(&folder, &[])?;
    let tenant = TenantId::new("demo")?;
    let runtime = Runtime::new(Arc::new(SystemClock));
    let (listener, address) = Platform::bind(&config)?;
    let platform = Platform::build(&config, &runtime, false).await?;
    let read = lastfm::import(data, Options { now: SystemClock.now() }, &Silent)?;
    let names: std::collections::BTreeSet<String> = read.items.iter().map(|item| item.title.clone()).collect();
    import::load(&platform.core, &tenant, read, &Silent).await?;
    println!("{}", train::learn_and_activate(&platform, &config, &tenant, &runtime, Arc::new(Silent)).await?);
    let _kept = platform.serve(listener, &runtime);
    let client = Client::new(&format!("http://{address}"), key.expose())?;
    let page = story::eventually(&client, user, |page| page.release.is_some()).await?;
    println!("{}", setlist::draw::page(&page, user, std::time::Duration::ZERO, 5, None));
    let cards: Vec<_> = page.shelves.iter().flat_map(|shelf| &shelf.cards).collect();
    ensure!(cards.len() >= 20, "{} cards", cards.len());
    for card in &cards {
        ensure!(names.contains(&card.title), "{} is no title of the data", card.title);
        for evidence in &card.reason.evidence {
            ensure!(names.contains(&evidence.title), "{} is no title of the data", evidence.title);
        }
    }
    ensure!(cards.iter().any(|card| !card.reason.evidence.is_empty()), "no reason has evidence");
    runtime.drain(story::PATIENCE).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_data_in_the_lastfm_format_becomes_a_page_that_makes_sense() -> Result<()> {
    let folder = Folder::new()?;
    write(folder.path())?;
    run(folder.path(), "lastfm-2").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lastfm_data_itself_becomes_a_page_that_makes_sense() -> Result<()> {
    let data = std::env::var_os("SETLIST_DATA")
        .map(|data| Path::new(&data).join("lastfm-hetrec-2k"))
        .filter(|data| data.exists());
    let Some(data) = data else {
        eprintln!(
            "the Last.fm HetRec data is not here; set SETLIST_DATA to the folder that holds lastfm-hetrec-2k to run on it"
        );
        return Ok(());
    };
    run(&data, "lastfm-2").await
}

/// A folder in the HetRec format: 120 listeners, 200 artists in four scenes, each listener mostly in one.
fn write(folder: &Path) -> Result<()> {
    let mut artists = "id\tname\turl\tpictureURL\n".to_owned();
    for artist in 0..200 {
        writeln!(artists, "{artist}\tArtist {artist}\thttp://x\thttp://y")?;
    }
    let mut plays = "userID\tartistID\tweight\n".to_owned();
    for user in 2..122 {
        for n in 0..25 {
            let scene = if n % 5 == 4 { (user + n) % 4 } else { user % 4 };
            let artist = scene * 50 + (user * 7 + n * n * 3) % 50;
            writeln!(plays, "{user}\t{artist}\t{}", 10 + (user * n) % 400)?;
        }
    }
    std::fs::write(folder.join("artists.dat"), artists)?;
    std::fs::write(folder.join("user_artists.dat"), plays)?;
    std::fs::write(folder.join("tags.dat"), "tagID\ttagValue\n1\trock\n2\tjazz\n3\telectronic\n4\tfolk\n")?;
    let mut tagged = "userID\tartistID\ttagID\tday\tmonth\tyear\n".to_owned();
    for artist in 0..200 {
        writeln!(tagged, "2\t{artist}\t{}\t1\t4\t2009", artist / 50 + 1)?;
    }
    std::fs::write(folder.join("user_taggedartists.dat"), tagged)?;
    Ok(())
}
