//! Generated from `proto/` and committed, so that a build needs neither a generator nor `protoc`, and a
//! change of a contract is read in review. `tests/wire` fails when it is not fresh and writes it anew
//! with `UPDATE_GENERATED=1`. Nothing outside this crate may see these types.

#![expect(unreachable_pub, reason = "the generator writes `pub`; this module is private")]

/// The descriptors of all contracts, for reflection.
pub(crate) const DESCRIPTOR: &[u8] = include_bytes!("descriptor.bin");

pub mod common {
    pub mod v1 {
        include!("setlist.common.v1.rs");
    }
}

pub mod candidates {
    pub mod v1 {
        include!("setlist.candidates.v1.rs");
    }
}

pub mod ranking {
    pub mod v1 {
        include!("setlist.ranking.v1.rs");
    }
}

pub mod catalogue {
    pub mod v1 {
        include!("setlist.catalogue.v1.rs");
    }
}

pub mod profiles {
    pub mod v1 {
        include!("setlist.profiles.v1.rs");
    }
}

pub mod events {
    pub mod v1 {
        include!("setlist.events.v1.rs");
    }
}

pub mod records {
    pub mod v1 {
        include!("setlist.records.v1.rs");
    }
}

pub mod releases {
    pub mod v1 {
        include!("setlist.releases.v1.rs");
    }
}
