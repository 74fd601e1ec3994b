// selected_inverse.cc: A^-1 on the pattern of A, and its directional derivatives of every order.
//
// With L known, the inverse Z = A^-1 restricted to the fronts needs no more than the fronts (Takahashi,
// Fagan, Chin 1973; Erisman, Tinney, CACM 18, 1975; by fronts: Campbell, Davis 1995; Lin et al., SelInv,
// TOMS 37, 2011). From the roots down, with the notation of front.h and Y = F21 F11^-1,
//
//     Z21 = -Z22 Y,   Z11 = F11^-1 - Y^H Z21,                                                        (1)
//
// and Z22 of a child is a submatrix of the front of its parent.
//
// Derivatives in the directions V_1, ..., V_k come from the same formulas over the nilpotent numbers of
// nilpotent.h. The coefficients of S = {} are those of A. The others climb from the leaves first: let Y_0 =
// L21 L11^-1. Subtracting Y_0 times the first block row of the front, and the same for columns, leaves
//
//     R_S = F21_S - Y_0 F11_S  and  D_S = F22_S - N_S Y_0^H - Y_0 N_S^H,  N_S = (F21_S + R_S) / 2,   (2)
//
// where R_{} = 0 and D_{} is the update matrix of A. Hence with K = R F11^-1 the Schur complement is
// D - K R^H and Y = Y_0 + K, and every product of coefficients that contains R has one factor less to sum
// over.
//
// Cost: k = 0 about 2, k = 1 about 8 factorizations in flops, all of them in dense kernels; 3^k grows from
// there. Memory: nonempty subsets keep F11_S and R_S of all fronts, the size of the factor each.

#include <bit>

#include "dense_crew.h"
#include "front.h"
#include "nilpotent.h"
#include "numeric.h"
#include "schedule.h"
#include "simplicial.h"

namespace elimax {
namespace {

// X(n x n) += (L L^H)^-1 = M^H M with M = L^-1, for the lower triangle L; M: n^2 entries. 2/3 n^3 flops.
template <class T>
void add_inverse_gram(const CrewKernels<T>& kernels, Index n, const T* L, Index ldl, T* X, Index ldx, T* M) {
  // By blocks of rows: the rows of I L^-1 end at the diagonal.
  kernels.side_by_side(lower_blocks(n), 1.0 * n * n * n / 3, [&](const CrewKernels<T>& own, Index k) {
    const auto [i, width] = lower_block(n, k);
    for (Index j = 0; j < i + width; ++j)
      for (Index r = i; r < i + width; ++r) M[r + static_cast<Offset>(j) * n] = T(r == j);
    own.trsm_n(width, i + width, L, ldl, M + i, n);
  });
  for_lower_blocks(n, [&](Index i, Index width) {
    kernels.gemm_hn(width, i + width, n - i, 1, M + i + static_cast<Offset>(i) * n, n, M + i, n, X + i, ldx);
  });
  mirror(n, n, X, ldx);
}

// What the two sweeps share, as the worker sees it who visits a supernode.
template <class T>
struct Sweep {
  const Symbolic& symbolic;
  const Schedule& schedule;
  Worker worker;
  CrewKernels<T> kernels;
  const T* factor;
  Subset all;       // the whole set
  T* coefficients;  // per nonempty subset: panels of all fronts
  T* updates;       // per subset: the stacks of update matrices
  T* Y_panels;      // per subset: a panel of the current front, one after the other
  T* Z_panels;      // per subset: a panel of the current front, one after the other
  T* work;          // one panel

  T* update(Subset S, Index s) const {
    return updates + S * schedule.squares.size(schedule.threads) + schedule.squares.at(s, worker.id);
  }
  // The front of s in A + sum e_i V_i, S nonempty: [F11_S; F21_S], once eliminated [F11_S; R_S].
  Front<T> front(Subset S, Index s) const {
    return front_of(symbolic, s, coefficients + (S - 1) * symbolic.factor_size(), update(S, s));
  }
  // The front of s in the inverse: [Z11_S; Z21_S] and Z22_S.
  Front<T> inverse_front(Subset S, Index s) const {
    return {symbolic.columns(s), symbolic.below(s), Z_panel(S, s), update(S, s)};
  }
  // Y_S of the current front below an auxiliary square.
  T* Y_panel(Subset S, Index s) const { return Y_panels + S * panel_size(s); }
  // [(F11^-1)_S; 0], then [Z11_S; Z21_S].
  T* Z_panel(Subset S, Index s) const { return Z_panels + S * panel_size(s); }
  Offset panel_size(Index s) const { return symbolic.panel[s + 1] - symbolic.panel[s]; }
};

// Y_0 = L21 L11^-1.
template <class T>
void expand_base_below(const Sweep<T>& sweep, Index s) {
  const Index c = sweep.symbolic.columns(s), u = sweep.symbolic.below(s), ld = c + u;
  const T* L = sweep.factor + sweep.symbolic.panel[s];
  T* Y = sweep.Y_panel(0, s);
  std::copy_n(L, sweep.panel_size(s), Y);
  sweep.kernels.trsm_n(u, c, L, ld, Y + c, ld);
}

// (F11^-1)_0 = L11^-H L11^-1, and zero in the other panels of the inverse.
template <class T>
void expand_base_top(const Sweep<T>& sweep, Index s) {
  const Index c = sweep.symbolic.columns(s), ld = sweep.symbolic.front(s);
  T* Z = sweep.Z_panel(0, s);
  std::fill_n(Z, (sweep.all + 1) * sweep.panel_size(s), T{});
  add_inverse_gram(sweep.kernels, c, sweep.factor + sweep.symbolic.panel[s], ld, Z, ld, sweep.work);
}

// The coefficients of a nonempty S, from F11 and R of S and of its subsets:
//   (F11^-1)_S = -(F11^-1)_0 sum over nonempty T in S of F11_T (F11^-1)_{S-T},
//   Y_S = (R F11^-1)_S = sum over nonempty T in S of R_T (F11^-1)_{S-T}.
template <class T>
void expand(const Sweep<T>& sweep, Index s, Subset S) {
  const Index c = sweep.symbolic.columns(s), ld = sweep.symbolic.front(s);
  T* Y = sweep.Y_panel(S, s);  // both sums, one above the other
  std::fill_n(Y, sweep.panel_size(s), T{});
  for_nonempty_subsets(S, [&](Subset part) {
    sweep.kernels.gemm_nn(ld, c, c, 1, sweep.front(part, s).panel, ld, sweep.Z_panel(S & ~part, s), ld, Y,
                          ld);
  });
  T* inverse = sweep.Z_panel(S, s);
  for_lower_blocks(c, [&](Index j, Index width) {
    const Offset column = static_cast<Offset>(j) * ld;
    sweep.kernels.gemm_nn(c - j, width, c, -1, sweep.Z_panel(0, s) + j, ld, Y + column, ld,
                          inverse + j + column, ld);
  });
  mirror(c, c, inverse, ld);
}

// F21_S <- R_S, and the update matrix from F22_S to D_S, formulas (2).
template <class T>
void congruence(const Sweep<T>& sweep, const T* Y, Front<T> front) {
  const Index c = front.c, u = front.u, ld = front.size();
  mirror(c, c, front.panel, ld);
  T* N = sweep.work;
  for (Index j = 0; j < c; ++j)
    std::copy_n(front.below() + static_cast<Offset>(j) * ld, u, N + static_cast<Offset>(j) * u);
  sweep.kernels.gemm_nn(u, c, c, -1, Y, ld, front.panel, ld, front.below(), ld);
  for (Index j = 0; j < c; ++j) {
    T* column = N + static_cast<Offset>(j) * u;
    const T* R = front.below() + static_cast<Offset>(j) * ld;
    for (Index i = 0; i < u; ++i) column[i] = (column[i] + R[i]) / Real<T>(2);
  }
  for_lower_blocks(u, [&](Index j, Index width) {
    T* D = front.update + j + static_cast<Offset>(j) * u;
    sweep.kernels.gemm_nh(u - j, width, c, -1, N + j, u, Y + j, ld, D, u);
    sweep.kernels.gemm_nh(u - j, width, c, -1, Y + j, ld, N + j, u, D, u);
  });
}

// Eliminates the columns of s from the coefficients of the nonempty subsets.
template <class T>
void eliminate(const Sweep<T>& sweep, Index s) {
  expand_base_below(sweep, s);
  for (Subset S = 1; S <= sweep.all; ++S)
    congruence(sweep, sweep.Y_panel(0, s) + sweep.symbolic.columns(s), sweep.front(S, s));
  if (sweep.all < 2) return;  // K R^H has no coefficient of a single direction

  expand_base_top(sweep, s);
  for (Subset S = 1; S < sweep.all; ++S) expand(sweep, s, S);
  for (Subset S = 1; S <= sweep.all; ++S) {
    const Front<T> front = sweep.front(S, s);
    const Index c = front.c, u = front.u, ld = front.size();
    for (Subset part = (S - 1) & S; part != 0; part = (part - 1) & S)
      for_lower_blocks(u, [&](Index j, Index width) {
        sweep.kernels.gemm_nh(u - j, width, c, -1, sweep.Y_panel(part, s) + c + j, ld,
                              sweep.front(S & ~part, s).below() + j, ld,
                              front.update + j + static_cast<Offset>(j) * u, u);
      });
  }
}

// Z11_S and Z21_S from the coefficients of Z22, formulas (1).
template <class T>
void invert(const Sweep<T>& sweep, Index s) {
  const Index c = sweep.symbolic.columns(s), u = sweep.symbolic.below(s), ld = c + u;
  const Index columns = static_cast<Index>(sweep.all + 1) * c;  // of all panels together
  expand_base_below(sweep, s);
  expand_base_top(sweep, s);
  for (Subset S = 1; S <= sweep.all; ++S) expand(sweep, s, S);

  const Front<T> base = sweep.inverse_front(0, s);
  // Z22_{} multiplies every Y_S: one product.
  sweep.kernels.gemm_nn(u, columns, u, -1, base.update, u, sweep.Y_panel(0, s) + c, ld, base.below(), ld);
  for (Subset S = 1; S <= sweep.all; ++S)
    for_nonempty_subsets(S, [&](Subset part) {
      sweep.kernels.gemm_nn(u, c, u, -1, sweep.inverse_front(part, s).update, u,
                            sweep.Y_panel(S & ~part, s) + c, ld, sweep.inverse_front(S, s).below(), ld);
    });
  for (Subset S = 0; S <= sweep.all; ++S) {
    T* Z = sweep.inverse_front(S, s).panel;
    for_subsets(S, [&](Subset part) {
      const T* Y = sweep.Y_panel(part, s) + c;
      const T* Z21 = sweep.inverse_front(S & ~part, s).below();
      for_lower_blocks(c, [&](Index j, Index width) {
        const Offset column = static_cast<Offset>(j) * ld;
        sweep.kernels.gemm_hn(c - j, width, u, -1, Y + column, ld, Z21 + column, ld, Z + j + column, ld);
      });
    });
    mirror(c, c, Z, ld);
  }
}

// Entries of the workspace that worker `id` has before its own: Y, Z and work for panels of so many entries.
Offset own_workspace(const Schedule& schedule, int id, Subset all) {
  return schedule.own(id, [&](Offset panel) { return (2 * (Offset{all} + 1) + 1) * panel; });
}

}  // namespace

Offset inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  if (simplicial::handles(symbolic, k)) return simplicial::inverse_gradient_workspace(symbolic, schedule, k);
  const Subset all = (Subset{1} << k) - 1;
  return all * symbolic.factor_size() + (Offset{all} + 1) * schedule.squares.size(schedule.threads) +
         own_workspace(schedule, schedule.threads, all);
}

template <class T>
void inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                      Crew& crew, const T* factor, In<const T*> directions, T* gradient, T* workspace) {
  if (simplicial::handles(symbolic, directions.size()))
    return simplicial::inverse_gradient(symbolic, embedding, schedule, factor, directions, gradient,
                                        workspace);
  const Subset all = (Subset{1} << directions.size()) - 1;
  const DenseKernels<T>& kernels = dense<T>();
  T* updates = workspace + all * symbolic.factor_size();
  T* owned = updates + (Offset{all} + 1) * schedule.squares.size(schedule.threads);
  const auto sweep_of = [&](Worker worker) -> Sweep<T> {
    T* own = owned + own_workspace(schedule, worker.id, all);
    const Offset panels =
        (Offset{all} + 1) * (worker.id == 0 ? schedule.max_panel : schedule.max_panel_inside);
    return {symbolic, schedule,     worker,          CrewKernels<T>(kernels, worker.crew),
            factor,   all,          workspace,       updates,
            own,      own + panels, own + 2 * panels};
  };

  if (all != 0)
    upward(schedule, crew, [&](Index s, Worker worker) {
      const Sweep<T> sweep = sweep_of(worker);
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
    const Sweep<T> sweep = sweep_of(worker);
    invert(sweep, s);
    write_gradient(symbolic, embedding, s, sweep.inverse_front(all, s), gradient);
    schedule.for_children(s, [&](Index child) {
      for (Subset S = 0; S <= all; ++S)
        extract(worker, relative_rows(symbolic, child), sweep.inverse_front(S, s), sweep.update(S, child));
    });
  });
}

#define INSTANTIATE(T)                                                                                   \
  template void inverse_gradient<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, const T*, \
                                    In<const T*>, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
