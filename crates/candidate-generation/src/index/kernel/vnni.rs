//! The scan with AVX-512 VNNI: four products of bytes and their sum in each of sixteen lanes by one instruction. A
//! block's sixteen rows are the lanes, so that nothing is ever added across them.

#![expect(
    unsafe_code,
    reason = "the instructions are reached by pointers, and by functions that not every machine can run"
)]

use std::arch::x86_64::{
    _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_storeu_ps,
};

use releases::lists::LANES;

use super::Query;

/// As [`Query::scan`], where the machine can; whether it could.
pub(super) fn scan(query: &Query, codes: &[u8], steps: &[f32], out: &mut [f32]) -> bool {
    let can = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
    if can {
        // SAFETY: the machine has what the function is compiled for.
        unsafe { scan_blocks(query, codes, steps, out) };
    }
    can
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn scan_blocks(query: &Query, codes: &[u8], steps: &[f32], out: &mut [f32]) {
    let blocks = codes.chunks_exact(query.words.len() * 4 * LANES);
    let (steps, out) = (steps.as_chunks::<LANES>().0, out.as_chunks_mut::<LANES>().0);
    let step_of_query = _mm512_set1_ps(query.step);
    for ((block, steps), out) in blocks.zip(steps).zip(out) {
        let mut sum = _mm512_set1_epi32(-query.excess);
        for (four, word) in block.as_chunks::<{ 4 * LANES }>().0.iter().zip(&query.words) {
            // SAFETY: `four` is 64 bytes, and the load asks for no alignment.
            let four = unsafe { _mm512_loadu_si512(four.as_ptr().cast()) };
            sum = _mm512_dpbusd_epi32(sum, four, _mm512_set1_epi32(i32::from_ne_bytes(word.map(i8::cast_unsigned))));
        }
        // SAFETY: `steps` is sixteen numbers, and the load asks for no alignment.
        let steps = unsafe { _mm512_loadu_ps(steps.as_ptr()) };
        let products = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(step_of_query, steps));
        // SAFETY: `out` is sixteen numbers, and the store asks for no alignment.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), products) };
    }
}
