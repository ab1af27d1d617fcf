//! Exploration: how a shelf leaves some of its positions to chance, as a surface writes it and as a plan carries it.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::component::ExplorePolicy;

/// How the positions of a shelf are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
pub enum Explore {
    /// The best card, always.
    #[default]
    None,
    /// With probability `share` one of the eligible cards evenly, else the best.
    Epsilon {
        /// 0..=1.
        share: f32,
    },
    /// Plackett–Luce: each card with a probability that grows with its value.
    Softmax {
        /// How far apart two values must be for the better to be `e` times as likely, where the shelf's best
        /// candidate has the value 1 and the last of its pool 0. More than 0.
        temperature: f32,
    },
    /// Thompson sampling: each card with the probability that it is the best, by what is known of each item.
    Thompson {
        /// How many impressions the release's word for an item counts for. More than 0.
        prior: f32,
        /// A factor on how much is taken to be unknown; 1 is Thompson sampling.
        spread: f32,
    },
}

impl Explore {
    /// Whether no position is left to chance.
    #[must_use]
    pub fn is_off(self) -> bool {
        match self {
            Self::None => true,
            Self::Epsilon { share } => share == 0.0,
            Self::Softmax { .. } | Self::Thompson { .. } => false,
        }
    }

    /// The first setting that is out of its range: its name, what is given, what would be right.
    #[must_use]
    pub fn out_of_range(self) -> Option<(&'static str, f32, &'static str)> {
        let bad = |key, value: f32, (least, most): (f32, f32), expected| {
            (!(least..=most).contains(&value)).then_some((key, value, expected))
        };
        match self {
            Self::None => None,
            Self::Epsilon { share } => bad("share", share, (0.0, 1.0), "a number from 0 to 1"),
            Self::Softmax { temperature } => {
                bad("temperature", temperature, (0.001, 10.0), "a number from 0.001 to 10")
            }
            Self::Thompson { prior, spread } => {
                bad("prior", prior, (1.0, 100_000.0), "a number of impressions from 1 to 100000")
                    .or_else(|| bad("spread", spread, (0.0, 10.0), "a number from 0 to 10"))
            }
        }
    }
}

/// Positions of a shelf that are kept for new items. An item that is shown often enough already, or is known to be worse
/// than what the shelf shows otherwise, gets none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewItems {
    /// How many positions, 1..=20.
    #[serde(default = "NewItems::slots")]
    #[schemars(range(min = 1, max = 20))]
    pub slots: u16,
    /// The first of them, from 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 99))]
    pub from: u16,
    /// 0..=1: how often each of them goes to a new item.
    #[serde(default = "NewItems::share")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f32,
    /// An item is new for so long after it came out, such as `30d`,
    #[serde(default = "NewItems::younger", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub younger: Duration,
    /// while it was shown less often than this.
    #[serde(default = "NewItems::shown_below")]
    #[schemars(range(min = 1.0, max = 1_000_000.0))]
    pub shown_below: f32,
    /// The budget: so many impressions an hour of one item; while it has more it gets no kept position.
    #[serde(default = "NewItems::hourly")]
    #[schemars(range(min = 0.1, max = 1_000_000.0))]
    pub hourly: f32,
}

impl NewItems {
    fn slots() -> u16 {
        1
    }

    fn share() -> f32 {
        0.5
    }

    fn younger() -> Duration {
        Duration::from_secs(30 * 86_400)
    }

    fn shown_below() -> f32 {
        200.0
    }

    fn hourly() -> f32 {
        20.0
    }

    /// The first setting that is out of its range: its name, what is given, what would be right.
    #[must_use]
    pub fn out_of_range(&self) -> Option<(&'static str, String, &'static str)> {
        let most = Duration::from_secs(366 * 86_400);
        let Self { slots, from, share, younger, shown_below, hourly } = *self;
        let all = [
            ("slots", (1..=20).contains(&slots), slots.to_string(), "1 to 20"),
            ("from", from < 100, from.to_string(), "0 to 99"),
            ("share", (0.0..=1.0).contains(&share), share.to_string(), "a number from 0 to 1"),
            (
                "younger",
                !younger.is_zero() && younger <= most,
                format!("{younger:?}"),
                "more than 0 and at most one year",
            ),
            ("shown_below", (1.0..=1e6).contains(&shown_below), shown_below.to_string(), "a number from 1 to 1000000"),
            ("hourly", (0.1..=1e6).contains(&hourly), hourly.to_string(), "a number from 0.1 to 1000000"),
        ];
        all.into_iter().find(|(_, fits, _, _)| !fits).map(|(key, _, given, expected)| (key, given, expected))
    }
}

/// A shelf's exploration in a surface file: a share of positions drawn evenly (`explore: 0.05`), or a policy with its
/// settings (`explore: { policy: softmax, temperature: 0.1 }`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShelfExplore(pub ExploreSettings);

/// A policy and its settings, as they are given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExploreSettings {
    /// Which policy.
    pub policy: ExplorePolicy,
    /// `epsilon`: 0..=1, the share of positions drawn evenly from the eligible cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: Option<f32>,
    /// `softmax`: how far apart two values must be for the better to be `e` times as likely, where the shelf's best
    /// candidate has the value 1 and the last of its pool 0; 0.001..=10, and 0.1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 10.0))]
    pub temperature: Option<f32>,
    /// `thompson`: how many impressions the release's word for an item counts for; 1..=100,000, and 20 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 100_000.0))]
    pub prior: Option<f32>,
    /// `thompson`: a factor on how much is taken to be unknown; 0..=10, and 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub spread: Option<f32>,
}

impl ExplorePolicy {
    /// The settings this policy reads.
    #[must_use]
    pub fn params(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Epsilon => &["share"],
            Self::Softmax => &["temperature"],
            Self::Thompson => &["prior", "spread"],
        }
    }
}

impl ShelfExplore {
    fn share(share: f32) -> Self {
        Self(ExploreSettings { policy: ExplorePolicy::Epsilon, share: Some(share), ..ExploreSettings::none() })
    }

    /// What the plan carries, with the defaults filled in.
    #[must_use]
    pub fn plan(self) -> Explore {
        let ExploreSettings { policy, share, temperature, prior, spread } = self.0;
        match policy {
            ExplorePolicy::None => Explore::None,
            // A share of nothing is none: so it reads back from the wire.
            ExplorePolicy::Epsilon => match share.unwrap_or(0.0) {
                0.0 => Explore::None,
                share => Explore::Epsilon { share },
            },
            ExplorePolicy::Softmax => Explore::Softmax { temperature: temperature.unwrap_or(0.1) },
            ExplorePolicy::Thompson => {
                Explore::Thompson { prior: prior.unwrap_or(20.0), spread: spread.unwrap_or(1.0) }
            }
        }
    }

    /// Which settings are given.
    #[must_use]
    pub fn given(self) -> Vec<&'static str> {
        let ExploreSettings { policy: _, share, temperature, prior, spread } = self.0;
        let all = [("share", share), ("temperature", temperature), ("prior", prior), ("spread", spread)];
        all.into_iter().filter_map(|(name, value)| value.map(|_| name)).collect()
    }
}

impl ExploreSettings {
    const fn none() -> Self {
        Self { policy: ExplorePolicy::None, share: None, temperature: None, prior: None, spread: None }
    }
}

impl Default for ShelfExplore {
    fn default() -> Self {
        Self::share(0.0)
    }
}

impl Serialize for ShelfExplore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ExploreSettings { policy: ExplorePolicy::Epsilon, share: Some(share), .. } => {
                serializer.serialize_f32(share)
            }
            settings => settings.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ShelfExplore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShareOrPolicy;

        impl<'de> Visitor<'de> for ShareOrPolicy {
            type Value = ShelfExplore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share from 0 to 1, or a policy with its settings such as `{ policy: softmax, temperature: 0.1 }`")
            }

            fn visit_f64<E: de::Error>(self, share: f64) -> Result<ShelfExplore, E> {
                Ok(ShelfExplore::share(share as f32))
            }

            fn visit_i64<E: de::Error>(self, share: i64) -> Result<ShelfExplore, E> {
                Ok(ShelfExplore::share(share as f32))
            }

            fn visit_u64<E: de::Error>(self, share: u64) -> Result<ShelfExplore, E> {
                Ok(ShelfExplore::share(share as f32))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ShelfExplore, A::Error> {
                ExploreSettings::deserialize(MapAccessDeserializer::new(map)).map(ShelfExplore)
            }
        }

        deserializer.deserialize_any(ShareOrPolicy)
    }
}

impl schemars::JsonSchema for ShelfExplore {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ShelfExplore".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let settings = generator.subschema_for::<ExploreSettings>();
        schemars::json_schema!({
            "description": "A share of positions drawn evenly, or a policy with its settings.",
            "oneOf": [{ "type": "number", "minimum": 0.0, "maximum": 1.0 }, settings]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let shown = match serde_json::from_str::<ShelfExplore>(json) {
            Ok(explore) => format!("{:?}", explore.plan()),
            Err(error) => error.to_string(),
        };
        assert!(shown.contains(expected), "{json}: {shown}");
    }

    #[test]
    fn exploration_is_a_share_or_a_policy_with_its_settings() {
        check("0.05", "Epsilon { share: 0.05 }");
        check("1", "Epsilon { share: 1.0 }");
        check(r#"{"policy": "none"}"#, "None");
        check(r#"{"policy": "epsilon", "share": 0.1}"#, "Epsilon { share: 0.1 }");
        check(r#"{"policy": "softmax"}"#, "Softmax { temperature: 0.1 }");
        check(r#"{"policy": "thompson", "prior": 50}"#, "Thompson { prior: 50.0, spread: 1.0 }");
        check(r#"{"policy": "softmax", "temprature": 1}"#, "unknown field `temprature`, expected one of `policy`");
        check(r#"{"policy": "softmix"}"#, "unknown variant `softmix`, expected one of `none`");
        check(r#"{"share": 0.1}"#, "missing field `policy`");
        check(r#""often""#, "a share from 0 to 1, or a policy");
    }

    #[test]
    fn a_share_is_written_as_a_number() {
        let json = |text: &str| serde_json::to_string(&serde_json::from_str::<ShelfExplore>(text).unwrap()).unwrap();
        assert_eq!(json("0.5"), "0.5");
        assert_eq!(json(r#"{"policy":"thompson","prior":8}"#), r#"{"policy":"thompson","prior":8.0}"#);
    }
}
