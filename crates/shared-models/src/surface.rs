//! Surfaces: what a product team writes. The plan compiler in `edge-api` turns one into plans.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap,
};

use crate::{
    ItemId, ShelfId, SurfaceId,
    component::{FilterName, FilterParams, SourceName, SourceParams},
    explore::{NewItems, ShelfExplore},
    plan::{FilterPlan, Objective, ShelfOrder},
};

/// A named, versioned place where recommendations show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// Its name, as it stands in the URL.
    pub surface: SurfaceId,
    /// The team that answers for it.
    pub owner: String,
    /// How long an answer may take, such as `80ms`; 5ms to 10s.
    #[serde(default = "default_budget", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub budget: Duration,
    /// The shelves, 1 to 20.
    #[schemars(length(min = 1, max = 20))]
    pub shelves: Vec<Shelf>,
    /// How shelves are ordered.
    #[serde(default)]
    pub order: ShelfOrder,
    /// What an answer falls back to when candidates are missing.
    #[serde(default)]
    pub fallback: Fallback,
    /// Whether a request must name the items it is about (`seed_items`).
    #[serde(default)]
    pub about_items: bool,
}

fn default_budget() -> Duration {
    Duration::from_millis(150)
}

/// What an answer falls back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The listener's last good page, else what is popular in the market.
    #[default]
    Popular,
    /// Empty shelves: for surfaces where a popular item would be wrong.
    Empty,
}

/// A titled row of cards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shelf {
    /// Its name, unique on the surface.
    pub id: ShelfId,
    /// What a listener reads above it.
    pub title: String,
    /// Where candidates come from, 1 to 10.
    #[schemars(length(min = 1, max = 10))]
    pub sources: Vec<ShelfSource>,
    /// What drops them, in order. `excluded_by_request` is always there.
    #[serde(default)]
    pub filters: Vec<ShelfFilter>,
    /// What a card is worth.
    #[serde(default = "default_objective")]
    pub objective: Objective,
    /// The rules of selection.
    #[serde(default)]
    pub slate: ShelfSlate,
    /// The most candidates it may keep, 1..=2,000.
    #[serde(default = "default_candidates")]
    #[schemars(range(min = 1, max = 2000))]
    pub candidates: u32,
    /// The slot of the page it is pinned to, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
}

fn default_objective() -> Objective {
    Objective { play: 1.0, ..Objective::default() }
}

fn default_candidates() -> u32 {
    500
}

/// A shelf's source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShelfSource {
    /// Which source.
    pub name: SourceName,
    /// How many candidates the shelf takes from it, 1..=2,000.
    #[serde(default = "default_source_limit")]
    #[schemars(range(min = 1, max = 2000))]
    pub limit: u32,
    /// Its settings.
    #[serde(default)]
    pub params: SourceParams,
}

fn default_source_limit() -> u32 {
    100
}

/// A shelf's filter: a name, or a name with settings (`not_recently_played: { within: 14d }`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShelfFilter(pub FilterPlan);

impl Serialize for ShelfFilter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.params == FilterParams::default() {
            serializer.serialize_str(self.0.name.as_str())
        } else {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(self.0.name.as_str(), &self.0.params)?;
            map.end()
        }
    }
}

impl<'de> Deserialize<'de> for ShelfFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrMap;

        impl<'de> Visitor<'de> for NameOrMap {
            type Value = ShelfFilter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a filter's name, or one name with its settings such as `impression_cap: { max: 5, within: 7d }`",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ShelfFilter, E> {
                let name: FilterName = text.parse().map_err(E::custom)?;
                Ok(ShelfFilter(FilterPlan { name, params: name.defaults() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ShelfFilter, A::Error> {
                let Some(key) = map.next_key::<String>()? else {
                    return Err(de::Error::custom("a filter has no name"));
                };
                let name: FilterName = key.parse().map_err(de::Error::custom)?;
                let given: FilterParams = map.next_value()?;
                if let Some(second) = map.next_key::<String>()? {
                    return Err(de::Error::custom(format_args!(
                        "a list entry holds two filters, {key} and {second}; give each its own `-`"
                    )));
                }
                let defaults = name.defaults();
                let params = FilterParams { within: given.within.or(defaults.within), max: given.max.or(defaults.max) };
                Ok(ShelfFilter(FilterPlan { name, params }))
            }
        }

        deserializer.deserialize_any(NameOrMap)
    }
}

impl schemars::JsonSchema for ShelfFilter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ShelfFilter".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let name = generator.subschema_for::<FilterName>();
        let params = generator.subschema_for::<FilterParams>();
        let names: Vec<&str> = FilterName::ALL.iter().map(|n| n.as_str()).collect();
        schemars::json_schema!({
            "oneOf": [name, {
                "type": "object",
                "propertyNames": { "enum": names },
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": params
            }]
        })
    }
}

/// A shelf's rules of selection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShelfSlate {
    /// The most cards, 1..=100.
    #[schemars(range(min = 1, max = 100))]
    pub size: u16,
    /// The most cards of one artist; 0 is no cap.
    pub max_per_artist: u16,
    /// 0..=1: how much difference counts against score.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub diversity: f32,
    /// How positions are left to chance: a share of them, or a policy.
    pub explore: ShelfExplore,
    /// Positions that are kept for new items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_items: Option<NewItems>,
    /// Cards set at a place.
    pub pins: Vec<ShelfPin>,
}

impl Default for ShelfSlate {
    fn default() -> Self {
        Self {
            size: 20,
            max_per_artist: 0,
            diversity: 0.0,
            explore: ShelfExplore::default(),
            new_items: None,
            pins: Vec::new(),
        }
    }
}

/// A card the surface sets at a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShelfPin {
    /// The item.
    pub item: ItemId,
    /// The position, from 0.
    pub position: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let shown = match serde_json::from_str::<ShelfFilter>(json) {
            Ok(filter) => format!("{:?}", filter.0),
            Err(error) => error.to_string(),
        };
        assert!(shown.contains(expected), "{json}: {shown}");
    }

    #[test]
    fn filter_is_a_name_or_a_name_with_settings() {
        check(r#""not_hidden""#, "name: NotHidden");
        check(r#""not_recently_played""#, "within: Some(1209600s)");
        check(r#"{"impression_cap": {"max": 3}}"#, "within: Some(604800s), max: Some(3)");
        check(r#"{"impression_cap": {"maxx": 3}}"#, "unknown field `maxx`, expected `within` or `max`");
        check(r#""not_hiden""#, "filter \"not_hiden\" is not known");
        check(r#"{"not_hidden": {}, "impression_cap": {}}"#, "two filters");
    }
}
