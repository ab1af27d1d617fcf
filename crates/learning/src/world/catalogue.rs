//! The world's catalogue: genres as clusters in a latent space, artists around them with Zipf
//! popularity, tracks around the artists. It must not know the listeners.

use rand::{Rng, RngExt, seq::IndexedRandom};
use rand_distr::{Distribution, LogNormal, StandardNormal, weighted::WeightedAliasIndex};
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    ItemId, ItemKey, Timestamp,
    item::{Item, ItemKind, Market},
};
use smallvec::SmallVec;

use super::{Config, Error, names};

/// The size of the latent space.
pub(super) const DIMENSIONS: usize = 16;
/// A point of it.
pub(super) type Latent = [f32; DIMENSIONS];

pub(super) const DAY: i64 = 86_400_000;

/// Markets with their share of listeners and of artists, and their offset from UTC in hours.
pub(super) const MARKETS: [(&str, f64, i64); 10] = [
    ("US", 0.28, -6),
    ("GB", 0.12, 0),
    ("DE", 0.12, 1),
    ("BR", 0.10, -3),
    ("FR", 0.09, 1),
    ("IN", 0.08, 5),
    ("JP", 0.07, 9),
    ("SE", 0.06, 1),
    ("MX", 0.05, -6),
    ("ES", 0.03, 1),
];

pub(super) fn market(index: usize) -> Market {
    MARKETS.get(index).and_then(|(code, _, _)| Market::parse(code)).unwrap_or_default()
}

/// An artist as the world knows it.
pub(super) struct Artist {
    pub(super) id: ItemId,
    /// The index of its home in [`MARKETS`].
    pub(super) home: usize,
    /// Its tracks: a range of [`Catalogue::tracks`].
    pub(super) tracks: std::ops::Range<usize>,
    /// Running sums of the tracks' weights, the last is their total.
    pub(super) running: Vec<f32>,
}

/// A track as the world knows it.
pub(super) struct Track {
    pub(super) id: ItemId,
    pub(super) artist: usize,
    pub(super) latent: Latent,
    pub(super) released: Timestamp,
    pub(super) length: u32,
    pub(super) explicit: bool,
    /// Where it may be played; 0 is everywhere, else a bit for each of [`MARKETS`].
    pub(super) markets: u16,
    /// 0 for the most obscure to 1 for the most popular, on a logarithmic scale.
    pub(super) fame: f32,
}

/// Everything that can be played.
pub(super) struct Catalogue {
    pub(super) artists: Vec<Artist>,
    pub(super) tracks: Vec<Track>,
    /// How much of all listening each genre has.
    pub(super) genre_weights: Vec<f64>,
    /// Centres of the genres' corners.
    pub(super) corners: Vec<[Latent; 3]>,
    /// Draws an artist of a genre by popularity: an index into `by_genre`.
    pub(super) draws: Vec<WeightedAliasIndex<f64>>,
    pub(super) by_genre: Vec<Vec<usize>>,
    /// Tracks released within the window, oldest first.
    pub(super) fresh: Vec<usize>,
    pub(super) items: Vec<Item>,
    pub(super) track_of: FxHashMap<ItemKey, usize>,
}

pub(super) fn gaussian(rng: &mut impl Rng) -> f32 {
    StandardNormal.sample(rng)
}

pub(super) fn normalised(mut point: Latent) -> Latent {
    let length = point.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    point.iter_mut().for_each(|x| *x /= length);
    point
}

/// A point near `centre`: `spread` is the length of the noise against the centre's 1.
pub(super) fn near(centre: &Latent, spread: f32, rng: &mut impl Rng) -> Latent {
    let scale = spread / (DIMENSIONS as f32).sqrt();
    normalised(std::array::from_fn(|d| centre[d] + scale * gaussian(rng)))
}

pub(super) fn affinity(a: &Latent, b: &Latent) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

pub(super) fn build(config: &Config) -> Result<Catalogue, Error> {
    let rng = &mut config.seed.stream("world/catalogue");
    let corners: Vec<[Latent; 3]> = names::GENRES
        .iter()
        .map(|_| {
            let centre = normalised(std::array::from_fn(|_| gaussian(rng)));
            std::array::from_fn(|_| near(&centre, 0.55, rng))
        })
        .collect();
    let draw_genre = alias((0..names::GENRES.len()).map(|rank| 1.0 / (rank as f64 + 1.5).powf(0.6)).collect())?;
    let draw_home = alias(MARKETS.iter().map(|(_, share, _)| *share).collect())?;
    let popularity: Vec<f64> = (0..config.artists).map(|rank| ((rank + 1) as f64).powf(-config.artist_slope)).collect();
    let counts = track_counts(config, rng);
    let mut catalogue = Catalogue {
        artists: Vec::with_capacity(config.artists),
        tracks: Vec::with_capacity(config.tracks),
        genre_weights: vec![0.0; corners.len()],
        corners,
        draws: Vec::new(),
        by_genre: vec![Vec::new(); names::GENRES.len()],
        fresh: Vec::new(),
        items: Vec::with_capacity(config.artists + config.tracks),
        track_of: FxHashMap::default(),
    };
    for (rank, name) in names::artists(config.artists, rng).into_iter().enumerate() {
        // The first artists go round the genres, so that no genre is without a star.
        let genre = if rank < names::GENRES.len() { rank } else { draw_genre.sample(rng) };
        let home = draw_home.sample(rng);
        catalogue.add_artist(
            config,
            &Draft { rank, name, genre, home, tracks: counts[rank], popularity: popularity[rank] },
            rng,
        )?;
    }
    for genre in 0..catalogue.by_genre.len() {
        let weights: Vec<f64> = catalogue.by_genre[genre].iter().map(|artist| popularity[*artist]).collect();
        catalogue.genre_weights[genre] = weights.iter().sum();
        // A genre without artists is never drawn: its weight is 0.
        catalogue.draws.push(alias(if weights.is_empty() { vec![1.0] } else { weights })?);
    }
    let window_start = config.now.0 - i64::from(config.days) * DAY;
    catalogue.fresh =
        (0..catalogue.tracks.len()).filter(|track| catalogue.tracks[*track].released.0 >= window_start).collect();
    catalogue.fresh.sort_by_key(|track| (catalogue.tracks[*track].released, *track));
    Ok(catalogue)
}

pub(super) fn alias(weights: Vec<f64>) -> Result<WeightedAliasIndex<f64>, Error> {
    WeightedAliasIndex::new(weights).map_err(|_| Error::Weights)
}

struct Draft {
    rank: usize,
    name: String,
    genre: usize,
    home: usize,
    tracks: usize,
    popularity: f64,
}

impl Catalogue {
    fn add_artist(&mut self, config: &Config, draft: &Draft, rng: &mut impl Rng) -> Result<(), Error> {
        let corner = rng.random_range(0..3_usize);
        let latent = near(&self.corners[draft.genre][corner], 0.6, rng);
        let id = ItemId::new(format!("artist-{:04}", draft.rank + 1))?;
        let (genre, tags) = names::GENRES[draft.genre];
        let mut genres = vec![tags[corner].to_owned(), genre.to_owned()];
        if rng.random_bool(0.2) {
            genres
                .extend(names::GENRES.choose(rng).map(|(other, _)| (*other).to_owned()).filter(|other| other != genre));
        }
        self.items.push(Item {
            id: id.clone(),
            kind: ItemKind::Artist,
            title: draft.name.clone(),
            artist_id: None,
            artist_name: Some(draft.name.clone()),
            genres: genres.clone(),
            released_at: None,
            duration_ms: None,
            explicit: false,
            markets: SmallVec::new(),
            numbers: None,
        });
        let window_start = config.now.0 - i64::from(config.days) * DAY;
        let career_start = window_start - rng.random_range(200..10_000_i64) * DAY;
        let is_explicit_artist = rng.random_bool(if genre == "hip hop" || genre == "metal" { 0.5 } else { 0.1 });
        let lengths = LogNormal::new(12.25, 0.28).map_err(|_| Error::Weights)?;
        let first = self.tracks.len();
        let (mut titles, mut running, mut total) = (FxHashSet::default(), Vec::with_capacity(draft.tracks), 0.0_f32);
        for place in 0..draft.tracks {
            let mut title = names::track(rng);
            while !titles.insert(title.clone()) {
                title = format!("{title} (Part {})", titles.len() + 1);
            }
            let released = if rng.random_bool(config.new_release_share) {
                rng.random_range(window_start..config.now.0)
            } else {
                rng.random_range(career_start..window_start)
            };
            let released = Timestamp(released / DAY * DAY);
            let length = (lengths.sample(rng) as u32).clamp(60_000, 900_000);
            let explicit = is_explicit_artist && rng.random_bool(0.5);
            let markets: u16 =
                if rng.random_bool(0.03) { (1 << draft.home) | rng.random_range(0..1024_u16) } else { 0 };
            let weight = ((place + 1) as f32).powf(-0.9);
            total += weight;
            running.push(total);
            let track = ItemId::new(format!("track-{:05}", self.tracks.len() + 1))?;
            self.items.push(Item {
                id: track.clone(),
                kind: ItemKind::Track,
                title,
                artist_id: Some(id.clone()),
                artist_name: Some(draft.name.clone()),
                genres: genres.clone(),
                released_at: Some(released),
                duration_ms: Some(length),
                explicit,
                markets: (0..MARKETS.len()).filter(|index| markets & (1 << index) != 0).map(market).collect(),
                numbers: None,
            });
            self.track_of.insert(ItemKey::of(&track), self.tracks.len());
            let fame = fame(draft.popularity * f64::from(weight), config);
            self.tracks.push(Track {
                id: track,
                artist: draft.rank,
                latent: near(&latent, 0.45, rng),
                released,
                length,
                explicit,
                markets,
                fame,
            });
        }
        self.by_genre[draft.genre].push(draft.rank);
        self.artists.push(Artist { id, home: draft.home, tracks: first..self.tracks.len(), running });
        Ok(())
    }

    /// A track of the artist by its popularity there.
    pub(super) fn track_of_artist(&self, artist: usize, rng: &mut impl Rng) -> usize {
        let artist = &self.artists[artist];
        let total = artist.running.last().copied().unwrap_or(1.0);
        let at = rng.random::<f32>() * total;
        let place = artist.running.partition_point(|sum| *sum <= at).min(artist.tracks.len() - 1);
        artist.tracks.start + place
    }

    /// Whether a listener of this market may and wants to play the track at that time.
    pub(super) fn playable(&self, track: usize, at: Timestamp, market: usize, explicit_allowed: bool) -> bool {
        let track = &self.tracks[track];
        track.released <= at
            && (track.markets == 0 || track.markets & (1 << market) != 0)
            && (explicit_allowed || !track.explicit)
    }
}

fn fame(weight: f64, config: &Config) -> f32 {
    let least = ((config.artists as f64).powf(-config.artist_slope) * 0.1).ln();
    (1.0 - weight.ln() / least).clamp(0.0, 1.0) as f32
}

/// How many tracks each artist has: 1 at least, the popular more, `config.tracks` in all.
fn track_counts(config: &Config, rng: &mut impl Rng) -> Vec<usize> {
    let raw: Vec<f64> = (0..config.artists)
        .map(|rank| {
            let productive = f64::from(gaussian(rng) * 0.7).exp();
            productive * (0.6 + 4.0 / ((rank + 1) as f64).powf(0.35))
        })
        .collect();
    let spare = config.tracks.saturating_sub(config.artists);
    let total: f64 = raw.iter().sum();
    let mut counts: Vec<usize> = raw.iter().map(|share| 1 + (share / total * spare as f64) as usize).collect();
    let missing = config.tracks.saturating_sub(counts.iter().sum());
    (0..missing).for_each(|index| counts[index % config.artists] += 1);
    counts
}
