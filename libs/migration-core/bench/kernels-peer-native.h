/*
 * For kernels-peer.c: kernels made of instructions that WebAssembly does not have. They show what a native program
 * could gain, and are compared with nothing.
 */
#if defined(__SSE4_2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

/**
 * Delta encoding with the instructions of AVX-512 that seem made for it, which WebAssembly has no way to use. Says 0 where
 * the processor has none.
 */
static int encodeDeltasByHand(uint8_t *const *bases, uint8_t *const *nexts, uint32_t count, uint64_t *lineMasks,
                              uint8_t *wordMasks, uint8_t *literals, uint32_t *used) {
#ifdef __AVX512F__
  uint8_t *wordMask = wordMasks, *literal = literals;
  for (uint32_t index = 0; index < count; index++) {
    const uint8_t *base = bases[index], *next = nexts[index];
    uint64_t lines = 0;
    for (int line = 0; line < 64; line++) {
      const __mmask8 differ = _mm512_cmpneq_epi64_mask(_mm512_loadu_si512(base + line * LINE_BYTES),
                                                       _mm512_loadu_si512(next + line * LINE_BYTES));
      lines |= (uint64_t)(differ != 0) << line;
    }
    lineMasks[index] = lines;
    for (uint64_t rest = lines; rest; rest &= rest - 1) {
      const int at = __builtin_ctzll(rest) * LINE_BYTES;
      const __m512i words = _mm512_loadu_si512(next + at);
      const __mmask8 differ = _mm512_cmpneq_epi64_mask(_mm512_loadu_si512(base + at), words);
      *wordMask++ = differ;
      _mm512_storeu_si512(literal, _mm512_maskz_compress_epi64(differ, words));
      literal += 8 * __builtin_popcount(differ);
    }
  }
  used[0] = (uint32_t)(wordMask - wordMasks);
  used[1] = (uint32_t)(literal - literals);
  return 1;
#else
  (void)bases, (void)nexts, (void)count, (void)lineMasks, (void)wordMasks, (void)literals, (void)used;
  return 0;
#endif
}

/** What the processor's own instruction gives, which WebAssembly has no way to use; 0 where it has none. */
static uint32_t crc32cOfProcessor(const uint8_t *bytes, size_t length) {
#ifdef __SSE4_2__
  uint64_t crc = ~0u;
  for (size_t at = 0; at < length; at += 8) {
    uint64_t word;
    memcpy(&word, bytes + at, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  return ~(uint32_t)crc;
#else
  (void)bytes;
  (void)length;
  return 0;
#endif
}
