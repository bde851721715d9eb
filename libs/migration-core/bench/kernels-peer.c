/*
 * The page kernels as a C programmer would write them, for kernels.bench.mjs: the same work on the same layout, in
 * plain loops that the compiler makes into the widest vectors of this machine. It is compiled at bench time only and
 * no part of the product. Reads commands from standard input, one a line, and answers each with one line:
 *   <kernel> <repeats>   ->   <nanoseconds of processor time> <digest of the result>
 * Arguments: pages in each array, and how many of 1,000 words have changed. The memory is filled as the bench fills
 * its own, so that equal digests show equal results.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define PAGE_BYTES 4096
#define LINE_BYTES 64
#define STEP_BYTES 256

#include "kernels-peer-native.h"

static uint32_t crcTables[16][256];

static void scanZero(uint8_t *const *pages, uint32_t count, uint8_t *out) {
  for (uint32_t index = 0; index < count; index++) {
    const uint64_t *words = (const uint64_t *)pages[index];
    uint8_t zero = 1;
    for (int at = 0; at < PAGE_BYTES / 8; at += STEP_BYTES / 8) {
      uint64_t bits = 0;
      for (int word = 0; word < STEP_BYTES / 8; word++) bits |= words[at + word];
      if (bits) {
        zero = 0;
        break;
      }
    }
    out[index] = zero;
  }
}

static void comparePages(uint8_t *const *a, uint8_t *const *b, uint32_t count, uint8_t *out) {
  for (uint32_t index = 0; index < count; index++) out[index] = memcmp(a[index], b[index], PAGE_BYTES) == 0;
}

static uint64_t rotated(uint64_t bits, int by) { return (bits << by) | (bits >> (64 - by)); }

static uint64_t mixed(uint64_t bits) {
  bits = (bits ^ (bits >> 33)) * 0xff51afd7ed558ccdull;
  bits = (bits ^ (bits >> 33)) * 0xc4ceb9fe1a85ec53ull;
  return bits ^ (bits >> 33);
}

static const uint64_t KEYS[8] = {0x243f6a8885a308d3ull, 0x13198a2e03707344ull, 0xa4093822299f31d0ull,
                                 0x082efa98ec4e6c89ull, 0x452821e638d01377ull, 0xbe5466cf34e90c6cull,
                                 0xc0ac29b7c97c50ddull, 0x3f84d5b5b5470917ull};
static const uint64_t STIR_KEYS[8] = {0x9216d5d98979fb1bull, 0xd1310ba698dfb5acull, 0x2ffd72dbd01adfb7ull,
                                      0xb8e1afed6a267e96ull, 0xba7c9045f12c7f99ull, 0x24a19947b3916cf7ull,
                                      0x0801f2e2858efc16ull, 0x636920d871574e69ull};

#ifdef __AVX2__
/* By hand, since the compiler makes slow code of the plain loop below: halves of registers hold sums 0 and 2, 1 and 3. */
static void sumPage(const uint8_t *page, uint64_t seed, uint64_t *sums) {
  const __m256i seeds = _mm256_set_epi64x((int64_t)-seed, (int64_t)seed, (int64_t)-seed, (int64_t)seed);
  const __m256i step = _mm256_set_epi64x((int64_t)0xc2b2ae3d27d4eb4full, (int64_t)0x9e3779b97f4a7c15ull,
                                         (int64_t)0xc2b2ae3d27d4eb4full, (int64_t)0x9e3779b97f4a7c15ull);
  const __m128i *keys = (const __m128i *)KEYS, *stirKeys = (const __m128i *)STIR_KEYS;
  __m256i evenKeys = _mm256_add_epi64(_mm256_loadu2_m128i(keys + 2, keys), seeds);
  __m256i oddKeys = _mm256_add_epi64(_mm256_loadu2_m128i(keys + 3, keys + 1), seeds);
  const __m256i prime = _mm256_set1_epi64x(0x9e3779b1);
  __m256i sums02 = _mm256_setzero_si256(), sums13 = _mm256_setzero_si256();
  for (int block = 0; block < 4; block++) {
    if (block > 0) {
      __m256i *both[2] = {&sums02, &sums13};
      for (int which = 0; which < 2; which++) {
        __m256i sum = _mm256_xor_si256(*both[which], _mm256_srli_epi64(*both[which], 47));
        sum = _mm256_xor_si256(sum, _mm256_loadu2_m128i(stirKeys + 2 + which, stirKeys + which));
        const __m256i high = _mm256_mul_epu32(_mm256_srli_epi64(sum, 32), prime);
        *both[which] = _mm256_add_epi64(_mm256_mul_epu32(sum, prime), _mm256_slli_epi64(high, 32));
      }
    }
    for (int line = 0; line < 16; line++, page += LINE_BYTES) {
      const __m128i *words = (const __m128i *)page;
      const __m256i even = _mm256_xor_si256(_mm256_loadu2_m128i(words + 2, words), evenKeys);
      const __m256i odd = _mm256_xor_si256(_mm256_loadu2_m128i(words + 3, words + 1), oddKeys);
      const __m256i low = _mm256_mul_epu32(_mm256_unpacklo_epi32(even, even), _mm256_unpacklo_epi32(odd, odd));
      const __m256i high = _mm256_mul_epu32(_mm256_unpackhi_epi32(even, even), _mm256_unpackhi_epi32(odd, odd));
      sums02 = _mm256_add_epi64(sums02, _mm256_add_epi64(low, _mm256_permute4x64_epi64(even, 0x4e)));
      sums13 = _mm256_add_epi64(sums13, _mm256_add_epi64(high, _mm256_permute4x64_epi64(odd, 0x4e)));
      evenKeys = _mm256_add_epi64(evenKeys, step);
      oddKeys = _mm256_add_epi64(oddKeys, step);
    }
  }
  _mm256_storeu2_m128i((__m128i *)sums + 2, (__m128i *)sums, sums02);
  _mm256_storeu2_m128i((__m128i *)sums + 3, (__m128i *)sums + 1, sums13);
}
#else
static void sumPage(const uint8_t *page, uint64_t seed, uint64_t *sums) {
  uint64_t keys[8];
  memset(sums, 0, 64);
  for (int lane = 0; lane < 8; lane++) keys[lane] = KEYS[lane] + (lane & 1 ? -seed : seed);
  for (int block = 0; block < 4; block++) {
    if (block > 0)
      for (int lane = 0; lane < 8; lane++)
        sums[lane] = ((sums[lane] ^ (sums[lane] >> 47)) ^ STIR_KEYS[lane]) * 0x9e3779b1ull;
    for (int line = 0; line < 16; line++, page += LINE_BYTES) {
      uint64_t words[8];
      uint32_t halves[16];
      memcpy(words, page, LINE_BYTES);
      for (int lane = 0; lane < 8; lane++) words[lane] ^= keys[lane];
      memcpy(halves, words, LINE_BYTES);
      for (int lane = 0; lane < 4; lane++) {
        sums[lane] += (uint64_t)halves[lane] * halves[lane + 4] + words[lane + 4];
        sums[lane + 4] += (uint64_t)halves[lane + 8] * halves[lane + 12] + words[lane];
      }
      for (int lane = 0; lane < 8; lane++) keys[lane] += lane & 1 ? 0xc2b2ae3d27d4eb4full : 0x9e3779b97f4a7c15ull;
    }
  }
}
#endif

static void hashPage(const uint8_t *page, uint64_t seed, uint64_t *out) {
  uint64_t sums[8];
  sumPage(page, seed, sums);
  uint64_t low = seed, high = seed;
  for (int lane = 0; lane < 8; lane += 2) {
    low = (rotated(low ^ (rotated(sums[lane] * 0x87c37b91114253d5ull, 31) * 0x4cf5ad432745937full), 27) + high) * 5 +
          0x52dce729;
    high = (rotated(high ^ (rotated(sums[lane + 1] * 0x4cf5ad432745937full, 33) * 0x87c37b91114253d5ull), 31) + low) * 5 +
           0x38495ab5;
  }
  low += high;
  high += low;
  low = mixed(low);
  high = mixed(high);
  low += high;
  high += low;
  out[0] = low;
  out[1] = high;
}

static void hashPages(uint8_t *const *pages, uint32_t count, uint64_t seed, uint64_t *out) {
  for (uint32_t index = 0; index < count; index++) hashPage(pages[index], seed, out + 2 * index);
}

static uint64_t differingLines(const uint8_t *base, const uint8_t *next) {
  uint64_t lines = 0;
  for (int line = 0; line < 64; line++) {
    uint64_t a[8], b[8], bits = 0;
    memcpy(a, base + line * LINE_BYTES, LINE_BYTES);
    memcpy(b, next + line * LINE_BYTES, LINE_BYTES);
    for (int word = 0; word < 8; word++) bits |= a[word] ^ b[word];
    lines |= (uint64_t)(bits != 0) << line;
  }
  return lines;
}

static void encodeDeltas(uint8_t *const *bases, uint8_t *const *nexts, uint32_t count, uint32_t literalBytesMax,
                         uint8_t *kinds, uint64_t *lineMasks, uint8_t *wordMasks, uint8_t *literals, uint32_t *used) {
  uint8_t *wordMask = wordMasks, *literal = literals;
  for (uint32_t index = 0; index < count; index++) {
    const uint8_t *base = bases[index], *next = nexts[index];
    uint64_t lines = differingLines(base, next);
    uint8_t *wordMaskStart = wordMask, *literalStart = literal;
    uint8_t kind = lines ? 2 : 1;
    for (uint64_t rest = lines; rest; rest &= rest - 1) {
      int line = __builtin_ctzll(rest);
      uint64_t a[8], b[8];
      uint32_t mask = 0;
      memcpy(a, base + line * LINE_BYTES, LINE_BYTES);
      memcpy(b, next + line * LINE_BYTES, LINE_BYTES);
      for (int word = 0; word < 8; word++) mask |= (uint32_t)(a[word] != b[word]) << word;
      *wordMask++ = (uint8_t)mask;
      for (int word = 0; word < 8; word++) {
        memcpy(literal, &b[word], 8);
        literal += (mask >> word & 1) * 8;
      }
      if (literal > literalStart + literalBytesMax) {
        wordMask = wordMaskStart;
        literal = literalStart;
        lines = 0;
        kind = 3;
        break;
      }
    }
    lineMasks[index] = lines;
    kinds[index] = kind;
  }
  used[0] = (uint32_t)(wordMask - wordMasks);
  used[1] = (uint32_t)(literal - literals);
}

static void applyDeltas(uint8_t *const *bases, uint8_t *const *nexts, uint32_t count, const uint64_t *lineMasks,
                        const uint8_t *wordMasks, const uint8_t *wordMasksEnd, const uint8_t *literals,
                        const uint8_t *literalsEnd) {
  for (uint32_t index = 0; index < count; index++) {
    memcpy(nexts[index], bases[index], PAGE_BYTES);
    if (wordMasksEnd - wordMasks < __builtin_popcountll(lineMasks[index])) abort();
    for (uint64_t rest = lineMasks[index]; rest; rest &= rest - 1) {
      uint8_t *line = nexts[index] + __builtin_ctzll(rest) * LINE_BYTES;
      uint32_t mask = *wordMasks++;
      if (literalsEnd - literals < __builtin_popcount(mask) * 8) abort();
      for (; mask; mask &= mask - 1, literals += 8) memcpy(line + __builtin_ctz(mask) * 8, literals, 8);
    }
  }
}

static void buildCrcTables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
    crcTables[0][byte] = crc;
  }
  for (int table = 1; table < 16; table++)
    for (int byte = 0; byte < 256; byte++) {
      uint32_t previous = crcTables[table - 1][byte];
      crcTables[table][byte] = (previous >> 8) ^ crcTables[0][previous & 255];
    }
}

static uint32_t fourBytes(uint32_t word, int table) {
  return crcTables[table + 3][word & 255] ^ crcTables[table + 2][word >> 8 & 255] ^
         crcTables[table + 1][word >> 16 & 255] ^ crcTables[table][word >> 24];
}

static uint32_t crc32c(const uint8_t *bytes, size_t length) {
  uint32_t crc = ~0u;
  for (const uint8_t *end = bytes + length; bytes < end; bytes += 16) {
    uint32_t words[4];
    memcpy(words, bytes, 16);
    crc = fourBytes(words[0] ^ crc, 12) ^ fourBytes(words[1], 8) ^ fourBytes(words[2], 4) ^ fourBytes(words[3], 0);
  }
  return ~crc;
}

static uint32_t randomState;

/** As the bench's own (xorshift), so that both fill their memory alike. */
static uint32_t nextRandom(void) {
  randomState ^= randomState << 13;
  randomState ^= randomState >> 17;
  randomState ^= randomState << 5;
  return randomState;
}

/** Processor time: a busy machine changes it little. */
static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const uint32_t count = (uint32_t)atoi(argv[1]);
  const uint32_t dirtyOf1000 = (uint32_t)atoi(argv[2]);
  const size_t bytes = (size_t)count * PAGE_BYTES;
  uint8_t *zeros = aligned_alloc(64, bytes), *base = aligned_alloc(64, bytes), *next = aligned_alloc(64, bytes);
  uint8_t *copy = aligned_alloc(64, bytes), *literals = malloc(bytes + 64), *wordMasks = malloc(64 * (size_t)count);
  uint8_t **zeroPages = malloc(count * sizeof *zeroPages), **basePages = malloc(count * sizeof *basePages);
  uint8_t **nextPages = malloc(count * sizeof *nextPages), **copyPages = malloc(count * sizeof *copyPages);
  uint8_t *out = malloc(16 * (size_t)count), *kinds = malloc(count);
  uint64_t *lineMasks = malloc(8 * (size_t)count);
  uint32_t used[2] = {0, 0};
  if (!zeros || !base || !next || !copy || !literals || !wordMasks || !zeroPages || !basePages || !nextPages ||
      !copyPages || !out || !kinds || !lineMasks)
    return 3;
  buildCrcTables();
  randomState = 1;
  for (size_t at = 0; at < bytes / 4; at++) ((uint32_t *)base)[at] = nextRandom();
  memset(zeros, 0, bytes);
  memset(copy, 0, bytes);
  memset(literals, 0, bytes + 64);
  memcpy(next, base, bytes);
  for (size_t word = 0; word < bytes / 8; word++)
    if (nextRandom() % 1000 < dirtyOf1000) ((uint64_t *)next)[word] ^= 0xff;
  for (uint32_t index = 0; index < count; index++) {
    zeroPages[index] = zeros + (size_t)index * PAGE_BYTES;
    basePages[index] = base + (size_t)index * PAGE_BYTES;
    nextPages[index] = next + (size_t)index * PAGE_BYTES;
    copyPages[index] = copy + (size_t)index * PAGE_BYTES;
  }
  char name[32];
  uint32_t repeats;
  while (scanf("%31s %u", name, &repeats) == 2) {
    uint32_t digest = 0;
    const uint64_t from = nanoseconds();
    for (uint32_t repeat = 0; repeat < repeats; repeat++) {
      if (!strcmp(name, "zero")) scanZero(zeroPages, count, out);
      else if (!strcmp(name, "compare")) {
        /* Equal pages: `copy` holds `next` once a delta has been applied, which the bench does first. */
        comparePages(nextPages, copyPages, count, out);
      } else if (!strcmp(name, "hash")) hashPages(basePages, count, 7, (uint64_t *)out);
      else if (!strcmp(name, "encode"))
        encodeDeltas(basePages, nextPages, count, PAGE_BYTES, kinds, lineMasks, wordMasks, literals, used);
      else if (!strcmp(name, "encode-by-hand"))
        digest = (uint32_t)encodeDeltasByHand(basePages, nextPages, count, lineMasks, wordMasks, literals, used);
      else if (!strcmp(name, "same"))
        encodeDeltas(copyPages, nextPages, count, PAGE_BYTES, kinds, lineMasks, out, literals, used);
      else if (!strcmp(name, "apply"))
        applyDeltas(basePages, copyPages, count, lineMasks, wordMasks, wordMasks + used[0], literals,
                    literals + used[1]);
      else if (!strcmp(name, "crc32c")) digest = crc32c(base, bytes);
      else if (!strcmp(name, "crc32c-instruction")) digest = crc32cOfProcessor(base, bytes);
      else return 4;
    }
    const uint64_t took = nanoseconds() - from;
    if (!strcmp(name, "zero") || !strcmp(name, "compare")) digest = crc32c(out, count);
    if (!strcmp(name, "hash")) digest = crc32c(out, 16 * (size_t)count);
    if (!strcmp(name, "encode") || (!strcmp(name, "encode-by-hand") && digest)) digest = crc32c((uint8_t *)lineMasks, 8 * (size_t)count) ^ used[0] ^ used[1];
    if (!strcmp(name, "same")) digest = used[0] ^ used[1];
    if (!strcmp(name, "apply")) digest = crc32c(copy, bytes);
    printf("%llu %u\n", (unsigned long long)took, digest);
    fflush(stdout);
  }
  return 0;
}
