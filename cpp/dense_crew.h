// dense_crew.h: the dense kernels of one front, shared out among a crew.
//
// Members are called like those of DenseKernels and do the same. Large results are cut into tiles, which
// workers compute side by side; entries of a result do not depend on the others, so neither do they depend on
// the crew. Only a factorization is more than that: it is halved by columns until pieces are narrow, and the
// rows below these and the products between them are cut. How, depends on its shape alone.
//
// Tiles are large enough that the kernels lose little by copying their operands for each (gemm.h).
#pragma once

#include "crew.h"
#include "dense.h"

namespace elimax {

template <class T>
class CrewKernels {
 public:
  // Without a crew: the kernels themselves, on the calling thread.
  CrewKernels(const DenseKernels<T>& kernels, Crew* crew) : kernels_(kernels), crew_(crew) {}

  void gemm_nh(Index m, Index n, Index k, Real<T> sign, const T* A, Index lda, const T* B, Index ldb, T* C,
               Index ldc) const {
    for_tiles(m, n, 2.0 * k, [&](Index i, Index j, Index rows, Index columns) {
      kernels_.gemm_nh(rows, columns, k, sign, A + i, lda, B + j, ldb, C + at(i, j, ldc), ldc);
    });
  }
  void gemm_nn(Index m, Index n, Index k, Real<T> sign, const T* A, Index lda, const T* B, Index ldb, T* C,
               Index ldc) const {
    for_tiles(m, n, 2.0 * k, [&](Index i, Index j, Index rows, Index columns) {
      kernels_.gemm_nn(rows, columns, k, sign, A + i, lda, B + at(0, j, ldb), ldb, C + at(i, j, ldc), ldc);
    });
  }
  void gemm_hn(Index m, Index n, Index k, Real<T> sign, const T* A, Index lda, const T* B, Index ldb, T* C,
               Index ldc) const {
    for_tiles(m, n, 2.0 * k, [&](Index i, Index j, Index rows, Index columns) {
      kernels_.gemm_hn(rows, columns, k, sign, A + at(0, i, lda), lda, B + at(0, j, ldb), ldb,
                       C + at(i, j, ldc), ldc);
    });
  }
  void gemmt(Index m, Index n, Index k, Real<T> sign, const T* A, Index lda, const T* B, Index ldb, T* C,
             Index ldc) const {
    if (alone(1.0 * m * n * k)) return kernels_.gemmt(m, n, k, sign, A, lda, B, ldb, C, ldc);
    const Index width = slab(n), height = std::max(width, strip(m, n / width + 1));
    const auto strips = [&](Index j) {
      return (m - j + height - 1) / height;
    };  // of the slab from column j on
    Index tiles = 0;
    for (Index j = 0; j < n; j += width) tiles += strips(j);
    crew_->each(tiles, [&](Index t, int) {
      Index j = 0;
      for (; t >= strips(j); j += width) t -= strips(j);
      const Index columns = std::min(width, n - j), i = j + t * height, rows = std::min(height, m - i);
      const auto multiply = t == 0 ? kernels_.gemmt : kernels_.gemm_nh;
      multiply(rows, columns, k, sign, A + i, lda, B + j, ldb, C + at(i, j, ldc), ldc);
    });
  }
  // gemmt of C -= A A^H.
  void herk(Index m, Index n, Index k, const T* A, Index lda, T* C, Index ldc) const {
    gemmt(m, n, k, -1, A, lda, A, lda, C, ldc);
  }
  void trsm_h(Index m, Index n, const T* L, Index ldl, T* B, Index ldb) const {
    for_strips(m, 1.0 * m * n * n,
               [&](Index i, Index rows) { kernels_.trsm_h(rows, n, L, ldl, B + i, ldb); });
  }
  void trsm_n(Index m, Index n, const T* L, Index ldl, T* B, Index ldb) const {
    for_strips(m, 1.0 * m * n * n,
               [&](Index i, Index rows) { kernels_.trsm_n(rows, n, L, ldl, B + i, ldb); });
  }
  void gemv_n(Index m, Index n, const T* A, Index lda, const T* x, T* y) const {
    for_strips(m, 1.0 * m * n, [&](Index i, Index rows) { kernels_.gemv_n(rows, n, A + i, lda, x, y + i); });
  }
  Index panel(Index m, Index n, const Real<T>* floor, T* A, Index lda) const {
    if (1.0 * m * n * n < 2 * worthwhile) return kernels_.panel(m, n, floor, A, lda);
    if (n <= narrow) {
      const Index done = kernels_.panel(n, n, floor, A, lda);
      if (done == n) trsm_h(m - n, n, A, lda, A + n, lda);
      return done;
    }
    const Index half = divided(n / 2, narrow / 2) * (narrow / 2);
    const Index done = panel(m, half, floor, A, lda);
    if (done < half) return done;
    T* rest = A + at(half, half, lda);
    herk(m - half, n - half, half, A + half, lda, rest, lda);
    for (Index j = 1; j < n - half; ++j) std::fill_n(rest + at(0, j, lda), j, T{});  // herk was there
    return half + panel(m - half, n - half, floor + half, rest, lda);
  }

  // Calls body(kernels, k) for k = 0 .. count-1, the last of which take longest, `operations` all together;
  // the kernels are those of one worker.
  template <class Body>
  void side_by_side(Index count, double operations, const Body& body) const {
    if (alone(operations)) {
      for (Index k = 0; k < count; ++k) body(*this, k);
    } else {
      crew_->each(count, [&](Index k, int) { body(CrewKernels(kernels_, nullptr), count - 1 - k); });
    }
  }

 private:
  static constexpr Index narrow = 128;       // columns of a factorization by one worker
  static constexpr double worthwhile = 4e6;  // multiplications and additions: some 50 microseconds
  static constexpr Index unit = 48;          // rows: a multiple of the register tiles'

  static Offset at(Index i, Index j, Index ld) { return i + static_cast<Offset>(j) * ld; }
  static Index divided(Index n, Index pieces) { return (n + pieces - 1) / pieces; }
  bool alone(double operations) const {
    return crew_ == nullptr || crew_->threads() == 1 || operations < worthwhile;
  }
  // Columns of a tile, and its rows where the columns are cut into `slabs`: several tiles per thread.
  static Index slab(Index n) { return divided(n, divided(n, n <= 1024 ? 256 : 512)); }
  Index strip(Index m, Index slabs) const {
    const Index height = divided(m, divided(4 * crew_->threads(), slabs));
    return std::clamp(divided(height, unit) * unit, 2 * unit, 1024 / unit * unit);
  }

  template <class Body>
  void for_strips(Index m, double operations, const Body& body) const {
    if (alone(operations)) return body(0, m);
    const Index height = strip(m, 1);
    crew_->each(divided(m, height),
                [&](Index t, int) { body(t * height, std::min(height, m - t * height)); });
  }
  // `operations` per entry of the m x n result.
  template <class Body>
  void for_tiles(Index m, Index n, double operations, const Body& body) const {
    if (alone(operations * m * n)) return body(0, 0, m, n);
    const Index width = slab(n), slabs = divided(n, width), height = strip(m, slabs);
    crew_->each(divided(m, height) * slabs, [&](Index t, int) {
      const Index i = t / slabs * height, j = t % slabs * width;
      body(i, j, std::min(height, m - i), std::min(width, n - j));
    });
  }

  const DenseKernels<T>& kernels_;
  Crew* crew_;
};

}  // namespace elimax
