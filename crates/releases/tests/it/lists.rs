//! The lists over the factors: read where the file is mapped, and refused where they are not sound.

use releases::{
    Factors, Lists, Parts, Release, Writer,
    lists::{LANES, NOBODY, ZERO},
    vectors,
};

use crate::world::{World, meta, parts, world};

/// All rows of these factors in two lists, by parity, longest first.
fn lists(factors: &Factors) -> Lists {
    let stride = factors.stride();
    let (mut starts, mut rows, mut lengths) = (vec![0], Vec::new(), Vec::new());
    for parity in 0..2 {
        let mut of_list: Vec<u32> = (0..factors.rows as u32).filter(|row| row % 2 == parity).collect();
        let length = |row: u32| vectors::dot(factors.row(row), factors.row(row)).sqrt();
        of_list.sort_by(|a, b| length(*b).total_cmp(&length(*a)));
        for block in of_list.chunks(LANES) {
            lengths.push(length(block[0]));
            rows.extend(block);
            rows.resize(rows.len().next_multiple_of(LANES), NOBODY);
        }
        starts.push(lengths.len() as u32);
    }
    let (mut steps, mut codes) = (vec![0.0; rows.len()], vec![ZERO; rows.len() * stride]);
    for (place, row) in rows.iter().enumerate().filter(|(_, row)| **row != NOBODY) {
        let row = factors.row(*row);
        let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        steps[place] = largest / 127.0;
        for (factor, value) in row.iter().enumerate() {
            let code = (value / steps[place]).round() as i8;
            codes[Lists::code_at(stride, place, factor)] = (i16::from(code) + i16::from(ZERO)) as u8;
        }
    }
    Lists {
        stride,
        of_rows: factors.rows,
        centres: vec![0.25; 2 * stride].into(),
        spreads: vec![0.5; 2].into(),
        starts: starts.into(),
        lengths: lengths.into(),
        rows: rows.into(),
        steps: steps.into(),
        codes: codes.into(),
    }
}

fn listed(rows: usize, salt: u64) -> Parts {
    let parts = parts(rows, salt);
    Parts { lists: parts.factors.as_ref().map(lists), ..parts }
}

#[test]
fn a_large_release_is_read_where_its_files_are_mapped() {
    let World { store, tenant, folder } = world();
    let parts = listed(9_000, 1);
    let id = store.write(&tenant, &parts, meta(1)).unwrap();
    let release = store.load(&tenant, &id).unwrap();
    assert_eq!(release.factors, parts.factors);
    assert_eq!(release.lists.as_deref(), parts.lists.as_ref());
    // Whoever removes a release leaves those who read it what they read.
    std::fs::remove_dir_all(folder.path().join("demo").join(id.as_str())).unwrap();
    assert_eq!(release.factors, parts.factors);
    assert_eq!(release.lists.as_deref(), parts.lists.as_ref());
}

#[test]
fn lists_that_are_not_sound_are_refused_with_what_is_wrong() {
    let World { tenant, .. } = world();
    let refused = |change: &dyn Fn(&mut Parts)| {
        let mut parts = listed(100, 1);
        change(&mut parts);
        Release::in_memory(tenant.clone(), meta(1), parts).map(drop).map_err(|error| error.reason())
    };
    fn edit<T: bytemuck::Pod>(array: &mut releases::Array<T>, change: impl Fn(&mut Vec<T>)) {
        let mut values = array.to_vec();
        change(&mut values);
        *array = values.into();
    }
    let of = |change: &dyn Fn(&mut Lists)| refused(&|parts| change(parts.lists.as_mut().unwrap()));
    assert_eq!(refused(&|_| {}), Ok(()));
    assert_eq!(refused(&|parts| parts.factors = None), Err("check_failed"));
    assert_eq!(refused(&|parts| parts.factors = self::parts(100, 2).factors), Err("check_failed"));
    assert_eq!(refused(&|parts| parts.lists = listed(101, 1).lists), Err("wrong_dimension"));
    assert_eq!(of(&|lists| lists.stride = 8), Err("wrong_dimension"));
    assert_eq!(of(&|lists| edit(&mut lists.rows, |rows| rows[1] = rows[0])), Err("out_of_order"));
    assert_eq!(of(&|lists| edit(&mut lists.rows, |rows| rows[1] = 100)), Err("out_of_range"));
    assert_eq!(of(&|lists| edit(&mut lists.rows, |rows| rows.swap(0, 1))), Err("check_failed"));
    assert_eq!(of(&|lists| edit(&mut lists.starts, |starts| starts[1] = 99)), Err("out_of_order"));
    assert_eq!(of(&|lists| edit(&mut lists.starts, |starts| starts[0] = 1)), Err("out_of_order"));
    assert_eq!(of(&|lists| edit(&mut lists.lengths, |lengths| lengths.reverse())), Err("out_of_order"));
    assert_eq!(of(&|lists| edit(&mut lists.steps, |steps| steps[3] = f32::NAN)), Err("not_finite"));
    assert_eq!(of(&|lists| edit(&mut lists.spreads, |spreads| spreads[0] = f32::INFINITY)), Err("not_finite"));
    assert_eq!(of(&|lists| edit(&mut lists.centres, |centres| centres.truncate(8))), Err("wrong_dimension"));
    assert_eq!(of(&|lists| edit(&mut lists.codes, |codes| codes.truncate(64))), Err("wrong_dimension"));
    assert_eq!(of(&|lists| edit(&mut lists.codes, |codes| codes.fill(ZERO))), Err("check_failed"));
}

#[test]
fn a_file_of_lists_that_was_tampered_with_is_refused() {
    let World { store, tenant, folder } = world();
    let sound = std::fs::read({
        let id = store.write(&tenant, &listed(300, 1), meta(1)).unwrap();
        folder.path().join("demo").join(id.as_str()).join("lists.bin")
    })
    .unwrap();
    let parts = parts(300, 1);
    let written = |bytes: &[u8]| {
        let mut writer: Writer = store.writer(&tenant).unwrap();
        writer.add_parts(&parts).unwrap();
        writer.add_file("lists.bin", bytes).unwrap();
        let id = writer.commit(meta(2)).unwrap();
        store.load(&tenant, &id).map(drop).map_err(|error| error.reason())
    };
    assert_eq!(written(&sound), Ok(()));
    for cut in [1, 4, 64, 500, sound.len() - 65, sound.len() - 64, sound.len() - 1] {
        assert_eq!(written(&sound[..sound.len() - cut]), Err("wrong_length"), "{cut} bytes short");
    }
    assert_eq!(written(&[]), Err("empty"));
    assert_eq!(written(&[&sound[..], &[0; 4]].concat()), Err("wrong_length"));
    let with = |at: usize, value: u64| {
        let mut bytes = sound.clone();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        written(&bytes)
    };
    assert_eq!(with(8, 2), Err("wrong_header"), "another kind");
    assert_eq!(with(16, 301), Err("wrong_dimension"), "other rows");
    assert!(matches!(with(24, 1 << 62), Err("wrong_length" | "out_of_range")), "numbers of a row");
    assert!(matches!(with(32, 1 << 62), Err("wrong_length" | "out_of_range")), "blocks");
}
