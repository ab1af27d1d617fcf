//! What a request is worth when there is more to do than can be done: who is refused first.
//!
//! Which route is of which class stands in the table of routes. Must not know how many requests are in hand.

use http::{HeaderMap, HeaderName};

const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");

/// How much somebody waits for the answer, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A listener looks at a page.
    Page,
    /// A part of a page, and what is asked one by one.
    Recommend,
    /// Nobody waits for it now: what is fetched ahead, batches, lists, documentation.
    Background,
    /// Events. They wait for the disk of the bus and take little else: they have seats of their own.
    Events,
}

impl Class {
    /// Every class.
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [Self::Page, Self::Recommend, Self::Background, Self::Events];

    /// The class as metrics name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Recommend => "recommend",
            Self::Background => "background",
            Self::Events => "events",
        }
    }

    /// How many requests, of all classes, may be in hand before one of this class is refused.
    pub(super) fn allowed(self, limit: usize) -> usize {
        let percent = match self {
            Self::Page | Self::Events => 100,
            Self::Recommend => 90,
            Self::Background => 50,
        };
        (limit * percent).div_ceil(100)
    }

    /// The class of a request that may say of itself that it only fetches ahead.
    pub(crate) fn told_by(self, headers: &HeaderMap) -> Self {
        let ahead = [SEC_PURPOSE, PURPOSE]
            .iter()
            .filter_map(|name| headers.get(name))
            .filter_map(|value| value.to_str().ok())
            .any(|purpose| purpose.split([';', ',', ' ']).any(|word| word.eq_ignore_ascii_case("prefetch")));
        match self {
            Self::Page | Self::Recommend if ahead => Self::Background,
            Self::Page | Self::Recommend | Self::Background | Self::Events => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lower_classes_are_refused_first() {
        for limit in [1, 2, 8, 64, 512] {
            let [page, recommend, background, events] = Class::ALL.map(|class| class.allowed(limit));
            assert!(page == limit && events == limit && recommend <= page && background <= recommend && background > 0);
        }
        assert_eq!((Class::Recommend.allowed(20), Class::Background.allowed(20)), (18, 10));
    }

    #[test]
    fn who_fetches_ahead_says_so() {
        let with =
            |name: HeaderName, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        for headers in [with(SEC_PURPOSE, "prefetch;prerender"), with(PURPOSE, "Prefetch")] {
            assert_eq!(Class::Page.told_by(&headers), Class::Background);
            assert_eq!(Class::Recommend.told_by(&headers), Class::Background);
            assert_eq!(Class::Events.told_by(&headers), Class::Events);
        }
        assert_eq!(Class::Page.told_by(&with(PURPOSE, "prefetching")), Class::Page);
        assert_eq!(Class::Page.told_by(&HeaderMap::new()), Class::Page);
    }
}
