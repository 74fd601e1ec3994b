// general_inverse.cc: A^-1 on the pattern of A^T for a general matrix, and its directional derivatives of
// every order: what selected_inverse.cc does for Hermitian ones.
//
// In the notation of general_front.h let Y = F21 F11^-1 and W = (F11^-1 F12)^H. From the roots down, the
// inverse Z = A^-1 in the fronts is (Takahashi, Fagan, Chin 1973; Erisman, Tinney, CACM 18, 1975)
//
//     Z21 = -Z22 Y,   Z12^H = -Z22^H W,   Z11 = F11^-1 - W^H Z21,                                       (1)
//
// where Z22 of a child is a submatrix of the front of its parent. With P F11 = L11 U11,
//
//     Y = L21 L11^-1 P,   W = U12^H U11^-H,   F11^-1 = U11^-1 L11^-1 P.
//
// Derivatives in directions are the same formulas over the numbers of nilpotent.h, and their coefficients
// climb from the leaves first: with those of A, Y_0 and W_0, let
//
//     R_S = F21_S - Y_0 F11_S,   Q_S^H = F12_S^H - W_0 F11_S^H,   D_S = F22_S - Y_0 F12_S - R_S W_0^H    (2)
//
// for nonempty S, R_{} = Q_{} = 0, and D_{} the update matrix of A. Hence with K = R F11^-1 the Schur
// complement is D - K Q, Y = Y_0 + K and W = W_0 + Q^H F11^-H.
//
// Cost: k = 0 about 2, k = 1 about 8 factorizations in flops, all of them in dense kernels; 3^k grows from
// there. Memory: nonempty subsets keep F11_S, R_S and Q_S of all fronts, the size of the factor each.

#include "inverse_sweep.h"

namespace elimax {
namespace {

template <class T>
using Sweep = InverseSweep<T, GeneralFront<T>>;

// Y_0 and W_0.
template <class T>
void expand_base_below(const Sweep<T>& sweep, Index s) {
  const Index c = sweep.symbolic.columns(s), u = sweep.symbolic.below(s), ld = c + u;
  const auto solve = [&](const T* panels, T* below) {
    const T* L = panels + sweep.symbolic.panel[s];
    for (Index j = 0; j < c; ++j) {
      const Offset column = static_cast<Offset>(j) * ld;
      std::copy_n(L + c + column, u, below + column);
    }
    sweep.kernels.trsm_n(u, c, L, ld, below, ld);
  };
  solve(sweep.factor.lower, sweep.Y_panel(0, s) + c);
  solve(sweep.factor.upper, sweep.W_panel(0, s) + c);
  permute_columns(sweep.worker, u, c, sweep.pivots(s), sweep.Y_panel(0, s) + c, ld, sweep.work());
}

// (F11^-1)_0 = N^H M P with M = L11^-1 and N = U11^-H, and zero in the other panels of the inverse.
template <class T>
void expand_base_top(const Sweep<T>& sweep, Index s) {
  const Index c = sweep.symbolic.columns(s), ld = sweep.symbolic.front(s);
  const Offset start = sweep.symbolic.panel[s], size = (Offset{sweep.all} + 1) * sweep.panel_size(s);
  T *Z = sweep.Z_panel(0, s), *M = sweep.Y_panel(0, s), *N = sweep.W_panel(0, s);
  std::fill_n(Z, size, T{});
  std::fill_n(sweep.inverse_front(0, s).upper, size, T{});
  invert_triangle(sweep.kernels, c, sweep.factor.lower + start, ld, M, ld);
  invert_triangle(sweep.kernels, c, sweep.factor.upper + start, ld, N, ld);
  for_lower_blocks(c, [&](Index i, Index width) {
    const Offset corner = i + static_cast<Offset>(i) * ld;
    sweep.kernels.gemm_hn(width, i + width, c - i, 1, N + corner, ld, M + i, ld, Z + i, ld);
    sweep.kernels.gemm_hn(i, width, c - i, 1, N + i, ld, M + corner, ld, Z + (corner - i), ld);
  });
  permute_columns(sweep.worker, c, c, sweep.pivots(s), Z, ld, sweep.work());
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
    sweep.kernels.gemm_nn(ld, c, c, 1, sweep.front(part, s).lower, ld, sweep.Z_panel(S & ~part, s), ld, Y,
                          ld);
  });
  sweep.kernels.gemm_nn(c, c, c, -1, sweep.Z_panel(0, s), ld, Y, ld, sweep.Z_panel(S, s), ld);
}
// W_S = (Q^H F11^-H)_S, once all coefficients of F11^-1 are there.
template <class T>
void expand_rows(const Sweep<T>& sweep, Index s, Subset S) {
  const Index c = sweep.symbolic.columns(s), u = sweep.symbolic.below(s), ld = c + u;
  T* W = sweep.W_panel(S, s);
  std::fill_n(W, sweep.panel_size(s), T{});
  for_nonempty_subsets(S, [&](Subset part) {
    sweep.kernels.gemm_nh(u, c, c, 1, sweep.front(part, s).above(), ld, sweep.Z_panel(S & ~part, s), ld,
                          W + c, ld);
  });
}

// F21_S <- R_S, F12_S <- Q_S and the update matrix from F22_S to D_S, formulas (2).
template <class T>
void congruence(const Sweep<T>& sweep, Index s, Subset S) {
  const GeneralFront<T> front = sweep.front(S, s);
  const Index c = front.c, u = front.u, ld = front.size();
  const T *Y = sweep.Y_panel(0, s) + c, *W = sweep.W_panel(0, s) + c;
  sweep.kernels.gemm_nn(u, c, c, -1, Y, ld, front.lower, ld, front.left(), ld);
  sweep.kernels.gemm_nh(u, u, c, -1, Y, ld, front.above(), ld, front.update, u);
  sweep.kernels.gemm_nh(u, u, c, -1, front.left(), ld, W, ld, front.update, u);
  sweep.kernels.gemm_nh(u, c, c, -1, W, ld, front.lower, ld, front.above(), ld);
}

// Eliminates the columns of s from the coefficients of the nonempty subsets.
template <class T>
void eliminate(const Sweep<T>& sweep, Index s) {
  expand_base_below(sweep, s);
  for (Subset S = 1; S <= sweep.all; ++S) congruence(sweep, s, S);
  if (sweep.all < 2) return;  // K Q has no coefficient of a single direction

  expand_base_top(sweep, s);
  for (Subset S = 1; S < sweep.all; ++S) expand(sweep, s, S);
  for (Subset S = 1; S <= sweep.all; ++S) {
    const GeneralFront<T> front = sweep.front(S, s);
    const Index c = front.c, u = front.u, ld = front.size();
    for (Subset part = (S - 1) & S; part != 0; part = (part - 1) & S)
      sweep.kernels.gemm_nh(u, u, c, -1, sweep.Y_panel(part, s) + c, ld, sweep.front(S & ~part, s).above(),
                            ld, front.update, u);
  }
}

// Z11_S, Z21_S and Z12_S from the coefficients of Z22, formulas (1).
template <class T>
void invert(const Sweep<T>& sweep, Index s) {
  const Index c = sweep.symbolic.columns(s), u = sweep.symbolic.below(s), ld = c + u;
  const Index columns = static_cast<Index>(sweep.all + 1) * c;  // of all panels of one kind together
  expand_base_below(sweep, s);
  expand_base_top(sweep, s);
  for (Subset S = 1; S <= sweep.all; ++S) expand(sweep, s, S);
  for (Subset S = 1; S <= sweep.all; ++S) expand_rows(sweep, s, S);

  // The products of Z22_T with Y_S and of its adjoint with W_S, for one S or several.
  const auto multiply = [&](Subset part, Subset S, Index n, const GeneralFront<T>& Z) {
    const T* Z22 = sweep.update(part, s);
    sweep.kernels.gemm_nn(u, n, u, -1, Z22, u, sweep.Y_panel(S, s) + c, ld, Z.left(), ld);
    sweep.kernels.gemm_hn(u, n, u, -1, Z22, u, sweep.W_panel(S, s) + c, ld, Z.above(), ld);
  };
  multiply(0, 0, columns, sweep.inverse_front(0, s));
  for (Subset S = 1; S <= sweep.all; ++S)
    for_nonempty_subsets(S, [&](Subset part) { multiply(part, S & ~part, c, sweep.inverse_front(S, s)); });
  for (Subset S = 0; S <= sweep.all; ++S)
    for_subsets(S, [&](Subset part) {
      sweep.kernels.gemm_hn(c, c, u, -1, sweep.W_panel(part, s) + c, ld,
                            sweep.inverse_front(S & ~part, s).left(), ld, sweep.Z_panel(S, s), ld);
    });
  // Z11^H, where write_gradient looks for it.
  const GeneralFront<T> Z = sweep.inverse_front(sweep.all, s);
  share_out(sweep.worker, c, c, [&](Index begin, Index end) {
    for_transposed(c, begin, end, [&](Index i, Index j) {
      Z.upper[j + static_cast<Offset>(i) * ld] = conjugate(Z.lower[i + static_cast<Offset>(j) * ld]);
    });
  });
}

}  // namespace

Offset general_inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  return inverse_sweeps_workspace<Sweep<float>>(symbolic, schedule, k);
}
template <class T>
void general_inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                              Crew& crew, const Factor<T>& factor, In<const T*> directions, T* gradient,
                              T* workspace) {
  inverse_sweeps<T, GeneralFront<T>>(
      symbolic, embedding, schedule, crew, factor, directions, gradient, workspace,
      [](const Sweep<T>& sweep, Index s) { eliminate(sweep, s); },
      [](const Sweep<T>& sweep, Index s) { invert(sweep, s); });
}

#define INSTANTIATE(T)                                                                                 \
  template void general_inverse_gradient<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, \
                                            const Factor<T>&, In<const T*>, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
