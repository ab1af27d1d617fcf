//! The evaluation with AVX-512: 64 rows answer a question with one comparison of bytes, and a byte of each of their
//! leaves is looked up with one permutation. Four bytes together are the number itself, so that nothing is rounded.

#![expect(
    unsafe_code,
    reason = "the instructions are reached by pointers, and by functions that not every machine can run"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_ps, _mm512_castsi512_ps, _mm512_cmpgt_epu8_mask, _mm512_load_ps, _mm512_load_si512,
    _mm512_mask_add_epi8, _mm512_mask_blend_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8,
    _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_store_ps, _mm512_unpackhi_epi8,
    _mm512_unpackhi_epi16, _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
};

use super::{
    super::bins::{BLOCK, Lane},
    Kernel, Plane, Question,
};

/// Rows that one register of bytes holds.
const ROWS: usize = 64;

/// The sums while they grow. Within 64 rows, sixteen numbers of quarter `q` are the rows `4q` to `4q + 3` of each 16:
/// so the bytes fall when they are put together.
#[repr(C, align(64))]
struct Sums([[f32; 16]; BLOCK / 16]);

/// As the plain evaluation, where the machine can; whether it could.
pub(super) fn block(kernel: &Kernel, lanes: &[Lane], rows: usize, sums: &mut [f32; BLOCK]) -> bool {
    let can = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi");
    if can {
        // SAFETY: the machine has what the function is compiled for.
        unsafe { trees(kernel, lanes, rows.div_ceil(ROWS), sums) };
    }
    can
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn trees(kernel: &Kernel, lanes: &[Lane], parts: usize, out: &mut [f32; BLOCK]) {
    let mut sums = Sums([[0.0; 16]; BLOCK / 16]);
    for tree in &kernel.trees {
        let first = 4 * tree.first as usize;
        let Some(planes) = kernel.planes.get(first..first + 4 * tree.units()) else { continue };
        let questions = &tree.questions;
        match tree.depth {
            1 => add::<1>(questions, planes, lanes, parts, &mut sums),
            2 => add::<2>(questions, planes, lanes, parts, &mut sums),
            3 => add::<3>(questions, planes, lanes, parts, &mut sums),
            4 => add::<4>(questions, planes, lanes, parts, &mut sums),
            5 => add::<5>(questions, planes, lanes, parts, &mut sums),
            6 => add::<6>(questions, planes, lanes, parts, &mut sums),
            7 => add::<7>(questions, planes, lanes, parts, &mut sums),
            _ => add::<8>(questions, planes, lanes, parts, &mut sums),
        }
    }
    for (row, out) in out.iter_mut().enumerate() {
        let (part, sixteen, quarter, place) = (row / 64, row / 16 % 4, row / 4 % 4, row % 4);
        *out = sums.0[part * 4 + quarter][sixteen * 4 + place];
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn add<const DEPTH: usize>(questions: &[Question; 8], planes: &[Plane], lanes: &[Lane], parts: usize, sums: &mut Sums) {
    // The bytes of the leaves: up to four registers of 64 for each of the four bytes.
    let units = planes.len() / 4;
    let mut leaves = [[_mm512_setzero_si512(); 4]; 4];
    for (byte, leaves) in leaves.iter_mut().enumerate() {
        for (unit, register) in leaves.iter_mut().enumerate().take(1 << DEPTH.saturating_sub(6)) {
            *register = load(&planes[byte * units + unit].0, 0);
        }
    }
    let (mut borders, mut columns) = ([_mm512_setzero_si512(); DEPTH], [&lanes[0]; DEPTH]);
    for n in 0..DEPTH {
        borders[n] = _mm512_set1_epi8(questions[n].border.cast_signed());
        columns[n] = &lanes[usize::from(questions[n].lane)];
    }
    for (part, sums) in sums.0.as_chunks_mut::<4>().0.iter_mut().enumerate().take(parts) {
        let mut place = _mm512_setzero_si512();
        for n in 0..DEPTH {
            let beyond = _mm512_cmpgt_epu8_mask(load(&columns[n].0, part), borders[n]);
            place = _mm512_mask_add_epi8(place, beyond, place, _mm512_set1_epi8((1_u8 << n).cast_signed()));
        }
        let [a, b, c, d] = [
            look_up::<DEPTH>(&leaves[0], place),
            look_up::<DEPTH>(&leaves[1], place),
            look_up::<DEPTH>(&leaves[2], place),
            look_up::<DEPTH>(&leaves[3], place),
        ];
        let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (upper_low, upper_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
        let [w, x, y, z] = sums;
        grow(w, _mm512_unpacklo_epi16(low, upper_low));
        grow(x, _mm512_unpackhi_epi16(low, upper_low));
        grow(y, _mm512_unpacklo_epi16(high, upper_high));
        grow(z, _mm512_unpackhi_epi16(high, upper_high));
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up<const DEPTH: usize>(leaves: &[__m512i; 4], place: __m512i) -> __m512i {
    let [a, b, c, d] = *leaves;
    match DEPTH {
        ..=6 => _mm512_permutexvar_epi8(place, a),
        7 => _mm512_permutex2var_epi8(a, place, b),
        _ => _mm512_mask_blend_epi8(
            _mm512_movepi8_mask(place),
            _mm512_permutex2var_epi8(a, place, b),
            _mm512_permutex2var_epi8(c, place, d),
        ),
    }
}

/// Adds sixteen numbers, given as their bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn grow(sums: &mut [f32; 16], numbers: __m512i) {
    // SAFETY: the sums are sixteen numbers, and stand at a multiple of 64 bytes, as all of `Sums` does.
    unsafe {
        let sum = _mm512_add_ps(_mm512_load_ps(sums.as_ptr()), _mm512_castsi512_ps(numbers));
        _mm512_store_ps(sums.as_mut_ptr(), sum);
    }
}

/// 64 bytes of a lane or a plane.
#[inline]
#[target_feature(enable = "avx512f")]
fn load<const N: usize>(bytes: &[u8; N], part: usize) -> __m512i {
    let bytes: &[u8; ROWS] = &bytes.as_chunks().0[part];
    // SAFETY: 64 bytes, at a multiple of 64 as lanes and planes are aligned.
    unsafe { _mm512_load_si512(bytes.as_ptr().cast()) }
}
