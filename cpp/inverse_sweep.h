// inverse_sweep.h: what selected_inverse.cc and general_inverse.cc share: the memory of fronts over nilpotent
// numbers, the two sweeps over them, and how pivots are undone.
//
// Upwards the coefficients of the directions are eliminated, downwards the inverse is expanded. The functions
// are over the type F of a front, Front<T> or GeneralFront<T>, which has one panel or two.
#pragma once

#include <bit>

#include "dense_crew.h"
#include "general_front.h"
#include "nilpotent.h"

namespace elimax {

// What the sweeps share, as the worker sees it who visits a supernode. Matrices with two panels, like
// fronts, have in the second one what belongs to F12^H.
template <class T, class F>
struct InverseSweep {
  static constexpr Offset panels = std::is_same_v<F, Front<T>> ? 1 : 2;  // of a front

  const Symbolic& symbolic;
  const Schedule& schedule;
  Worker worker;
  CrewKernels<T> kernels;
  const Factor<T>& factor;
  Subset all;       // the whole set
  T* coefficients;  // per nonempty subset: panels of all fronts
  T* updates;       // per subset: the stacks of update matrices
  T* own;           // panels of the current front: for every kind those of all subsets, at such a distance
  Offset distance;

  T* update(Subset S, Index s) const {
    return updates + S * schedule.squares.size(schedule.threads) + schedule.squares.at(s, worker.id);
  }
  // The front of s in A + sum e_i V_i, S nonempty: where it is assembled and eliminated.
  F front(Subset S, Index s) const {
    const Offset size = symbolic.factor_size();
    return front_at(s, coefficients + (S - 1) * panels * size + symbolic.panel[s], size, update(S, s));
  }
  // The front of s in the inverse. Its panel begins as (F11^-1)_S and zeros below.
  F inverse_front(Subset S, Index s) const { return front_at(s, Z_panel(S, s), 2 * distance, update(S, s)); }
  // Y_S and W_S of the current front below an auxiliary square.
  T* Y_panel(Subset S, Index s) const { return own + S * panel_size(s); }
  T* Z_panel(Subset S, Index s) const { return own + distance + S * panel_size(s); }
  T* W_panel(Subset S, Index s) const { return own + 2 * distance + S * panel_size(s); }
  T* work() const { return own + 2 * panels * distance; }  // one panel
  Offset panel_size(Index s) const { return symbolic.panel[s + 1] - symbolic.panel[s]; }
  // The order in which s takes its rows, or null.
  const Index* pivots(Index s) const { return factor.pivots ? factor.pivots + symbolic.super[s] : nullptr; }

 private:
  // The second panel, if there is one, lies so many entries behind the first.
  F front_at(Index s, T* panel, Offset behind, T* update) const {
    const Index c = symbolic.columns(s), u = symbolic.below(s);
    if constexpr (panels == 1)
      return {c, u, panel, update};
    else
      return {c, u, panel, panel + behind, update};
  }
};

// Entries of the workspace that worker `id` has before its own.
template <class Sweep>
Offset inverse_panels(const Schedule& schedule, int id, Subset all) {
  return schedule.own(id, [&](Offset panel) { return (2 * Sweep::panels * (Offset{all} + 1) + 1) * panel; });
}
template <class Sweep>
Offset inverse_sweeps_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  const Subset all = (Subset{1} << k) - 1;
  return all * Sweep::panels * symbolic.factor_size() +
         (Offset{all} + 1) * schedule.squares.size(schedule.threads) +
         inverse_panels<Sweep>(schedule, schedule.threads, all);
}

// The gradient from eliminate(sweep, s), which takes the columns of s out of the coefficients of the nonempty
// subsets, and invert(sweep, s), which finds the panels of the inverse from its update matrices.
template <class T, class F, class Eliminate, class Invert>
void inverse_sweeps(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                    Crew& crew, const Factor<T>& factor, In<const T*> directions, T* gradient, T* workspace,
                    const Eliminate& eliminate, const Invert& invert) {
  using Sweep = InverseSweep<T, F>;
  const Subset all = (Subset{1} << directions.size()) - 1;
  const DenseKernels<T>& kernels = dense<T>();
  T* updates = workspace + all * Sweep::panels * symbolic.factor_size();
  T* owned = updates + (Offset{all} + 1) * schedule.squares.size(schedule.threads);
  const auto sweep_of = [&](Worker worker) -> Sweep {
    return {symbolic,
            schedule,
            worker,
            CrewKernels<T>(kernels, worker.crew),
            factor,
            all,
            workspace,
            updates,
            owned + inverse_panels<Sweep>(schedule, worker.id, all),
            (Offset{all} + 1) * (worker.id == 0 ? schedule.max_panel : schedule.max_panel_inside)};
  };

  if (all != 0)
    upward(schedule, crew, [&](Index s, Worker worker) {
      const Sweep sweep = sweep_of(worker);
      for (Subset S = 1; S <= all; ++S) {
        clear(sweep.front(S, s));
        if (std::has_single_bit(S))
          assemble(embedding, s, directions[std::countr_zero(S)], sweep.front(S, s));
      }
      schedule.for_children(s, [&](Index child) {
        for (Subset S = 1; S <= all; ++S)
          extend_add(worker, relative_rows(symbolic, child), sweep.update(S, child), sweep.front(S, s));
      });
      eliminate(sweep, s);
      return true;
    });

  downward(schedule, crew, [&](Index s, Worker worker) {
    const Sweep sweep = sweep_of(worker);
    invert(sweep, s);
    write_gradient(symbolic, embedding, s, sweep.inverse_front(all, s), gradient);
    schedule.for_children(s, [&](Index child) {
      for (Subset S = 0; S <= all; ++S)
        extract(worker, relative_rows(symbolic, child), sweep.inverse_front(S, s), sweep.update(S, child));
    });
  });
}

// M <- L^-1 for the lower triangle L (n x n), without the blocks above the diagonal ones. n^3 / 3 flops.
template <class T>
void invert_triangle(const CrewKernels<T>& kernels, Index n, const T* L, Index ldl, T* M, Index ldm) {
  // By blocks of rows: the rows of I L^-1 end at the diagonal.
  kernels.side_by_side(lower_blocks(n), 1.0 * n * n * n / 3, [&](const CrewKernels<T>& own, Index k) {
    const auto [i, width] = lower_block(n, k);
    for (Index j = 0; j < i + width; ++j) std::fill_n(M + i + static_cast<Offset>(j) * ldm, width, T{});
    for (Index r = i; r < i + width; ++r) M[r + static_cast<Offset>(r) * ldm] = T(1);
    own.trsm_n(width, i + width, L, ldl, M + i, ldm);
  });
}

// B(m x n) <- B P, where row j of P x is x[pivots[j]]. work: m n entries. Out of line, like the next one, in
// favor of Cholesky's small supernodes, which have no pivots.
template <class T>
[[gnu::noinline]] void permute_columns(Worker worker, Index m, Index n, const Index* pivots, T* B, Index ldb,
                                       T* work) {
  share_out(worker, m, 2 * n, [&](Index begin, Index end) {
    const auto saved = [&](Index j) { return work + begin + static_cast<Offset>(j) * m; };
    for (Index j = 0; j < n; ++j)
      if (pivots[j] != j) std::copy_n(B + begin + static_cast<Offset>(j) * ldb, end - begin, saved(j));
    for (Index j = 0; j < n; ++j)
      if (pivots[j] != j)
        std::copy_n(saved(j), end - begin, B + begin + static_cast<Offset>(pivots[j]) * ldb);
  });
}
// X(n x n) <- P^T X. work: n^2 entries.
template <class T>
[[gnu::noinline]] void permute_rows(Worker worker, Index n, const Index* pivots, T* X, Index ldx, T* work) {
  if (std::is_sorted(pivots, pivots + n)) return;
  share_out(worker, n, 2 * n, [&](Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      T *column = X + static_cast<Offset>(j) * ldx, *saved = work + static_cast<Offset>(begin) * n;
      std::copy_n(column, n, saved);
      for (Index i = 0; i < n; ++i) column[pivots[i]] = saved[i];
    }
  });
}

// general_inverse.cc: inverse_gradient for LU.
Offset general_inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void general_inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                              Crew& crew, const Factor<T>& factor, In<const T*> directions, T* gradient,
                              T* workspace);

}  // namespace elimax
