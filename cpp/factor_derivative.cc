// factor_derivative.cc: derivatives of the Cholesky factor itself, both modes, every order.
//
// Both sweeps run over the nilpotent numbers of nilpotent.h, where the coefficient L_{} is the factor. A
// front is worked on by blocks J of columns, so that all but triangles of their width is products of
// matrices. In the columns J of a front let 1 denote the rows J and 2 the rows below them.
//
// Forward, from the leaves up, the coefficient S of these columns after subtraction of all products of
// coefficients but L_{} L_S^H and its adjoint is P; phi takes the lower triangle and halves its diagonal:
//
//     X = L1^-1 P1 L1^-H,   L1_S = L1 phi(X),   L2_S = (P2 - L2 L1_S^H) L1^-H.                       (1)
//
// Reverse, from the roots down, a cotangent of L becomes one of A. With lambda half the cotangent of L, and Z
// the Hermitian cotangent of the front, of which the part Z22 behind J is known,
//
//     lambda2 <- lambda2 - Z22 L2,       Z21 = lambda2 L1^-1,
//     lambda1 <- lambda1 - Z21^H L2,     Z11 = L1^-H herm(L1^H lambda1) L1^-1,                       (2)
//
// where all factors stand for all their coefficients, and herm completes a lower triangle to a Hermitian
// matrix with a real diagonal.
//
// Source: Smith, J. Comput. Graph. Stat. 4 (1995); by blocks: Murray, arXiv:1602.07527.
// Cost: the first derivative and its adjoint about 2 factorizations in flops each; 3^k grows from there.
// Memory: the coefficients of L other than L_{}, the size of the factor each, and 2^k stacks of update
// matrices.

#include <bit>

#include "dense_crew.h"
#include "front.h"
#include "nilpotent.h"
#include "numeric.h"
#include "schedule.h"
#include "simplicial.h"

namespace elimax {
namespace {

constexpr Index block = 32;  // columns of J
constexpr Offset block_square = block * block;

// The coefficients of L, arrays in the layout of the factor.
template <class T>
class Coefficients {
 public:
  // L_S lies in `others` for nonempty S, one after the other, but that of all directions in `last`.
  Coefficients(const Symbolic& symbolic, const T* factor, Subset all, T* others, T* last)
      : symbolic_(symbolic), factor_(factor), others_(others), last_(last), all_(all) {}
  T* writable(Subset S, Index s) const {
    return (S == all_ ? last_ : others_ + (S - 1) * symbolic_.factor_size()) + symbolic_.panel[s];
  }
  const T* operator()(Subset S, Index s) const {
    return S == 0 ? factor_ + symbolic_.panel[s] : writable(S, s);
  }

 private:
  const Symbolic& symbolic_;
  const T* factor_;
  T* others_;
  T* last_;
  Subset all_;
};

// The columns J of a front: where they start, and what is below.
struct Block {
  Index first, width, ld, below;  // ld: rows of the front; below: those behind J
  Index end() const { return first + width; }
  Offset corner() const { return first * static_cast<Offset>(ld + 1); }
};

// A <- A^H for a square matrix.
template <class T>
void transpose(Index n, T* A, Index lda) {
  for (Index j = 0; j < n; ++j) {
    for (Index i = j + 1; i < n; ++i) {
      T& lower = A[i + static_cast<Offset>(j) * lda];
      T& upper = A[j + static_cast<Offset>(i) * lda];
      const T kept = conjugate(lower);
      lower = conjugate(upper);
      upper = kept;
    }
    A[j * static_cast<Offset>(lda + 1)] = conjugate(A[j * static_cast<Offset>(lda + 1)]);
  }
}

template <class T>
void copy_block(Index m, Index n, const T* A, Index lda, T* B, Index ldb) {
  for (Index j = 0; j < n; ++j)
    std::copy_n(A + static_cast<Offset>(j) * lda, m, B + static_cast<Offset>(j) * ldb);
}

// The diagonal made real, and what is above it zero.
template <class T>
void lower_triangle(Index n, Real<T> diagonal_factor, T* A, Index lda) {
  for (Index j = 0; j < n; ++j) {
    T* column = A + static_cast<Offset>(j) * lda;
    std::fill_n(column, j, T{});
    column[j] = diagonal_factor * real_part(column[j]);
  }
}

// L_S in the columns J, formulas (1); the coefficients of the subsets of S are there already.
template <class T>
void derive_block(const CrewKernels<T>& kernels, const Coefficients<T>& L, Index s, Subset S, Block J, T* X) {
  const Index ld = J.ld;
  T* P = L.writable(S, s) + J.corner();
  const T* L1 = L(0, s) + J.corner();
  for_subsets(S, [&](Subset part) {
    const Index known = part == 0 || part == S ? J.first : J.end();
    kernels.gemm_nh(J.width + J.below, J.width, known, -1, L(part, s) + J.first, ld,
                    L(S & ~part, s) + J.first, ld, P, ld);
  });
  copy_block(J.width, J.width, P, ld, X, J.width);
  mirror(J.width, J.width, X, J.width);
  kernels.trsm_h(J.width, J.width, L1, ld, X, J.width);
  transpose(J.width, X, J.width);
  kernels.trsm_h(J.width, J.width, L1, ld, X, J.width);
  lower_triangle(J.width, Real<T>(0.5), X, J.width);
  for (Index j = 0; j < J.width; ++j) std::fill_n(P + static_cast<Offset>(j) * ld, J.width, T{});
  kernels.gemm_nn(J.width, J.width, J.width, 1, L1, ld, X, J.width, P, ld);
  kernels.gemm_nh(J.below, J.width, J.width, -1, L1 + J.width, ld, P, ld, P + J.width, ld);
  kernels.trsm_h(J.below, J.width, L1, ld, P + J.width, ld);
}

// All coefficients of L but L_{}, from the leaves up. workspace: the stacks of update matrices of all
// nonempty subsets, and a square for every worker.
template <class T>
void derive(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
            In<const T*> directions, const Coefficients<T>& L, Subset all, T* workspace) {
  const Offset stacks = schedule.squares.size(schedule.threads);
  upward(schedule, crew, [&](Index s, Worker worker) {
    const CrewKernels<T> kernels(dense<T>(), worker.crew);
    T* X = workspace + all * stacks + worker.id * block_square;
    const auto front_of = [&](Subset S, Index node) -> Front<T> {
      T* updates = workspace + (S - 1) * stacks;
      return {symbolic.columns(node), symbolic.below(node), L.writable(S, node),
              updates + schedule.squares.at(node, worker.id)};
    };
    const Index c = symbolic.columns(s), u = symbolic.below(s), ld = c + u;
    for (Subset S = 1; S <= all; ++S) {
      const Front<T> front = front_of(S, s);
      clear(front);
      if (std::has_single_bit(S)) assemble(embedding, s, directions[std::countr_zero(S)], front);
      schedule.for_children(s, [&](Index child) {
        extend_add(worker, relative_rows(symbolic, child), front_of(S, child).update, front);
      });
    }
    for (Index j = 0; j < c; j += block) {
      const Index width = std::min(block, c - j);
      for (Subset S = 1; S <= all; ++S) derive_block(kernels, L, s, S, {j, width, ld, ld - j - width}, X);
    }
    for (Subset S = 1; S <= all; ++S)
      for_subsets(S, [&](Subset part) {
        for_lower_blocks(u, [&](Index j, Index width) {
          kernels.gemm_nh(u - j, width, c, -1, L(part, s) + c + j, ld, L(S & ~part, s) + c + j, ld,
                          front_of(S, s).update + j * static_cast<Offset>(u + 1), u);
        });
      });
    return true;
  });
}

// What the reverse sweep works with: Z_S of the current front, lambda_S where it is not known yet.
template <class T>
struct Reverse {
  const Symbolic& symbolic;
  const Schedule& schedule;
  Worker worker;
  CrewKernels<T> kernels;
  const Coefficients<T>& L;
  Subset all;
  T* updates;  // stacks of the cotangents of update matrices, by subset
  T* panels;   // of the current front, by subset
  T* squares;  // two by subset

  T* update(Subset S, Index s) const {
    return updates + S * schedule.squares.size(schedule.threads) + schedule.squares.at(s, worker.id);
  }
  Front<T> front(Subset S, Index s) const {
    const Offset size = symbolic.panel[s + 1] - symbolic.panel[s];
    return {symbolic.columns(s), symbolic.below(s), panels + S * size, update(S, s)};
  }
  T* lambda1(Subset S) const { return squares + S * block_square; }
  T* half(Subset S) const { return squares + (all + 1 + S) * block_square; }
};

// Z_S in the rows behind J, and lambda1_S with what they add to it.
template <class T>
void reverse_below(const Reverse<T>& sweep, Index s, Subset S, Block J) {
  const CrewKernels<T>& kernels = sweep.kernels;
  const Coefficients<T>& L = sweep.L;
  const Index ld = J.ld, c = sweep.symbolic.columns(s), u = ld - c, behind = c - J.end();
  const Offset corner = J.corner();
  T* lambda = sweep.front(S, s).panel + corner;
  T* below = lambda + J.width;
  for_subsets(S, [&](Subset part) {
    const T* Z22 = sweep.front(part, s).panel + J.end() * static_cast<Offset>(ld + 1);
    const T* L2 = L(S & ~part, s) + corner + J.width;
    kernels.gemm_nn(J.below, J.width, behind, -1, Z22, ld, L2, ld, below, ld);
    kernels.gemm_hn(behind, J.width, u, -1, Z22 + behind, ld, L2 + behind, ld, below, ld);
  });
  for_nonempty_subsets(S, [&](Subset part) {
    const T* Z21 = sweep.front(S & ~part, s).panel + corner + J.width;
    kernels.gemm_nn(J.below, J.width, J.width, -1, Z21, ld, L(part, s) + corner, ld, below, ld);
  });
  kernels.trsm_n(J.below, J.width, L(0, s) + corner, ld, below, ld);
  for_subsets(S, [&](Subset part) {
    const T* Z21 = sweep.front(part, s).panel + corner + J.width;
    kernels.gemm_hn(J.width, J.width, J.below, -1, Z21, ld, L(S & ~part, s) + corner + J.width, ld, lambda,
                    ld);
  });
  copy_block(J.width, J.width, lambda, ld, sweep.lambda1(S), J.width);
  lower_triangle(J.width, Real<T>(1), sweep.lambda1(S), J.width);
}

// Z11_S from lambda1 of S and its subsets: two solves with L1 from the right, with a transposition between.
template <class T>
void reverse_top(const Reverse<T>& sweep, Index s, Subset S, Block J) {
  const CrewKernels<T>& kernels = sweep.kernels;
  const Index n = J.width, ld = J.ld;
  const auto L1 = [&](Subset part) { return sweep.L(part, s) + J.corner(); };
  T* half = sweep.half(S);
  std::fill_n(half, static_cast<Offset>(n) * n, T{});
  for_subsets(S, [&](Subset part) {
    kernels.gemm_hn(n, n, n, 1, L1(S & ~part), ld, sweep.lambda1(part), n, half, n);
  });
  lower_triangle(n, Real<T>(1), half, n);
  mirror(n, n, half, n);
  for_nonempty_subsets(
      S, [&](Subset part) { kernels.gemm_nn(n, n, n, -1, sweep.half(S & ~part), n, L1(part), ld, half, n); });
  kernels.trsm_n(n, n, L1(0), ld, half, n);

  T* Z = sweep.front(S, s).panel + J.corner();
  copy_block(n, n, half, n, Z, ld);
  transpose(n, Z, ld);
  for_nonempty_subsets(S, [&](Subset part) {
    kernels.gemm_nn(n, n, n, -1, sweep.front(S & ~part, s).panel + J.corner(), ld, L1(part), ld, Z, ld);
  });
  kernels.trsm_n(n, n, L1(0), ld, Z, ld);
}

// Z_S of the columns of s, from lambda and the coefficients of Z22, formulas (2).
template <class T>
void reverse_front(const Reverse<T>& sweep, Index s, const T* cotangent) {
  const Front<T> base = sweep.front(0, s);
  const Index c = base.c, u = base.u, ld = base.size();
  std::fill_n(base.panel, (sweep.all + 1) * base.panel_size(), T{});
  for (Offset p = 0; p < base.panel_size(); ++p) base.panel[p] = conjugate(cotangent[p]) / Real<T>(2);
  for (Subset S = 0; S <= sweep.all; ++S)
    for_subsets(S, [&](Subset part) {
      sweep.kernels.gemm_nn(u, c, u, -1, sweep.front(part, s).update, u, sweep.L(S & ~part, s) + c, ld,
                            sweep.front(S, s).below(), ld);
    });
  for (Index first = (c - 1) / block * block; first >= 0; first -= block) {
    const Index width = std::min(block, c - first);
    const Block J = {first, width, ld, ld - first - width};
    for (Subset S = 0; S <= sweep.all; ++S) {
      reverse_below(sweep, s, S, J);
      reverse_top(sweep, s, S, J);
      mirror(c - first, width, sweep.front(S, s).panel + J.corner(), ld);
    }
  }
}

Offset derive_workspace(const Schedule& schedule, Offset nonempty) {
  return nonempty * schedule.squares.size(schedule.threads) + schedule.threads * block_square;
}

// Entries of the workspace that worker `id` of the reverse sweep has before its own: squares, then panels.
Offset own_workspace(const Schedule& schedule, int id, Offset subsets) {
  return schedule.own(id, [&](Offset panel) { return subsets * (2 * block_square + panel); });
}

}  // namespace

Offset factor_derivative_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  if (simplicial::handles(symbolic, k)) return simplicial::factor_derivative_workspace(symbolic, schedule, k);
  const Offset nonempty = (Offset{1} << k) - 1;
  return (nonempty - 1) * symbolic.factor_size() + derive_workspace(schedule, nonempty);
}

template <class T>
void factor_derivative(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                       Crew& crew, const T* factor, In<const T*> directions, T* derivative, T* workspace) {
  if (simplicial::handles(symbolic, directions.size()))
    return simplicial::factor_derivative(symbolic, embedding, schedule, factor, directions, derivative,
                                         workspace);
  const Subset all = (Subset{1} << directions.size()) - 1;
  const Coefficients<T> L(symbolic, factor, all, workspace, derivative);
  derive(symbolic, embedding, schedule, crew, directions, L, all,
         workspace + (all - 1) * symbolic.factor_size());
}

Offset factor_adjoint_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  if (simplicial::handles(symbolic, k)) return simplicial::factor_adjoint_workspace(symbolic, schedule, k);
  const Offset subsets = Offset{1} << k;
  return (subsets - 1) * symbolic.factor_size() +
         std::max(derive_workspace(schedule, subsets - 1),
                  subsets * schedule.squares.size(schedule.threads) +
                      own_workspace(schedule, schedule.threads, subsets));
}

template <class T>
void factor_adjoint(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                    Crew& crew, const T* factor, const T* cotangent, In<const T*> directions, T* gradient,
                    T* workspace) {
  if (simplicial::handles(symbolic, directions.size()))
    return simplicial::factor_adjoint(symbolic, embedding, schedule, factor, cotangent, directions, gradient,
                                      workspace);
  const Offset subsets = Offset{1} << directions.size();
  const auto all = static_cast<Subset>(subsets - 1);
  T* updates = workspace + all * symbolic.factor_size();
  const Coefficients<T> L(symbolic, factor, all, workspace, updates - symbolic.factor_size());
  if (all != 0) derive(symbolic, embedding, schedule, crew, directions, L, all, updates);

  T* owned = updates + subsets * schedule.squares.size(schedule.threads);
  downward(schedule, crew, [&](Index s, Worker worker) {
    T* squares = owned + own_workspace(schedule, worker.id, subsets);
    const Reverse<T> sweep{symbolic, schedule, worker,  CrewKernels<T>(dense<T>(), worker.crew),
                           L,        all,      updates, squares + 2 * subsets * block_square,
                           squares};
    reverse_front(sweep, s, cotangent + symbolic.panel[s]);
    write_gradient(symbolic, embedding, s, sweep.front(all, s), gradient);
    schedule.for_children(s, [&](Index child) {
      for (Subset S = 0; S <= all; ++S)
        extract(worker, relative_rows(symbolic, child), sweep.front(S, s), sweep.update(S, child));
    });
  });
}

#define INSTANTIATE(T)                                                                                    \
  template void factor_derivative<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, const T*, \
                                     In<const T*>, T*, T*);                                               \
  template void factor_adjoint<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, const T*,    \
                                  const T*, In<const T*>, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
