//! The search with AVX-512: sixteen numbers go down the tree together, and its nodes stay in registers.

#![expect(
    unsafe_code,
    reason = "the instructions are reached by pointers, and by functions that not every machine can run"
)]

use std::arch::x86_64::{
    __m512, __m512i, _CMP_GT_OQ, _mm_storeu_si128, _mm512_add_epi32, _mm512_cmp_ps_mask, _mm512_cvtepi32_epi8,
    _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_mask_or_epi32, _mm512_permutex2var_ps, _mm512_permutexvar_ps,
    _mm512_set1_epi32, _mm512_sub_epi32, _mm512_test_epi32_mask,
};

use super::Search;

/// As [`Search::bins`], where the machine can; whether it could.
pub(super) fn bins(search: &Search, numbers: &[f32], bins: &mut [u8]) -> bool {
    let can = is_x86_feature_detected!("avx512f");
    if can {
        // SAFETY: the machine has what the functions are compiled for.
        unsafe {
            match search.levels {
                ..=4 => descend::<4>(search, numbers, bins),
                5 => descend::<5>(search, numbers, bins),
                6 => descend::<6>(search, numbers, bins),
                7 => descend::<7>(search, numbers, bins),
                _ => descend::<8>(search, numbers, bins),
            }
        }
    }
    can
}

#[target_feature(enable = "avx512f")]
fn descend<const LEVELS: usize>(search: &Search, numbers: &[f32], bins: &mut [u8]) {
    let rows = search.nodes.as_chunks::<16>().0;
    // SAFETY: a row is sixteen numbers, and the load asks for no alignment.
    let load = |row: usize| unsafe { _mm512_loadu_ps(rows[row].as_ptr()) };
    let mut nodes = [load(0); 16];
    for (row, node) in nodes.iter_mut().enumerate() {
        *node = load(row);
    }
    let count = numbers.len().min(bins.len());
    let ((numbers, rest), (bins, last)) = (numbers[..count].as_chunks::<16>(), bins[..count].as_chunks_mut::<16>());
    for (numbers, bins) in numbers.iter().zip(bins) {
        sixteen::<LEVELS>(&nodes, numbers, bins);
    }
    if !rest.is_empty() {
        let (mut numbers, mut bins) = ([0.0; 16], [0; 16]);
        numbers[..rest.len()].copy_from_slice(rest);
        sixteen::<LEVELS>(&nodes, &numbers, &mut bins);
        last.copy_from_slice(&bins[..last.len()]);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sixteen<const LEVELS: usize>(nodes: &[__m512; 16], numbers: &[f32; 16], bins: &mut [u8; 16]) {
    // SAFETY: sixteen numbers, and the load asks for no alignment.
    let numbers = unsafe { _mm512_loadu_ps(numbers.as_ptr()) };
    let one = _mm512_set1_epi32(1);
    let mut node = one;
    for level in 0..LEVELS {
        let border = borders(nodes, node, level);
        let beyond = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(numbers, border);
        node = _mm512_add_epi32(node, node);
        node = _mm512_mask_or_epi32(node, beyond, node, one);
    }
    let found = _mm512_cvtepi32_epi8(_mm512_sub_epi32(node, _mm512_set1_epi32(1 << LEVELS)));
    // SAFETY: sixteen bytes, and the store asks for no alignment.
    unsafe { _mm_storeu_si128(bins.as_mut_ptr().cast(), found) };
}

/// The borders that the nodes of one level ask for; only the low bits of a node choose, so that each level's nodes
/// begin at the row where they stand.
#[inline]
#[target_feature(enable = "avx512f")]
fn borders(nodes: &[__m512; 16], node: __m512i, level: usize) -> __m512 {
    let two = |row: usize| _mm512_permutex2var_ps(nodes[row], node, nodes[row + 1]);
    let bit = |bit: i32| _mm512_test_epi32_mask(node, _mm512_set1_epi32(bit));
    match level {
        0..=3 => _mm512_permutexvar_ps(node, nodes[0]),
        4 => _mm512_permutexvar_ps(node, nodes[1]),
        5 => two(2),
        6 => _mm512_mask_blend_ps(bit(32), two(4), two(6)),
        _ => _mm512_mask_blend_ps(
            bit(64),
            _mm512_mask_blend_ps(bit(32), two(8), two(10)),
            _mm512_mask_blend_ps(bit(32), two(12), two(14)),
        ),
    }
}
