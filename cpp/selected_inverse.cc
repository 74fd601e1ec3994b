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

#include "inverse_sweep.h"
#include "simplicial.h"

namespace elimax {
namespace {

template <class T>
using Sweep = InverseSweep<T, Front<T>>;

// Y_0 = L21 L11^-1 P.
template <class T>
void expand_base_below(const Sweep<T>& sweep, Index s) {
  const Index c = sweep.symbolic.columns(s), u = sweep.symbolic.below(s), ld = c + u;
  const T* L = sweep.factor.lower + sweep.symbolic.panel[s];
  T* Y = sweep.Y_panel(0, s);
  std::copy_n(L, sweep.panel_size(s), Y);
  sweep.kernels.trsm_n(u, c, L, ld, Y + c, ld);
  if (const Index* pivots = sweep.pivots(s))
    permute_columns(sweep.worker, u, c, pivots, Y + c, ld, sweep.work());
}

// W(n x n) = D^-1 M, without the blocks above the diagonal ones, for diagonal blocks of orders 1 and 2.
template <class T>
void divide_rows(const CrewKernels<T>& kernels, Index n, const T* diagonal, const T* couplings, const T* M,
                 Index ldm, T* W, Index ldw) {
  kernels.side_by_side(lower_blocks(n), 2.0 * n * n, [&](const CrewKernels<T>&, Index k) {
    const auto [first, width] = lower_block(n, k);
    // Row i of D^-1 has `own` on the diagonal and `other` in the column of the partner of i.
    T own[lower_block_width], other[lower_block_width];
    Index partner[lower_block_width];
    for (Index r = 0; r < width; ++r) {
      const Index i = first + r;
      const bool is_second = i > 0 && couplings[i - 1] != T{};
      const T b = is_second ? couplings[i - 1] : conjugate(couplings[i]);  // D(i, partner)
      partner[r] = is_second ? i - 1 : i + 1;
      if (b == T{} || partner[r] == n) {  // the last coupling is zero, or NaN like all of its factor
        own[r] = T(1) / diagonal[i], other[r] = T{}, partner[r] = i;
        continue;
      }
      // The inverse of [a b; conj(b) d], divided by b where it might overflow.
      const T d = diagonal[partner[r]] / b;
      const T q = diagonal[i] / conjugate(b) * d - T(1);
      own[r] = diagonal_part(T(d / (conjugate(b) * q)));
      other[r] = T(-1) / (conjugate(b) * q);
    }
    for (Index j = 0; j < first + width; ++j) {
      const T* from = M + static_cast<Offset>(j) * ldm;
      T* to = W + first + static_cast<Offset>(j) * ldw;
      for (Index r = 0; r < width; ++r) to[r] = own[r] * from[first + r] + other[r] * from[partner[r]];
    }
  });
}

// The factor 1 or -1 if D is that multiple of the identity, as where F11 or -F11 is definite; else 0.
template <class T>
Real<T> sign_of(Index n, const T* diagonal, const T* couplings) {
  const Real<T> sign = diagonal[0] == T(1) ? 1 : diagonal[0] == T(-1) ? -1 : 0;
  for (Index j = 0; j < n; ++j)
    if (diagonal[j] != T(sign) || couplings[j] != T{}) return 0;
  return sign;
}

// (F11^-1)_0 = P^T M^H D^-1 M P with M = L11^-1, and zero in the other panels of the inverse.
template <class T>
void expand_base_top(const Sweep<T>& sweep, Index s) {
  const Index c = sweep.symbolic.columns(s), ld = sweep.symbolic.front(s);
  T* Z = sweep.Z_panel(0, s);
  std::fill_n(Z, (sweep.all + 1) * sweep.panel_size(s), T{});
  const T* diagonal = sweep.factor.diagonal ? sweep.factor.diagonal + sweep.symbolic.super[s] : nullptr;
  const Real<T> sign = diagonal ? sign_of(c, diagonal, diagonal + sweep.symbolic.n) : 1;
  T* M = sweep.work();
  const T* W = M;  // D^-1 M, but for the sign
  Index ldw = c;
  if (sign == 0) std::fill_n(M, static_cast<Offset>(c) * c, T{});
  invert_triangle(sweep.kernels, c, sweep.factor.lower + sweep.symbolic.panel[s], ld, M, c);
  if (sign == 0) {
    W = sweep.Y_panel(0, s), ldw = ld;
    divide_rows(sweep.kernels, c, diagonal, diagonal + sweep.symbolic.n, M, c, sweep.Y_panel(0, s), ld);
  }
  for_lower_blocks(c, [&](Index i, Index width) {
    sweep.kernels.gemm_hn(width, i + width, c - i, sign == 0 ? 1 : sign, M + i + static_cast<Offset>(i) * c,
                          c, W + i, ldw, Z + i, ld);
  });
  mirror(c, c, Z, ld);
  if (const Index* pivots = sweep.pivots(s)) {
    permute_columns(sweep.worker, c, c, pivots, Z, ld, sweep.work());
    permute_rows(sweep.worker, c, pivots, Z, ld, sweep.work());
  }
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
void congruence(const Sweep<T>& sweep, Index s, Subset S) {
  const T* Y = sweep.Y_panel(0, s) + sweep.symbolic.columns(s);
  const Front<T> front = sweep.front(S, s);
  const Index c = front.c, u = front.u, ld = front.size();
  mirror(c, c, front.panel, ld);
  T* N = sweep.work();
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
  for (Subset S = 1; S <= sweep.all; ++S) congruence(sweep, s, S);
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

}  // namespace

Offset inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  if (simplicial::handles(symbolic, k)) return simplicial::inverse_gradient_workspace(symbolic, schedule, k);
  return inverse_sweeps_workspace<Sweep<float>>(symbolic, schedule, k);
}
template <class T>
void inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                      Crew& crew, const T* factor, In<const T*> directions, T* gradient, T* workspace) {
  if (simplicial::handles(symbolic, directions.size()))
    return simplicial::inverse_gradient(symbolic, embedding, schedule, factor, directions, gradient,
                                        workspace);
  const Factor<T> cholesky{Storage::hermitian, factor, factor, nullptr, nullptr};
  inverse_gradient(symbolic, embedding, schedule, crew, cholesky, directions, gradient, workspace);
}

Offset inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Storage storage,
                                  Index k) {
  return storage == Storage::general ? general_inverse_gradient_workspace(symbolic, schedule, k)
                                     : inverse_sweeps_workspace<Sweep<float>>(symbolic, schedule, k);
}
template <class T>
void inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                      Crew& crew, Factor<T> factor, In<const T*> directions, T* gradient, T* workspace) {
  if constexpr (!is_bilinear<T>)
    if (factor.storage == Storage::general)
      return general_inverse_gradient(symbolic, embedding, schedule, crew, factor, directions, gradient,
                                      workspace);
  inverse_sweeps<T, Front<T>>(
      symbolic, embedding, schedule, crew, factor, directions, gradient, workspace,
      [](const Sweep<T>& sweep, Index s) { eliminate(sweep, s); },
      [](const Sweep<T>& sweep, Index s) { invert(sweep, s); });
}

#define INSTANTIATE(T)                                                                                   \
  template void inverse_gradient<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, const T*, \
                                    In<const T*>, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE
#define INSTANTIATE(T)                                                                                    \
  template void inverse_gradient<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, Factor<T>, \
                                    In<const T*>, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
ELIMAX_FOR_BILINEAR(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
