// simd.h: vectors of real numbers for the instruction set that this translation unit is compiled for.
//
// GCC's vector extensions do the arithmetic; the few intrinsics here load and store the last, partial
// vector of a column without touching its neighbors. Loads go through memcpy: they need no alignment,
// and GCC drops an aligned() attribute on a dependent type. Everything is in an unnamed namespace and
// uses no template of the standard library that could be emitted: the linker keeps one copy of an
// inline function for the whole library, and must not choose one made for another processor.
#pragma once

#include <cstdint>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace elimax {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

// Accumulators that fit beside the operands in the register file: 3 vectors of rows for each column.
constexpr int row_vectors = 3;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int register_columns = 8;
#else
constexpr int register_columns = 4;
#endif

template <class R>
constexpr int width = vector_bytes / static_cast<int>(sizeof(R));

template <class R>
struct VectorOf {
  typedef R type __attribute__((vector_size(vector_bytes)));
};
template <class R>
using Vector = typename VectorOf<R>::type;

#define ELIMAX_INLINE inline __attribute__((always_inline))

template <class R>
ELIMAX_INLINE Vector<R> load(const R* p) {
  Vector<R> x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
template <class R>
ELIMAX_INLINE void store(R* p, Vector<R> x) {
  __builtin_memcpy(p, &x, sizeof x);
}

// The first `count` lanes of a vector, 1 <= count <= width; the others load as zero.
template <class R>
struct Lanes;

#if defined(__AVX512F__)
template <>
struct Lanes<double> {
  __mmask8 mask;
  explicit Lanes(int count) : mask(static_cast<__mmask8>((1u << count) - 1)) {}
  Vector<double> load(const double* p) const { return _mm512_maskz_loadu_pd(mask, p); }
  void store(double* p, Vector<double> x) const { _mm512_mask_storeu_pd(p, mask, x); }
};
template <>
struct Lanes<float> {
  __mmask16 mask;
  explicit Lanes(int count) : mask(static_cast<__mmask16>((1u << count) - 1)) {}
  Vector<float> load(const float* p) const { return _mm512_maskz_loadu_ps(mask, p); }
  void store(float* p, Vector<float> x) const { _mm512_mask_storeu_ps(p, mask, x); }
};
#elif defined(__AVX2__)
// Masked moves are slower than plain ones here, above all masked stores on AMD's processors.
template <>
struct Lanes<double> {
  bool full;
  __m256i mask;
  explicit Lanes(int count)
      : full(count == 4),
        mask(_mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3))) {}
  Vector<double> load(const double* p) const { return full ? elimax::load(p) : _mm256_maskload_pd(p, mask); }
  void store(double* p, Vector<double> x) const {
    full ? elimax::store(p, x) : _mm256_maskstore_pd(p, mask, x);
  }
};
template <>
struct Lanes<float> {
  bool full;
  __m256i mask;
  explicit Lanes(int count)
      : full(count == 8),
        mask(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))) {}
  Vector<float> load(const float* p) const { return full ? elimax::load(p) : _mm256_maskload_ps(p, mask); }
  void store(float* p, Vector<float> x) const {
    full ? elimax::store(p, x) : _mm256_maskstore_ps(p, mask, x);
  }
};
#else
template <class R>
struct Lanes {
  int count;
  explicit Lanes(int count) : count(count) {}
  Vector<R> load(const R* p) const {
    if (count == width<R>) return elimax::load(p);
    Vector<R> x = {};
    for (int i = 0; i < count; ++i) x[i] = p[i];
    return x;
  }
  void store(R* p, Vector<R> x) const {
    if (count == width<R>) return elimax::store(p, x);
    for (int i = 0; i < count; ++i) p[i] = x[i];
  }
};
#endif

template <class R, int distance, int... I>
ELIMAX_INLINE Vector<R> exchange(Vector<R> x, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(x, x, (I ^ distance)...);
}
// Lanes whose numbers differ in the bit `distance` change places.
template <class R, int distance>
ELIMAX_INLINE Vector<R> exchange(Vector<R> x) {
  return exchange<R, distance>(x, std::make_integer_sequence<int, width<R>>{});
}
// The real and imaginary parts of each number change places.
template <class R>
ELIMAX_INLINE Vector<R> swap_pairs(Vector<R> x) {
  return exchange<R, 1>(x);
}
// The sum of all lanes, in halves.
template <class R, int distance = width<R> / 2>
ELIMAX_INLINE R total(Vector<R> x) {
  x += exchange<R, distance>(x);
  if constexpr (distance > 1) {
    return total<R, distance / 2>(x);
  } else {
    return x[0];
  }
}

template <class R, int distance, int... I>
ELIMAX_INLINE void exchange_blocks(Vector<R>& x, Vector<R>& y, std::integer_sequence<int, I...>) {
  const Vector<R> lower = __builtin_shufflevector(x, y, (I & distance ? (I ^ distance) + width<R> : I)...);
  y = __builtin_shufflevector(x, y, (I & distance ? I + width<R> : I | distance)...);
  x = lower;
}
// The lanes of x[0] become the sums of the lanes of x[0], x[1], ...; what becomes of the others does not
// matter.
template <class R, int distance = width<R> / 2>
ELIMAX_INLINE void totals(Vector<R> (&x)[width<R>]) {
#pragma GCC unroll 16
  for (int i = 0; i < distance; ++i) {
    exchange_blocks<R, distance>(x[i], x[i + distance], std::make_integer_sequence<int, width<R>>{});
    x[i] += x[i + distance];
  }
  if constexpr (distance > 1) totals<R, distance / 2>(x);
}
// Transposes a square of numbers that are `unit` reals long, held as one vector per row: the off-diagonal
// blocks change places, then the same within each block.
template <class R, int unit, int distance = width<R> / 2>
ELIMAX_INLINE void transpose(Vector<R> (&x)[width<R> / unit]) {
  if constexpr (distance >= unit) {
#pragma GCC unroll 16
    for (int i = 0; i < width<R> / unit; ++i)
      if (!(i & (distance / unit)))
        exchange_blocks<R, distance>(x[i], x[i + distance / unit],
                                     std::make_integer_sequence<int, width<R>>{});
    transpose<R, unit, distance / 2>(x);
  }
}

// (x_lane, x_lane, ...)
template <class R, int lane, int... I>
ELIMAX_INLINE Vector<R> spread(Vector<R> x, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(x, x, (I * 0 + lane)...);
}
template <class R, int lane>
ELIMAX_INLINE Vector<R> spread(Vector<R> x) {
  return spread<R, lane>(x, std::make_integer_sequence<int, width<R>>{});
}

// The first `count` lanes of x, the others of y.
template <class R, int count, int... I>
ELIMAX_INLINE Vector<R> blend(Vector<R> x, Vector<R> y, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(x, y, (I < count ? I : I + width<R>)...);
}
template <class R, int count>
ELIMAX_INLINE Vector<R> blend(Vector<R> x, Vector<R> y) {
  return blend<R, count>(x, y, std::make_integer_sequence<int, width<R>>{});
}

// One lane of x, the others of y.
template <class R, int lane, int... I>
ELIMAX_INLINE Vector<R> pick(Vector<R> x, Vector<R> y, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(x, y, (I == lane ? I : I + width<R>)...);
}
template <class R, int lane>
ELIMAX_INLINE Vector<R> pick(Vector<R> x, Vector<R> y) {
  return pick<R, lane>(x, y, std::make_integer_sequence<int, width<R>>{});
}

// The even lanes of x, each twice.
template <class R, int... I>
ELIMAX_INLINE Vector<R> even(Vector<R> x, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(x, x, (I & ~1)...);
}
template <class R>
ELIMAX_INLINE Vector<R> even(Vector<R> x) {
  return even<R>(x, std::make_integer_sequence<int, width<R>>{});
}

// (even, odd, even, odd, ...)
template <class R, int... I>
ELIMAX_INLINE Vector<R> alternate(R even, R odd, std::integer_sequence<int, I...>) {
  return Vector<R>{(I % 2 ? odd : even)...};
}
template <class R>
ELIMAX_INLINE Vector<R> alternate(R even, R odd) {
  return alternate<R>(even, odd, std::make_integer_sequence<int, width<R>>{});
}

}  // namespace
}  // namespace elimax
