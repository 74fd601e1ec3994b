// small_front.h: LU of a front that is so small that calls of the dense kernels would take longer than what
// they do.
//
// F11 has C columns, as many as there are instances. It is eliminated in whole vectors, in memory of its own:
// a vector that was stored in part could not be loaded again at once. Vectors of rows of F12^H and F21 are
// then solved for, and F22 updated, in registers.
//
// Source: Golub, Van Loan, Matrix Computations (2013): Gaussian elimination with partial pivoting.
// Cost: 2/3 c^3 + 2 c^2 u + 2 c u^2 operations.
#pragma once

#include "dense_lu.h"
#include "pivot_rule.h"

namespace elimax {
namespace {

template <class R, int... I>
ELIMAX_INLINE Vector<R> lane_numbers(std::integer_sequence<int, I...>) {
  return Vector<R>{static_cast<R>(I)...};
}
// x in the lanes from `first` on, y before.
template <class R>
ELIMAX_INLINE Vector<R> from_lane(int first, Vector<R> x, Vector<R> y) {
  return lane_numbers<R>(std::make_integer_sequence<int, width<R>>{}) >= static_cast<R>(first) ? x : y;
}

template <class T, int C>
struct SmallFront {
  using R = Real<T>;
  static constexpr int vectors = (C * parts<T> + width<R> - 1) / width<R>;
  static constexpr int stride = vectors * width<R>;
  static constexpr Index most_below = small_front_rows / width<R> * width<R>;

  alignas(64) R F11[C * stride];                   // becomes L and U
  alignas(64) R above[C * most_below * parts<T>];  // U12^H
  R inverse[C * parts<T>];                         // of the pivots
  Index rows[C];                                   // their order

  ELIMAX_INLINE R* column(int j) { return F11 + j * stride; }

  // P F11 = L U, and the columns of F12^H in the same order.
  ELIMAX_INLINE unsigned eliminate_square(R least, R replacement, Index u, View<R> F12) {
    unsigned replaced = 0;
#pragma GCC unroll 8
    for (int j = 0; j < C; ++j) {
      R* const pivot = column(j) + j * parts<T>;
      const Index row = pivot_row<T>(C, j, column(j));
      if (row != j) {
        exchange_rows<T>(C, j, row, View<R>{F11, stride});
        exchange_columns<T>(u, j, row, F12);
        const Index place = rows[j];
        rows[j] = rows[row];
        rows[row] = place;
      }
      if (enlarge<T>(least, replacement, pivot)) replaced |= 1u << j;
      invert<T>(pivot, inverse + j * parts<T>);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        const int first = (j + 1) * parts<T> - v * width<R>;  // of the lanes below the pivot
        const Vector<R> x = load(column(j) + v * width<R>), l = scaled<T>(x, inverse + j * parts<T>);
        store(column(j) + v * width<R>, from_lane<R>(first, l, x));
        const Vector<R> below = from_lane<R>(first, l, Vector<R>{});
#pragma GCC unroll 8
        for (int k = j + 1; k < C; ++k) {
          Vector<R> y = load(column(k) + v * width<R>);
          eliminate<T>(y, below, column(k) + j * parts<T>, R(-1));
          store(column(k) + v * width<R>, y);
        }
      }
    }
    return replaced;
  }

  // L11 and U11^H to the panels.
  ELIMAX_INLINE void write_square(View<R> L, View<R> UH) {
#pragma GCC unroll 8
    for (int j = 0; j < C; ++j) {
#pragma GCC unroll 8
      for (int i = 0; i < C; ++i) {
        R *lower = L.data + i * parts<T> + j * L.ld, *upper = UH.data + i * parts<T> + j * UH.ld;
        lower[0] = i > j ? column(j)[i * parts<T>] : R(i == j);
        upper[0] = i >= j ? column(i)[j * parts<T>] : R(0);
        if constexpr (parts<T> == 2) {
          lower[1] = i > j ? column(j)[i * parts<T> + 1] : R(0);
          upper[1] = i >= j ? -column(i)[j * parts<T> + 1] : R(0);
        }
      }
    }
  }

  ELIMAX_INLINE Largest<R> solve_above(Index u, View<R> UH) {
    Largest<R> largest;
    for_vectors<R>(u * parts<T>, [&](auto load, auto store, Index i) __attribute__((always_inline)) {
      Vector<R> y[C];
#pragma GCC unroll 8
      for (int j = 0; j < C; ++j) y[j] = load(UH.data + C * parts<T> + i + j * UH.ld);
#pragma GCC unroll 8
      for (int j = 0; j < C; ++j) {
        largest.offer(y[j]);
#pragma GCC unroll 8
        for (int k = j + 1; k < C; ++k) eliminate<T>(y[k], y[j], column(j) + k * parts<T>, R(1));
      }
#pragma GCC unroll 8
      for (int j = 0; j < C; ++j) {
        store(UH.data + C * parts<T> + i + j * UH.ld, y[j]);
        elimax::store(above + i + j * most_below * parts<T>, y[j]);
      }
    });
    return largest;
  }

  ELIMAX_INLINE Largest<R> solve_left(Index u, bool empty, View<R> L, View<R> F22) {
    Largest<R> largest;
    for_vectors<R>(u * parts<T>, [&](auto load, auto store, Index i) __attribute__((always_inline)) {
      Vector<R> x[C];
#pragma GCC unroll 8
      for (int j = 0; j < C; ++j) x[j] = load(L.data + C * parts<T> + i + j * L.ld);
#pragma GCC unroll 8
      for (int j = 0; j < C; ++j) {
        x[j] = scaled<T>(x[j], inverse + j * parts<T>);
        largest.offer(x[j]);
        store(L.data + C * parts<T> + i + j * L.ld, x[j]);
#pragma GCC unroll 8
        for (int k = j + 1; k < C; ++k) eliminate<T>(x[k], x[j], column(k) + j * parts<T>, R(-1));
      }
      for (Index k = 0; k < u; ++k) {
        R* const target = F22.data + i + k * F22.ld;
        Vector<R> y = empty ? Vector<R>{} : load(target);
#pragma GCC unroll 8
        for (int j = 0; j < C; ++j) eliminate<T>(y, x[j], above + (k + j * most_below) * parts<T>, R(1));
        store(target, y);
      }
    });
    return largest;
  }

  static unsigned run(Index u, const PivotRule<R>& rule, bool empty, View<R> L, View<R> UH, View<R> F22,
                      Index* order, R* growth) {
    SmallFront front;
    Largest<R> coupling;
    for (int j = 0; j < C; ++j) {
      front.rows[j] = j;
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        const Lanes<R> lanes(least(width<R>, C * parts<T> - v * width<R>));
        store(front.column(j) + v * width<R>, lanes.load(L.data + v * width<R> + j * L.ld));
      }
      coupling.offer(u * parts<T>, L.data + C * parts<T> + j * L.ld);
      coupling.offer(u * parts<T>, UH.data + C * parts<T> + j * UH.ld);
    }
    const R w = coupling.of_all();
    const unsigned replaced =
        front.eliminate_square(rule.least(w), rule.replacement(w), u, {UH.data + C * parts<T>, UH.ld});
    for (int j = 0; j < C; ++j) order[j] = front.rows[j];
    front.write_square(L, UH);
    const R bound = front.solve_above(u, UH).of_all() * front.solve_left(u, empty, L, F22).of_all();
    if (bound > *growth) {
      const R product = largest_parts_product<T>(u, C, View<const R>{L.data + C * parts<T>, L.ld},
                                                 View<const R>{UH.data + C * parts<T>, UH.ld});
      if (product > *growth) *growth = product;
    }
    return replaced;
  }
};

template <class T, int... I>
constexpr auto small_fronts(std::integer_sequence<int, I...>) {
  struct {
    decltype(&SmallFront<T, 1>::run) of[sizeof...(I)];
  } table{{&SmallFront<T, I + 1>::run...}};
  return table;
}
template <class T>
constexpr auto small_fronts_of = small_fronts<T>(std::make_integer_sequence<int, small_front_columns>{});

}  // namespace
}  // namespace elimax
