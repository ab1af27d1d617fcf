//! Names for the world: artists, tracks and genres that a person can read. Nothing here is a real
//! artist's catalogue; a likeness is chance.

use rand::{Rng, RngExt, seq::IndexedRandom};
use rustc_hash::FxHashSet;

/// The genres, most common first, with the tags of their corners.
pub(super) const GENRES: [(&str, [&str; 3]); 20] = [
    ("pop", ["dance pop", "synth pop", "bedroom pop"]),
    ("hip hop", ["boom bap", "trap", "cloud rap"]),
    ("rock", ["alternative rock", "garage rock", "post rock"]),
    ("electronic", ["house", "techno", "downtempo"]),
    ("r&b", ["neo soul", "slow jam", "alternative r&b"]),
    ("indie", ["indie folk", "dream pop", "slacker rock"]),
    ("latin", ["cumbia", "bachata", "latin pop"]),
    ("metal", ["doom metal", "black metal", "metalcore"]),
    ("country", ["americana", "outlaw country", "bluegrass"]),
    ("jazz", ["modal jazz", "jazz fusion", "vocal jazz"]),
    ("classical", ["chamber music", "piano solo", "minimalism"]),
    ("folk", ["singer-songwriter", "nordic folk", "freak folk"]),
    ("reggae", ["dub", "roots reggae", "dancehall"]),
    ("soul", ["northern soul", "funk", "gospel"]),
    ("punk", ["post punk", "pop punk", "hardcore"]),
    ("ambient", ["drone", "field recordings", "space music"]),
    ("blues", ["delta blues", "blues rock", "soul blues"]),
    ("afrobeats", ["highlife", "amapiano", "afro fusion"]),
    ("k-pop", ["idol pop", "k-indie", "k-hip hop"]),
    ("drum and bass", ["jungle", "liquid", "neurofunk"]),
];

const ADJECTIVES: [&str; 56] = [
    "Silent", "Golden", "Paper", "Velvet", "Hollow", "Northern", "Electric", "Broken", "Distant", "Crystal", "Quiet",
    "Wild", "Lunar", "Copper", "Midnight", "Amber", "Savage", "Gentle", "Neon", "Rusty", "Crimson", "Floating",
    "Marble", "Lonely", "Plastic", "Winter", "Solar", "Restless", "Sunken", "Ivory", "Burning", "Frozen", "Hidden",
    "Little", "Modern", "Ancient", "Slow", "Second", "Public", "Secret", "Salt", "Cobalt", "Pale", "Loud", "Tender",
    "Feral", "Polar", "Analog", "Double", "Empty", "Scarlet", "Western", "Eastern", "Blind", "Early", "Late",
];

const NOUNS: [&str; 60] = [
    "Harbor",
    "Fox",
    "Mirror",
    "Garden",
    "Signal",
    "Engine",
    "River",
    "Lantern",
    "Wolf",
    "Orchard",
    "Satellite",
    "Canyon",
    "Parade",
    "Sparrow",
    "Theatre",
    "Compass",
    "Meadow",
    "Pilot",
    "Cathedral",
    "Tiger",
    "Avenue",
    "Ocean",
    "Machine",
    "Shadow",
    "Window",
    "Empire",
    "Island",
    "Raven",
    "Circus",
    "Factory",
    "Horizon",
    "Palace",
    "Ghost",
    "Station",
    "Feather",
    "Valley",
    "Monument",
    "Planet",
    "Tide",
    "Kingdom",
    "Arrow",
    "Forest",
    "Magnet",
    "Stranger",
    "Motel",
    "Comet",
    "Bridge",
    "Rabbit",
    "Desert",
    "Archive",
    "Ladder",
    "Chorus",
    "Anchor",
    "Prism",
    "Cinema",
    "Tunnel",
    "Thunder",
    "Library",
    "Atlas",
    "Moth",
];

const FIRST: [&str; 60] = [
    "Mara", "Elio", "Nadia", "Theo", "Ingrid", "Caleb", "Yuki", "Amara", "Luca", "Freya", "Mateo", "Sofia", "Idris",
    "Noor", "Hugo", "Clara", "Jonas", "Leila", "Oskar", "Priya", "Rafael", "Selma", "Tomas", "Vera", "Wren", "Zadie",
    "Kofi", "Anouk", "Bruno", "Celia", "Dario", "Esme", "Felix", "Greta", "Hana", "Ivo", "Juno", "Kaya", "Liv", "Milo",
    "Nina", "Otis", "Paloma", "Quinn", "Rosa", "Silas", "Tessa", "Umar", "Viola", "Walter", "Ximena", "Yara", "Zeno",
    "Ada", "Basil", "Cora", "Dante", "Edda", "Flora", "Gus",
];

const LAST: [&str; 60] = [
    "Lindqvist",
    "Okafor",
    "Moreau",
    "Castellano",
    "Hayashi",
    "Brandt",
    "Silva",
    "Novak",
    "Petrov",
    "Ashworth",
    "Delgado",
    "Eriksen",
    "Farouk",
    "Grange",
    "Holloway",
    "Ishida",
    "Jansen",
    "Kowalski",
    "Laurent",
    "Mbeki",
    "Nakata",
    "Oduya",
    "Pereira",
    "Quist",
    "Rossi",
    "Sandoval",
    "Tanaka",
    "Ulvaeng",
    "Varga",
    "Weller",
    "Yilmaz",
    "Zeller",
    "Abbott",
    "Bellweather",
    "Carrow",
    "Dunmore",
    "Ekberg",
    "Fairchild",
    "Galloway",
    "Hartwell",
    "Ivarsson",
    "Jessop",
    "Kincaid",
    "Lovell",
    "Marlowe",
    "Nyström",
    "Osei",
    "Pryce",
    "Ravndal",
    "Stroud",
    "Thorne",
    "Underhill",
    "Vance",
    "Whitlock",
    "Yates",
    "Zamora",
    "Achterberg",
    "Bramwell",
    "Cardoso",
    "Dvorak",
];

const VERBS: [&str; 28] = [
    "Falling",
    "Running",
    "Waiting",
    "Dancing",
    "Dreaming",
    "Breathing",
    "Driving",
    "Leaving",
    "Burning",
    "Holding",
    "Calling",
    "Losing",
    "Learning",
    "Turning",
    "Sleeping",
    "Drifting",
    "Counting",
    "Chasing",
    "Building",
    "Fading",
    "Singing",
    "Walking",
    "Hiding",
    "Floating",
    "Looking",
    "Growing",
    "Crossing",
    "Coming",
];

const PLACES: [&str; 30] = [
    "Home",
    "Tonight",
    "the Sea",
    "the City",
    "You",
    "Nowhere",
    "the Rain",
    "Lisbon",
    "the Light",
    "Summer",
    "the Wire",
    "Berlin",
    "the Dark",
    "Tomorrow",
    "the Stars",
    "Monday",
    "the Fire",
    "August",
    "the North",
    "Silence",
    "the Radio",
    "Oslo",
    "the Past",
    "Your Name",
    "the Hills",
    "Kyoto",
    "the Water",
    "Sunday",
    "the Moon",
    "the Road",
];

fn pick<'a>(words: &[&'a str], rng: &mut impl Rng) -> &'a str {
    words.choose(rng).copied().unwrap_or_default()
}

/// `count` different artist names.
pub(super) fn artists(count: usize, rng: &mut impl Rng) -> Vec<String> {
    let mut taken = FxHashSet::default();
    let mut names = Vec::with_capacity(count);
    while names.len() < count {
        let name = match rng.random_range(0..10_u32) {
            0..=2 => format!("{} {}", pick(&FIRST, rng), pick(&LAST, rng)),
            3 | 4 => format!("{} {}", pick(&ADJECTIVES, rng), pick(&NOUNS, rng)),
            5 => format!("The {} {}s", pick(&ADJECTIVES, rng), pick(&NOUNS, rng)),
            6 => format!("{} & the {}s", pick(&FIRST, rng), pick(&NOUNS, rng)),
            7 => format!("{} {}", pick(&NOUNS, rng), pick(&NOUNS, rng)),
            8 => format!("DJ {}", pick(&NOUNS, rng)),
            _ => format!("{} {} {}", pick(&FIRST, rng), pick(&NOUNS, rng), pick(&LAST, rng)),
        };
        // A small stock of words runs dry in a large world: a number tells namesakes apart.
        let name =
            if taken.contains(&name) && names.len() * 4 > 25_000 { format!("{name} {}", names.len()) } else { name };
        if taken.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}

/// A track's title; the caller sees to it that an artist has each once.
pub(super) fn track(rng: &mut impl Rng) -> String {
    match rng.random_range(0..9_u32) {
        0 => pick(&NOUNS, rng).to_owned(),
        1 => format!("{} {}", pick(&ADJECTIVES, rng), pick(&NOUNS, rng)),
        2 => format!("{} for {}", pick(&VERBS, rng), pick(&PLACES, rng)),
        3 => format!("{} to {}", pick(&VERBS, rng), pick(&PLACES, rng)),
        4 => format!("{} and {}", pick(&NOUNS, rng), pick(&NOUNS, rng)),
        5 => format!("{} in {}", pick(&NOUNS, rng), pick(&PLACES, rng)),
        6 => format!("{}'s {}", pick(&FIRST, rng), pick(&NOUNS, rng)),
        7 => format!("No {}", pick(&NOUNS, rng)),
        _ => format!("{} {} {}", pick(&VERBS, rng), pick(&ADJECTIVES, rng), pick(&NOUNS, rng)),
    }
}

#[cfg(test)]
mod tests {
    use shared_models::Seed;

    use super::*;

    #[test]
    fn names_differ_and_repeat_with_the_seed() {
        let names = artists(9_000, &mut Seed(1).stream("names"));
        assert_eq!(names.iter().collect::<FxHashSet<_>>().len(), 9_000);
        assert_eq!(names, artists(9_000, &mut Seed(1).stream("names")));
        assert_ne!(names, artists(9_000, &mut Seed(2).stream("names")));
    }
}
