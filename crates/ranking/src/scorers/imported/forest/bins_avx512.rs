//! The search for bytes with AVX-512: a column's thresholds stay in registers, sixteen numbers search at once, and each
//! step of the search is a permutation instead of a load. It must not know what a byte means.

#![expect(
    unsafe_code,
    reason = "the instructions are reached by pointers, and by functions that not every machine can run"
)]

use std::arch::x86_64::{
    __m512, __m512i, _CMP_GT_OQ, _CMP_LE_OQ, _CMP_UNORD_Q, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_epi32,
    _mm512_cmp_ps_mask, _mm512_cvtepi32_epi8, _mm512_loadu_ps, _mm512_mask_add_epi32, _mm512_mask_blend_ps,
    _mm512_mask_mov_epi32, _mm512_permutex2var_ps, _mm512_permutexvar_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_si512, _mm512_sub_epi32, _mm512_test_epi32_mask,
};

use super::{
    bins::Column,
    plan::{Lane, ROWS},
    tree::ZERO,
};

/// How many numbers search at once.
const LANES: usize = 16;

/// As the plain way, where the machine can; whether it could.
pub(super) fn fill(column: &Column, numbers: &[f32; ROWS], bytes: &mut Lane) -> bool {
    if !is_x86_feature_detected!("avx512f") {
        return false;
    }
    // SAFETY: the machine has what the function is compiled for.
    unsafe {
        match column.depth() {
            4 => search::<4>(column, numbers, bytes),
            5 => search::<5>(column, numbers, bytes),
            6 => search::<6>(column, numbers, bytes),
            7 => search::<7>(column, numbers, bytes),
            8 => search::<8>(column, numbers, bytes),
            _ => return false,
        }
    }
    true
}

#[target_feature(enable = "avx512f")]
fn search<const DEPTH: usize>(column: &Column, numbers: &[f32; ROWS], bytes: &mut Lane) {
    // The first four levels are one register; each level after them has as many places as all before it and one.
    let mut top = [f32::INFINITY; LANES];
    for (place, threshold) in top.iter_mut().zip(column.places()) {
        *place = *threshold;
    }
    let top = load(&top);
    let fifth = level::<1>(column, 15);
    let sixth = if DEPTH > 5 { level::<2>(column, 31) } else { [top; 2] };
    let seventh = if DEPTH > 6 { level::<4>(column, 63) } else { [top; 4] };
    let eighth = if DEPTH > 7 { level::<8>(column, 127) } else { [top; 8] };
    let one = _mm512_set1_epi32(1);
    let (nan, zero) = column.missing();
    let nan = _mm512_set1_epi32(i32::from(nan));
    for (numbers, bytes) in numbers.as_chunks::<LANES>().0.iter().zip(bytes.as_chunks_mut::<LANES>().0) {
        let number = load(numbers);
        let step = |place: __m512i, threshold: __m512| {
            let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(number, threshold);
            let twice = _mm512_add_epi32(place, place);
            _mm512_mask_add_epi32(twice, above, twice, one)
        };
        let mut place = _mm512_setzero_si512();
        for _ in 0..4 {
            place = _mm512_add_epi32(step(place, _mm512_permutexvar_ps(place, top)), one);
        }
        place = _mm512_sub_epi32(place, _mm512_set1_epi32(15));
        if DEPTH > 4 {
            place = step(place, _mm512_permutexvar_ps(place, fifth[0]));
        }
        if DEPTH > 5 {
            place = step(place, pick(place, sixth[0], sixth[1]));
        }
        if DEPTH > 6 {
            let high = _mm512_test_epi32_mask(place, _mm512_set1_epi32(32));
            let (below, above) = (pick(place, seventh[0], seventh[1]), pick(place, seventh[2], seventh[3]));
            place = step(place, _mm512_mask_blend_ps(high, below, above));
        }
        if DEPTH > 7 {
            let high = _mm512_test_epi32_mask(place, _mm512_set1_epi32(32));
            let highest = _mm512_test_epi32_mask(place, _mm512_set1_epi32(64));
            let first =
                _mm512_mask_blend_ps(high, pick(place, eighth[0], eighth[1]), pick(place, eighth[2], eighth[3]));
            let second =
                _mm512_mask_blend_ps(high, pick(place, eighth[4], eighth[5]), pick(place, eighth[6], eighth[7]));
            place = step(place, _mm512_mask_blend_ps(highest, first, second));
        }
        place = _mm512_mask_mov_epi32(place, _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(number, number), nan);
        if let Some(zero) = zero {
            let is_zero = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(_mm512_abs_ps(number), _mm512_set1_ps(ZERO));
            place = _mm512_mask_mov_epi32(place, is_zero, _mm512_set1_epi32(i32::from(zero)));
        }
        // SAFETY: `bytes` is sixteen bytes, and the store asks for no alignment.
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(place)) };
    }
}

/// The numbers at these places of two registers.
#[target_feature(enable = "avx512f")]
fn pick(place: __m512i, low: __m512, high: __m512) -> __m512 {
    _mm512_permutex2var_ps(low, place, high)
}

/// A level's thresholds, from its first place on.
#[target_feature(enable = "avx512f")]
fn level<const REGISTERS: usize>(column: &Column, first: usize) -> [__m512; REGISTERS] {
    let (places, _) = column.places().get(first..).unwrap_or(&[]).as_chunks::<LANES>();
    let mut level = [_mm512_set1_ps(f32::INFINITY); REGISTERS];
    for (register, places) in level.iter_mut().zip(places) {
        *register = load(places);
    }
    level
}

#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32; LANES]) -> __m512 {
    // SAFETY: these are sixteen numbers, and the load asks for no alignment.
    unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
}
