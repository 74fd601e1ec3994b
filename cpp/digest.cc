// digest.cc: the 128-bit content hash of a structure, as _structure/structure.py computes it with hashlib.
//
// BLAKE2b without key, 16 bytes long: RFC 7693 (2015), section 3. The message is the kind in 16 bytes,
// then the preamble, then the arrays, all little-endian. Cost: a nanosecond per byte or so.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core.h"

static_assert(std::endian::native == std::endian::little);

namespace elimax {
namespace {

using Word = std::uint64_t;

constexpr std::size_t block_bytes = 128;
constexpr std::size_t digest_bytes = sizeof(Hash);

// Section 2.6: the initialization vector.
constexpr std::array<Word, 8> initial = {0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B,
                                         0xA54FF53A5F1D36F1, 0x510E527FADE682D1, 0x9B05688C2B3E6C1F,
                                         0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179};

// Section 2.7: which word of the message goes where, round by round; rounds 10 and 11 repeat 0 and 1.
constexpr std::uint8_t schedule[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                           {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                           {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                           {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                           {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                           {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                           {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                           {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                           {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                           {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

// Section 3.1.
inline void mix(std::array<Word, 16>& v, int a, int b, int c, int d, Word x, Word y) {
  v[a] += v[b] + x;
  v[d] = std::rotr(v[d] ^ v[a], 32);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 24);
  v[a] += v[b] + y;
  v[d] = std::rotr(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 63);
}

class Blake2b {
 public:
  Blake2b() { state_[0] ^= 0x01010000 ^ digest_bytes; }

  void update(const void* data, std::size_t size) {
    auto bytes = static_cast<const std::uint8_t*>(data);
    while (size > 0) {
      if (filled_ == block_bytes) compress(false);  // not before more is known to come
      const std::size_t taken = std::min(size, block_bytes - filled_);
      std::memcpy(block_.data() + filled_, bytes, taken);
      filled_ += taken;
      length_ += taken;
      bytes += taken;
      size -= taken;
    }
  }

  Hash finish() {
    std::fill(block_.begin() + filled_, block_.end(), 0);
    compress(true);
    return {state_[0], state_[1]};
  }

 private:
  // Section 3.2, for messages of less than 2^64 bytes.
  void compress(bool last) {
    std::array<Word, 16> m, v;
    std::memcpy(m.data(), block_.data(), block_bytes);
    std::copy(state_.begin(), state_.end(), v.begin());
    std::copy(initial.begin(), initial.end(), v.begin() + 8);
    v[12] ^= length_;
    if (last) v[14] = ~v[14];
    for (int round = 0; round < 12; ++round) {
      const auto& s = schedule[round % 10];
      for (int i = 0; i < 4; ++i) mix(v, i, 4 + i, 8 + i, 12 + i, m[s[2 * i]], m[s[2 * i + 1]]);
      for (int i = 0; i < 4; ++i)
        mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; ++i) state_[i] ^= v[i] ^ v[i + 8];
    filled_ = 0;
  }

  std::array<Word, 8> state_ = initial;
  std::array<std::uint8_t, block_bytes> block_;
  std::size_t filled_ = 0;
  Word length_ = 0;
};

}  // namespace

Hash digest(const Content& content) {
  Blake2b hash;
  std::array<char, 16> kind{};
  std::copy_n(content.kind.begin(), std::min(content.kind.size(), kind.size()), kind.begin());
  hash.update(kind.data(), kind.size());
  hash.update(content.preamble.data(), content.preamble.size_bytes());
  for (const auto array : content.arrays) hash.update(array.data(), array.size_bytes());
  return hash.finish();
}

}  // namespace elimax
