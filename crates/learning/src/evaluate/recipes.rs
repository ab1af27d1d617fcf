//! The settings that engines are measured with by protocol, each chosen on the validation part alone. Where there is
//! none, an engine runs with its defaults.

/// Settings of an engine, as `--set` takes them.
pub type Settings = &'static [(&'static str, &'static str)];

/// Protocol, engine, settings. The comment of a line says what was tried on validation.
const RECIPES: &[(&str, &str, Settings)] = &[
    // Recall@20 0.2083. The defaults reach 0.2066, fading 8 0.2043, end_exponent 0.3 0.2070, 1,024 signals 0.2035,
    // user_exponent 0.3 alone 0.2068. Without order (fading 0): 0.1857, sharpened by 0.4 0.1874, GF-CF 0.1811.
    ("gowalla-lightgcn", "graph", &[("user_exponent", "0.3"), ("low_pass", "3")]),
    // Recall@20 0.1975, NDCG@20 0.1189. With asking 5 and lift 0.07 0.1956, 0.1173; without a lift and asking 3 0.1809, and
    // so: temperature 0.15 reaches 0.1544 (10 epochs), 0.1 0.1676 (6), 0.07 0.1774 (8), 0.05 0.1773 (8) and, at half the
    // rate, 0.1794 (12); 30 epochs at 0.06 0.1766.
    (
        "gowalla-lightgcn",
        "contrast",
        &[("epochs", "16"), ("temperature", "0.06"), ("fading", "3"), ("asking", "6"), ("lift", "0.09")],
    ),
    // HR@10 0.3126. One profile (decay 0.85) reaches 0.2949, two (0.6 and 0.95) 0.3103 to 0.3116.
    ("ml-1m-loo", "sequential", &[("decays", "0.5 0.85 0.98"), ("scales", "1 0.7 0.4"), ("regularisation", "800")]),
    // HR@10 0.3185. Without transitions and factors 0.3164; two profiles and ease 0.3124.
    (
        "ml-1m-loo",
        "blend",
        &[
            ("parts", "sequential 1 ease 0.3 transitions 0.2 factors 0.2"),
            ("sequential.decays", "0.5 0.85 0.98"),
            ("sequential.scales", "1 0.7 0.4"),
            ("sequential.regularisation", "800"),
            ("factors.alpha", "10"),
            ("factors.epochs", "8"),
            ("factors.item_damping", "0"),
            ("factors.user_damping", "0"),
            ("factors.spread", "false"),
            ("factors.regularisation", "0.003"),
        ],
    ),
    // NDCG@10 0.2429. All exponents 0 (plain EASE) reach 0.2397, user_exponent 0.35 and 0.5 0.2420 and 0.2400.
    (
        "ml-1m-infae",
        "ease",
        &[("regularisation", "800"), ("user_exponent", "0.2"), ("item_exponent", "0.2"), ("end_exponent", "0.2")],
    ),
    // NDCG@10 0.2444. 64 factors 0.2441, graph in their place 0.2431.
    (
        "ml-1m-infae",
        "blend",
        &[
            ("parts", "ease 1 factors 0.3"),
            ("ease.regularisation", "800"),
            ("ease.user_exponent", "0.2"),
            ("ease.item_exponent", "0.2"),
            ("ease.end_exponent", "0.2"),
            ("factors.dimensions", "128"),
            ("factors.alpha", "10"),
            ("factors.epochs", "8"),
            ("factors.item_damping", "0"),
            ("factors.user_damping", "0"),
            ("factors.spread", "false"),
            ("factors.regularisation", "0.003"),
        ],
    ),
    // Recall@10 0.1813. item_exponent 0 reaches 0.1757, 0.1 0.1783; the best cosine 0.1624.
    ("lastfm-tkgat", "ease", &[("regularisation", "200"), ("item_exponent", "0.2")]),
    // Recall@10 0.1756 with 100 neighbours, where cosines reach 0.1435.
    ("lastfm-tkgat", "item-to-item", &[("method", "ease"), ("regularisation", "200"), ("item_exponent", "0.2")]),
];

/// What an engine is set to for a protocol; empty where its defaults serve.
#[must_use]
pub fn recipe(protocol: &str, engine: &str) -> Settings {
    RECIPES.iter().find(|(of, name, _)| *of == protocol && *name == engine).map_or(&[], |(_, _, settings)| settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{engine::engine, protocol::protocol};

    #[test]
    fn every_recipe_is_for_a_protocol_and_an_engine_that_takes_it() {
        for (of, name, settings) in RECIPES {
            protocol(of).unwrap();
            let mut engine = engine(name).unwrap();
            for (setting, value) in *settings {
                engine.set(setting, value).unwrap();
            }
            assert_eq!(recipe(of, name), *settings, "{of} {name} stands once");
        }
    }
}
