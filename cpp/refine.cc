// refine.cc: x = A^-1 b by iterative refinement.
//
// x <- x + F^-1 (b - A x), with the residual accumulated in twice the working precision (residual.h), until
// the componentwise backward error is a rounding or two, or no longer halves. F may be the factor of a matrix
// nearby, whose small pivots were perturbed: x solves with A all the same where F^-1 A is close enough to 1
// (Skeel, Math. Comp. 35, 1980; Arioli, Demmel, Duff, SIAM J. Matrix Anal. Appl. 10, 1989; Li and Demmel,
// 1998).
//
// Two things are tried with a column for which that is not enough. If its error stays large because F is too
// far from A, corrections come from GMRES (gmres.h). And unknowns that are zero, as those are that b does not
// reach, come out as rounding errors of others, so that their equations are not solved at all: small ones
// that a correction replaces are set to zero, while others gain digits.
//
// Up to 64 columns are refined together, each until it is done: those that are leave the block, and the
// others move together. Cost: a solve and a residual per step, of which there is one at least.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "crew.h"
#include "gmres.h"
#include "residual.h"
#include "schedule.h"

namespace elimax {
namespace {

constexpr Index block_width = 64;
constexpr int most_steps = 20, most_repairs = 8;

template <class T>
class Refinement {
  using R = Real<T>;
  static constexpr double epsilon = std::numeric_limits<R>::epsilon();
  static constexpr double enough = 10 * epsilon;  // what callers take for a solution

 public:
  Refinement(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
             const Coefficients<T>& A, Factor<T> factor, Index k, T* work)
      : symbolic_(symbolic),
        embedding_(embedding),
        schedule_(schedule),
        crew_(crew),
        A_(A),
        factor_(factor),
        b_(work),
        x_(b_ + block_size(symbolic, k)),
        r_(x_ + block_size(symbolic, k)),
        solve_work_(r_ + block_size(symbolic, k)),
        direction_(solve_work_ + solve_size(symbolic, schedule, k)),
        gmres_(symbolic.n, direction_ + even(symbolic.n)),
        residual_work_(reinterpret_cast<double*>(direction_ + gmres_size(symbolic))) {}

  static Offset workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
    const Offset residuals = schedule.threads * residual_workspace<T>(symbolic.n, piece(width(k)));
    return 3 * block_size(symbolic, k) + solve_size(symbolic, schedule, k) + gmres_size(symbolic) +
           static_cast<Offset>((residuals * sizeof(double) + sizeof(T) - 1) / sizeof(T));
  }

  // Columns of row-major arrays with `stride` numbers from row to row.
  void run(const T* b, Index columns, Offset stride, T* x, R* errors) {
    columns_ = columns;
    for (Index c = 0; c < columns; ++c) column_[c] = {c};
    for (Index i = 0; i < symbolic_.n; ++i)
      for (Index c = 0; c < columns; ++c) b_[i * Offset{columns} + c] = b[i * stride + c];
    std::copy_n(b_, size(), r_);
    std::fill_n(x_, size(), T{});
    for (int step = 0; columns_ > 0 && step <= most_steps; ++step) {
      correct(stride, x);
      drop_finished();
    }
    for (Index c = 0; c < columns_; ++c) best_[column_[c].place] = column_[c].best;
    for (Index c = 0; c < columns; ++c) {
      if (best_[c].plain > enough) repair(c, b, stride, x);
      errors[c] = static_cast<R>(best_[c].safe);
    }
  }

 private:
  struct Column {
    Index place = 0;  // in the caller's block
    BackwardError last = {infinity, infinity}, best = {nan, nan}, now = {};
  };
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();

  static Index width(Index k) { return std::min(k, block_width); }
  static Index piece(Index columns) { return std::min(columns, residual_width); }
  static Offset even(Offset size) { return (size + 1) / 2 * 2; }  // whole doubles
  static Offset block_size(const Symbolic& symbolic, Index k) { return even(symbolic.n * Offset{width(k)}); }
  // The most that a solve with some of k columns takes.
  static Offset solve_size(const Symbolic& symbolic, const Schedule& schedule, Index k) {
    Offset most = 0;
    for (Index m = 1; m <= width(k); ++m) most = std::max(most, solve_workspace(symbolic, schedule, m));
    return even(most);
  }
  static Offset gmres_size(const Symbolic& symbolic) { return even((gmres_steps + 3) * Offset{symbolic.n}); }
  Offset size() const { return symbolic_.n * Offset{columns_}; }

  // u <- F^-1 u.
  void solve(T* u) {
    pivoted_solve(symbolic_, embedding_, schedule_, crew_, factor_, A_.adjoint, u, columns_, u, solve_work_);
  }

  // x <- x + F^-1 r and what follows.
  void correct(Offset stride, T* x) {
    solve(r_);
    for (Offset i = 0; i < size(); ++i) x_[i] += r_[i];
    judge(stride, x);
  }
  void judge(Offset stride, T* x) {
    find_residuals();
    keep_best(stride, x);
  }

  void find_residuals() {
    const Index pieces = (columns_ + residual_width - 1) / residual_width;
    std::array<BackwardError, block_width> found;
    crew_.each(pieces, [&](Index k, int worker) {
      const Index first = k * residual_width, count = std::min(residual_width, columns_ - first);
      residual(A_, b_ + first, x_ + first, count, columns_, r_ + first, found.data() + first,
               residual_work_ + worker * residual_workspace<T>(symbolic_.n, piece(columns_)));
    });
    for (Index c = 0; c < columns_; ++c) column_[c].now = found[c];
  }

  static bool is_better(BackwardError a, BackwardError b) {
    if (std::isnan(b.safe)) return true;
    const double enough_a = std::max(a.safe, enough), enough_b = std::max(b.safe, enough);
    return enough_a < enough_b || (enough_a == enough_b && a.plain < b.plain);
  }

  void keep_best(Offset stride, T* x) {
    for (Index c = 0; c < columns_; ++c) {
      Column& column = column_[c];
      if (!is_better(column.now, column.best)) continue;
      column.best = column.now;
      for (Index i = 0; i < symbolic_.n; ++i) x[i * stride + column.place] = x_[i * Offset{columns_} + c];
    }
  }

  static bool is_finished(const Column& column) {
    const BackwardError now = column.now, last = column.last;
    if (now.plain <= 2 * epsilon) return true;
    return !(now.plain <= last.plain / 2 || (now.safe > enough && now.safe < last.safe));
  }
  static bool is_noisy(const Column& column) {
    return column.best.safe <= enough && column.best.plain > enough;
  }

  // Goes on with the column `place` of the caller's block, alone, from its best x.
  void repair(Index place, const T* b, Offset stride, T* x) {
    columns_ = 1;
    column_[0] = {place};
    for (Index i = 0; i < symbolic_.n; ++i) {
      b_[i] = b[i * stride + place];
      x_[i] = x[i * stride + place];
    }
    judge(stride, x);
    Column& column = column_[0];
    for (int step = 0; step < most_repairs && column.best.plain > 2 * epsilon; ++step) {
      column.last = column.now;
      if (column.now.safe > enough)
        gmres_.run([&](const T* v, T* w) { multiply_preconditioned(v, w); }, r_, r_);
      solve(r_);
      for (Index i = 0; i < symbolic_.n; ++i) x_[i] += r_[i];
      if (is_noisy(column)) try_zeros(stride, x);
      judge(stride, x);
      if (!is_noisy(column) && !(column.now.safe < column.last.safe)) break;
    }
    best_[place] = column.best;
  }

  // Judges x_ with zeros for what is small and has no more than three digits, by the correction r_.
  void try_zeros(Offset stride, T* x) {
    double largest = 0;
    std::copy_n(x_, symbolic_.n, direction_);
    for (Index i = 0; i < symbolic_.n; ++i) largest = std::max<double>(largest, std::abs(x_[i]));
    for (Index i = 0; i < symbolic_.n; ++i)
      if (std::abs(x_[i]) <= std::min<double>(noise<R> * largest, 1000 * std::abs(r_[i]))) x_[i] = T{};
    judge(stride, x);
    std::copy_n(direction_, symbolic_.n, x_);
  }

  // w = A F^-1 v.
  void multiply_preconditioned(const T* v, T* w) {
    std::copy_n(v, symbolic_.n, direction_);
    solve(direction_);
    std::fill_n(w, symbolic_.n, T{});
    BackwardError unused;
    residual(A_, w, direction_, 1, 1, w, &unused, residual_work_);
    for (Index i = 0; i < symbolic_.n; ++i) w[i] = -w[i];
  }

  void drop_finished() {
    std::array<Index, block_width> kept;
    Index left = 0;
    for (Index c = 0; c < columns_; ++c) {
      if (is_finished(column_[c])) {
        best_[column_[c].place] = column_[c].best;
      } else {
        column_[c].last = column_[c].now;
        column_[left] = column_[c];
        kept[left++] = c;
      }
    }
    if (left < columns_ && left > 0)
      for (T* block : {b_, x_, r_})
        for (Index i = 0; i < symbolic_.n; ++i)
          for (Index c = 0; c < left; ++c)
            block[i * Offset{left} + c] = block[i * Offset{columns_} + kept[c]];
    columns_ = left;
  }

  const Symbolic& symbolic_;
  const Embedding& embedding_;
  const Schedule& schedule_;
  Crew& crew_;
  const Coefficients<T>& A_;
  const Factor<T> factor_;
  T *b_, *x_, *r_;  // of the columns that are not finished
  T *solve_work_, *direction_;
  Gmres<T> gmres_;
  double* residual_work_;
  Index columns_ = 0;
  std::array<Column, block_width> column_;
  std::array<BackwardError, block_width> best_;  // by place
};

}  // namespace

template <class T>
Offset refined_solve_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  return Refinement<T>::workspace(symbolic, schedule, k);
}

template <class T>
void refined_solve(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
                   Columns pattern, const T* values, Factor<T> factor, bool adjoint, const T* b, Index k,
                   T* x, Real<T>* errors, T* work) {
  const Coefficients<T> A{pattern, factor.storage, values, adjoint};
  Refinement<T> refinement(symbolic, embedding, schedule, crew, A, factor, k, work);
  for (Index first = 0; first < k; first += block_width)
    refinement.run(b + first, std::min(block_width, k - first), k, x + first, errors + first);
}

#define INSTANTIATE(T)                                                                               \
  template Offset refined_solve_workspace<T>(const Symbolic&, const Schedule&, Index);               \
  template void refined_solve<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, Columns, \
                                 const T*, Factor<T>, bool, const T*, Index, T*, Real<T>*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
ELIMAX_FOR_BILINEAR(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
