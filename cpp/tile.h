// tile.h: what is computed in registers, for up to three vectors of rows and up to eight columns.
//
// Every kernel of the library ends here. A tile holds a piece of C(m x n) in registers and sums
// a_p b_p over p, reading a_p (rows) as vectors and b_p (columns) as broadcast scalars. A complex
// matrix is a real one with interleaved rows: its tile sums a_p Re b_p and a_p Im b_p as two real
// columns and combines them once, after the loop, so the loop is that of a real product at full speed.
//
// Entry (i, j) is a sum over p = 0, 1, ... in this order, whatever the shape of the tile and the
// position in it: results do not depend on how a matrix is cut into tiles.
//
// Source: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM Trans.
//         Math. Softw. 34 (2008), article 12: the inner kernel.
#pragma once

#include "dense.h"
#include "simd.h"

namespace elimax {
namespace {

template <class T>
constexpr int parts = sizeof(T) / sizeof(Real<T>);
// The sign of a product with B^H: 1 if it conjugates; -1 if not, as for Bilinear. (For real numbers it makes
// no difference.)
template <class T>
constexpr Real<T> flip_of = 1;
template <class R>
constexpr R flip_of<Bilinear<R>> = -1;
// The type whose kernels do for T as well whatever conjugates nothing or takes the sign as an argument.
template <class T>
struct Plain {
  using type = T;
};
template <class R>
struct Plain<Bilinear<R>> {
  using type = std::complex<R>;
};
template <class T>
using PlainOf = typename Plain<T>::type;
// The largest tile, in numbers.
template <class T>
constexpr int tile_rows = row_vectors * width<Real<T>> / parts<T>;
template <class T>
constexpr int tile_columns = register_columns / parts<T>;

// Where b_p lies. Strides count reals; `across` goes from one column of the tile to the next, `along`
// from p to p + 1.
template <class R>
struct Broadcast {
  const R* data;
  Offset across, along;
};

// The rows of a tile: `count` reals in M vectors, of which the last may be partial.
template <class R, int M>
struct Rows {
  Lanes<R> last;
  explicit Rows(int count) : last(count - (M - 1) * width<R>) {}
  ELIMAX_INLINE Vector<R> load(const R* p, int i) const {
    return i < M - 1 ? elimax::load(p + i * width<R>) : last.load(p + i * width<R>);
  }
  ELIMAX_INLINE void store(R* p, int i, Vector<R> x) const {
    if (i < M - 1) {
      elimax::store(p + i * width<R>, x);
    } else {
      last.store(p + i * width<R>, x);
    }
  }
};

// sum[j] = sum_{p < k} a_p b_p[j] for N numbers b_p[j], the parts of a complex one in sum[2j], sum[2j+1].
// `contiguous` promises b.across = parts.
template <class T, int M, int N, bool contiguous, class R = Real<T>>
ELIMAX_INLINE void accumulate(Index k, const R* a, Offset lda, Rows<R, M> rows, Broadcast<R> b,
                              Vector<R> (&sum)[N * parts<T>][M]) {
#pragma GCC unroll 8
  for (int j = 0; j < N * parts<T>; ++j)
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) sum[j][i] = Vector<R>{};
  for (Index p = 0; p < k; ++p, a += lda, b.data += b.along) {
    Vector<R> x[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) x[i] = rows.load(a, i);
#pragma GCC unroll 8
    for (int j = 0; j < N * parts<T>; ++j) {
      const R s = contiguous ? b.data[j] : b.data[j / parts<T> * b.across + j % parts<T>];
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) sum[j][i] += x[i] * s;
    }
  }
}

// The vector of numbers sum_p a_p b_p[j], or sum_p a_p conj(b_p[j]) for flip = 1; flip = -1 does not
// conjugate. With a_p b = (a_p Re b) + i (a_p Im b), a product by i swaps parts and flips a sign.
template <class T, int M, int N, class R = Real<T>>
ELIMAX_INLINE Vector<R> combined(const Vector<R> (&sum)[N * parts<T>][M], int j, int i, R flip) {
  if constexpr (parts<T> == 1) {
    return sum[j][i];
  } else {
    return sum[2 * j][i] + alternate<R>(flip, -flip) * swap_pairs<R>(sum[2 * j + 1][i]);
  }
}

// C += sign * sum_p a_p b_p.
template <class T, int M, int N, bool contiguous>
struct MultiplyAdd {
  using R = Real<T>;
  static void run(Index k, const R* a, Offset lda, Broadcast<R> b, int count, R sign, R flip, R* c,
                  Offset ldc) {
    const Rows<R, M> rows(count);
    Vector<R> sum[N * parts<T>][M];
    accumulate<T, M, N, contiguous>(k, a, lda, rows, b, sum);
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j, c += ldc)
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        rows.store(c, i, rows.load(c, i) + combined<T, M, N>(sum, j, i, flip) * sign);
      }
  }
};

// x -= y * s or, for flip = 1, x -= y * conj(s), for one number s whose parts are given.
template <class T, class S, class R = Real<T>>
ELIMAX_INLINE void eliminate(Vector<R>& x, Vector<R> y, const S* s, R flip) {
  x -= y * s[0];
  if constexpr (parts<T> == 2) x -= alternate<R>(flip, -flip) * swap_pairs<R>(y) * s[1];
}

// The product of the numbers of a vector with one whose parts are given.
template <class T, class R = Real<T>>
ELIMAX_INLINE Vector<R> scaled(Vector<R> x, const R* s) {
  Vector<R> y = x * s[0];
  if constexpr (parts<T> == 2) y += alternate<R>(-s[1], s[1]) * swap_pairs<R>(x);
  return y;
}

// X = (C - sum_p a_p b_p) U^-1 for a triangle U of order N, in place of C: columns in the order of
// elimination, forward (U = L^H) or backward (U = L). inverse[j] = 1 / U(j, j).
template <class T, int M, int N, bool forward>
struct Solve {
  using R = Real<T>;
  static void run(Index k, const R* a, Offset lda, Broadcast<R> b, int count, const R* L, Offset ldl,
                  const R* inverse, R* c, Offset ldc) {
    const Rows<R, M> rows(count);
    constexpr R flip = forward ? flip_of<T> : -1;
    Vector<R> sum[N * parts<T>][M];
    accumulate<T, M, N, forward>(k, a, lda, rows, b, sum);
    Vector<R> x[N][M];
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j)
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) x[j][i] = rows.load(c + j * ldc, i) - combined<T, M, N>(sum, j, i, flip);
#pragma GCC unroll 8
    for (int step = 0; step < N; ++step) {
      const int j = forward ? step : N - 1 - step;
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        x[j][i] = scaled<T>(x[j][i], inverse + j * parts<T>);
        rows.store(c + j * ldc, i, x[j][i]);
      }
#pragma GCC unroll 8
      for (int next = step + 1; next < N; ++next) {
        const int l = forward ? next : N - 1 - next;
        const R* s = forward ? L + l * parts<T> + j * ldl : L + j * parts<T> + l * ldl;
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) eliminate<T>(x[l][i], x[j][i], s, flip);
      }
    }
  }
};

// The first N columns of a Cholesky factor from C - sum_p a_p conj(b_p): the diagonal block is at the
// top of the tile. inverse[j] = 1 / L(j, j). Returns N, or the first column whose pivot is not greater
// than its floor. What is above the diagonal is computed and dropped.
//
// Columns are eliminated unscaled, x_l -= x_j conj(x_j[l]) / d_j, as in L D L^H: a pivot then waits
// for one division after its predecessor, and not for its square root too.
template <class T, int M, int N, bool contiguous>
struct Factor {
  using R = Real<T>;
  static constexpr int lanes = width<R>;
  static_assert(contiguous);

  static int run(Index k, const R* a, Offset lda, Broadcast<R> b, int count, const R* floor, R* inverse, R* c,
                 Offset ldc) {
    if constexpr (N * parts<T> > M * lanes) return 0;  // no such tile: its diagonal block would not fit
    const Rows<R, M> rows(count);
    Vector<R> sum[N * parts<T>][M];
    accumulate<T, M, N, true>(k, a, lda, rows, b, sum);
    Vector<R> x[N][M];
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j)
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) x[j][i] = rows.load(c + j * ldc, i) - combined<T, M, N>(sum, j, i, R(1));
    return columns(rows, floor, inverse, x, c, ldc, std::make_integer_sequence<int, N>{});
  }

  template <int... J>
  ELIMAX_INLINE static int columns(Rows<R, M> rows, const R* floor, R* inverse, Vector<R> (&x)[N][M], R* c,
                                   Offset ldc, std::integer_sequence<int, J...>) {
    int done = 0;
    static_cast<void>(((column<J>(rows, floor[J], inverse + J * parts<T>, x, c + J * ldc) && ++done) && ...));
    return done;
  }

  template <int j>
  ELIMAX_INLINE static bool column(Rows<R, M> rows, R floor, R* inverse, Vector<R> (&x)[N][M], R* c) {
    constexpr int home = j * parts<T> / lanes, lane = j * parts<T> % lanes;  // where the diagonal is
    const R pivot = x[j][home][lane];
    if (!(pivot > floor)) return false;
    update<j>(1 / pivot, x, std::make_integer_sequence<int, N - 1 - j>{});
    const R root = sizeof(R) == 4 ? __builtin_sqrtf(pivot) : __builtin_sqrt(pivot);
    inverse[0] = 1 / root;
    if constexpr (parts<T> == 2) inverse[1] = 0;
#pragma GCC unroll 8
    for (int i = home; i < M; ++i) {
      Vector<R> scaled = x[j][i] * inverse[0];
      if (i == home) {
        scaled[lane] = root;
        if constexpr (parts<T> == 2) scaled[lane + 1] = 0;
        if constexpr (lane > 0) scaled = blend<R, lane>(rows.load(c, i), scaled);
      }
      rows.store(c, i, scaled);
    }
    return true;
  }

  // Column j leaves the columns after it.
  template <int j, int... L>
  ELIMAX_INLINE static void update([[maybe_unused]] R reciprocal, Vector<R> (&x)[N][M],
                                   std::integer_sequence<int, L...>) {
    (update_column<j, j + 1 + L>(reciprocal, x), ...);
  }
  template <int j, int l>
  ELIMAX_INLINE static void update_column(R reciprocal, Vector<R> (&x)[N][M]) {
    constexpr int home = l * parts<T> / lanes, lane = l * parts<T> % lanes;
    Vector<R> s[parts<T>];
    s[0] = spread<R, lane>(x[j][home]) * reciprocal;
    if constexpr (parts<T> == 2) s[1] = spread<R, lane + 1>(x[j][home]) * reciprocal;
#pragma GCC unroll 8
    for (int i = home; i < M; ++i) eliminate<T>(x[l][i], x[j][i], s, R(1));
  }
};

// The instances of a kernel for every shape of a tile.
template <class T, template <class, int, int, bool> class Kernel, bool variant, int... I>
constexpr auto shapes(std::integer_sequence<int, I...>) {
  struct {
    decltype(&Kernel<T, 1, 1, variant>::run) at[sizeof...(I)];
  } table{{&Kernel<T, I % row_vectors + 1, I / row_vectors + 1, variant>::run...}};
  return table;
}
template <class T, template <class, int, int, bool> class Kernel, bool variant>
constexpr auto instances =
    shapes<T, Kernel, variant>(std::make_integer_sequence<int, row_vectors * tile_columns<T>>{});

// The instance for a tile of `count` reals by `columns` numbers.
template <class T, template <class, int, int, bool> class Kernel, bool variant>
ELIMAX_INLINE auto kernel(int count, int columns) {
  return instances<T, Kernel, variant>.at[(columns - 1) * row_vectors + (count - 1) / width<Real<T>>];
}

}  // namespace
}  // namespace elimax
