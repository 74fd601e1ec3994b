// simplicial_derivative.cc: derivatives of log det A and of the factor, both modes, column by column.
//
// As in factor_derivative.cc, over the nilpotent numbers of nilpotent.h, but with a single column in each
// front: l below the pivot s = L_jj, both of them numbers with a coefficient for every subset of directions.
//
// Upwards, the coefficients of L follow from those of the front [d x^H; x F22] by comparing them in
//
//     s^2 = d,   l s = x,   U = F22 - l l^H.                                                         (1)
//
// Downwards, with lambda half the cotangent of L, Z the cotangent of the front and r = l / s,
//
//     z = lambda2 / s - Z22 r,   Z11 = Re(lambda1 / s - r^H z).                                      (2)
//
// The same sweep serves log det A = 2 sum log L_jj, for which lambda1 = 1 / s and lambda2 = 0: then Z is the
// inverse itself, and (2) the recurrence of Takahashi, Fagan and Chin (1973).
//
// Source: Smith, J. Comput. Graph. Stat. 4 (1995).
// Cost: every sweep sum of counts^2 multiplications and additions, times 3^k.

#include <algorithm>
#include <bit>

#include "nilpotent.h"
#include "schedule.h"
#include "simplicial.h"

namespace elimax::simplicial {
namespace {

// How many of T's hold `size` numbers over k directions.
Offset numbers(Offset size, Index k) { return size << k; }

template <class T, int K>
struct Sweep {
  using N = Nilpotent<T, K>;
  const Symbolic& symbolic;
  const Embedding& embedding;
  const Schedule& schedule;
  const T* factor;
  In<const T*> directions;
  N* updates;      // stacks, as in fronts
  Index* waiting;  // memory for n columns whose parents are still to come
};

// The entries of the directions in column j, zero elsewhere.
template <class T, int K>
void assemble(const Sweep<T, K>& sweep, Index j, Index u, Nilpotent<T, K>* x) {
  std::fill_n(x, u + 1, Nilpotent<T, K>{});
  const Embedding& embedding = sweep.embedding;
  for (Offset p = embedding.ptr[j]; p < embedding.ptr[j + 1]; ++p) {
    for (int d = 0; d < K; ++d)
      x[embedding.target[p]][Subset{1} << d] = value_at(sweep.directions[d], embedding.source[p]);
  }
  for (int d = 0; d < K; ++d) x[0][Subset{1} << d] = real_part(x[0][Subset{1} << d]);
}

// Formulas (1), in place: x holds the coefficients of d and x but the first, and then all of s and l.
template <class T, int K>
void eliminate(const T* L, Index u, Nilpotent<T, K>* x, Nilpotent<T, K>* U) {
  constexpr Subset all = Nilpotent<T, K>::all;
  const Real<T> inverse = 1 / real_part(L[0]);
  Nilpotent<T, K>& s = x[0];
  s[0] = L[0];
  for (Subset S = 1; S <= all; ++S) {
    for (Subset part = (S - 1) & S; part != 0; part = (part - 1) & S) s[S] -= s[part] * s[S & ~part];
    s[S] *= inverse / 2;
  }
  for (Index i = 1; i <= u; ++i) {
    Nilpotent<T, K>& l = x[i];
    l[0] = L[i];
    for (Subset S = 1; S <= all; ++S) {
      for_nonempty_subsets(S, [&](Subset part) { l[S] -= l[S & ~part] * s[part]; });
      l[S] *= inverse;
    }
  }
  for (Index k = 1; k <= u; ++k, U += u) {
    const Nilpotent<T, K> adjoint = conjugate(x[k]);
    for (Index i = k; i <= u; ++i) subtract_product(x[i], adjoint, U[i - 1], 1);
  }
}

// All coefficients of L, from the leaves up: column(j) is where those of column j are to be, and done(j) is
// called when they are.
template <class T, int K, class Place, class Done>
void derive(const Sweep<T, K>& sweep, Place column_of, Done done) {
  using N = Nilpotent<T, K>;
  const Symbolic& symbolic = sweep.symbolic;
  Index* waiting = sweep.waiting;
  Index n_waiting = 0;
  for (Index j = 0; j < symbolic.n; ++j) {
    const Column column(symbolic, j);
    const Index u = column.u;
    N* x = column_of(j);
    N* U = sweep.updates + sweep.schedule.squares.offset[j];
    assemble(sweep, j, u, x);
    std::fill_n(U, static_cast<Offset>(u) * u, N{});
    for (; n_waiting > 0 && symbolic.parent[waiting[n_waiting - 1]] == j; --n_waiting) {
      const Index child = waiting[n_waiting - 1];
      extend_add(Column(symbolic, child), sweep.updates + sweep.schedule.squares.offset[child], u, x, U);
    }
    eliminate(sweep.factor + column.start, u, x, U);
    if (u > 0) waiting[n_waiting++] = j;
    done(j);
  }
}

// Formulas (2), in place: z holds lambda, and then Z11 and z. r: memory for u numbers.
template <class T, int K>
void reverse(const Nilpotent<T, K>* L, Index u, const Nilpotent<T, K>* Z22, Nilpotent<T, K>* z,
             Nilpotent<T, K>* r) {
  using N = Nilpotent<T, K>;
  const Nilpotent<Real<T>, K> inverse = inverse_of(real_part(L[0]));
  for (Index i = 0; i < u; ++i) r[i] = L[1 + i] * inverse;
  for (Index i = 0; i <= u; ++i) z[i] = z[i] * inverse;
  for (Index k = 0; k < u; ++k, Z22 += u) {
    subtract_product(Z22[k], r[k], z[1 + k]);
    for (Index i = k + 1; i < u; ++i) {
      subtract_product(Z22[i], r[k], z[1 + i]);
      subtract_product(conjugate(Z22[i]), r[i], z[1 + k]);
    }
  }
  for (Index i = 0; i < u; ++i) subtract_product(conjugate(r[i]), z[1 + i], z[0]);
  N top{};
  for (Subset S = 0; S <= N::all; ++S) top[S] = real_part(z[0][S]);
  z[0] = top;
}

// The gradient with respect to the values of A, from the roots down. lambda(j, s, z) sets z to lambda of
// column j; column: memory for twice the largest column.
template <class T, int K, class Lambda>
void reverse_sweep(const Sweep<T, K>& sweep, const Nilpotent<T, K>* L, Lambda lambda, T* gradient,
                   Nilpotent<T, K>* z) {
  using N = Nilpotent<T, K>;
  const Symbolic& symbolic = sweep.symbolic;
  const Embedding& embedding = sweep.embedding;
  for (Index j = symbolic.n; j-- > 0;) {
    const Column column(symbolic, j);
    const Index u = column.u;
    const N* Z22 = sweep.updates + sweep.schedule.squares.offset[j];
    lambda(column, L[column.start], z);
    reverse(L + column.start, u, Z22, z, z + symbolic.max_rows);

    for (Offset p = embedding.ptr[j]; p < embedding.ptr[j + 1]; ++p) {  // as write_gradient in front.h
      const Index source = embedding.source[p];
      const Offset i = embedding.target[p];
      const T value = Real<T>(i == 0 ? 1 : 2) * z[i][N::all];
      gradient[source ^ (source >> 31)] = source >= 0 ? conjugate(value) : value;
    }
    sweep.schedule.for_children(j, [&](Index c) {
      const Column child(symbolic, c);
      N* Z = sweep.updates + sweep.schedule.squares.offset[c];
      for (Index i = 0; i < child.u; ++i) Z[i] = z[child.parent[i]];
      for (Index k = 1; k < child.u; ++k) {
        Z += child.u;
        const N* from = Z22 + static_cast<Offset>(child.parent[k] - 1) * u - 1;
        for (Index i = k; i < child.u; ++i) Z[i] = from[child.parent[i]];
      }
    });
  }
}

// What G_k and R_k have in common: the coefficients of L, which for k = 0 is the factor, then the sweep down.
template <class T, int K, class Lambda>
void gradient_of(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                 const T* factor, In<const T*> directions, Lambda lambda, T* gradient, T* workspace) {
  using N = Nilpotent<T, K>;
  N* L = reinterpret_cast<N*>(workspace);
  N* updates = L + (K == 0 ? 0 : symbolic.factor_size());
  N* columns = updates + schedule.squares.shared;
  auto* waiting = reinterpret_cast<Index*>(columns + 2 * symbolic.max_rows);
  const Sweep<T, K> sweep{symbolic, embedding, schedule, factor, directions, updates, waiting};
  if constexpr (K == 0) {
    reverse_sweep(sweep, reinterpret_cast<const N*>(factor), lambda, gradient, columns);
  } else {
    derive(sweep, [&](Index j) { return L + symbolic.panel[j]; }, [](Index) {});
    reverse_sweep(sweep, static_cast<const N*>(L), lambda, gradient, columns);
  }
}

Offset gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  const Offset coefficients = k == 0 ? 0 : symbolic.factor_size();
  return numbers(coefficients + schedule.squares.shared + 2 * symbolic.max_rows, k) + symbolic.n;
}

// Calls body with the number of directions as a constant.
template <class Body>
void with_order(std::size_t k, Body body) {
  if (k == 0) return body(std::integral_constant<int, 0>());
  if (k == 1) return body(std::integral_constant<int, 1>());
  return body(std::integral_constant<int, 2>());
}

}  // namespace

Offset inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  return gradient_workspace(symbolic, schedule, k);
}

template <class T>
void inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                      const T* factor, In<const T*> directions, T* gradient, T* workspace) {
  with_order(directions.size(), [&](auto order) {
    using N = Nilpotent<T, order()>;
    const auto lambda = [](const Column& column, const N& s, N* z) {
      std::fill_n(z, column.u + 1, N{});
      const auto inverse = inverse_of(real_part(s));
      for (Subset S = 0; S <= N::all; ++S) z[0][S] = inverse[S];
    };
    gradient_of<T, order()>(symbolic, embedding, schedule, factor, directions, lambda, gradient, workspace);
  });
}

Offset factor_derivative_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  return numbers(schedule.squares.shared + symbolic.max_rows, k) + symbolic.n;
}

template <class T>
void factor_derivative(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                       const T* factor, In<const T*> directions, T* derivative, T* workspace) {
  with_order(directions.size(), [&](auto order) {
    using N = Nilpotent<T, order()>;
    N* updates = reinterpret_cast<N*>(workspace);
    N* column = updates + schedule.squares.shared;
    auto* waiting = reinterpret_cast<Index*>(column + symbolic.max_rows);
    const Sweep<T, order()> sweep{symbolic, embedding, schedule, factor, directions, updates, waiting};
    derive(
        sweep, [&](Index) { return column; },
        [&](Index j) {
          T* out = derivative + symbolic.panel[j];
          for (Index i = 0; i <= symbolic.below(j); ++i) out[i] = column[i][N::all];
        });
  });
}

Offset factor_adjoint_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  return gradient_workspace(symbolic, schedule, k);
}

template <class T>
void factor_adjoint(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                    const T* factor, const T* cotangent, In<const T*> directions, T* gradient, T* workspace) {
  with_order(directions.size(), [&](auto order) {
    using N = Nilpotent<T, order()>;
    const auto lambda = [&](const Column& column, const N&, N* z) {
      std::fill_n(z, column.u + 1, N{});
      for (Index i = 0; i <= column.u; ++i) z[i][0] = conjugate(cotangent[column.start + i]) / Real<T>(2);
    };
    gradient_of<T, order()>(symbolic, embedding, schedule, factor, directions, lambda, gradient, workspace);
  });
}

#define INSTANTIATE(T)                                                                                    \
  template void inverse_gradient<T>(const Symbolic&, const Embedding&, const Schedule&, const T*,         \
                                    In<const T*>, T*, T*);                                                \
  template void factor_derivative<T>(const Symbolic&, const Embedding&, const Schedule&, const T*,        \
                                     In<const T*>, T*, T*);                                               \
  template void factor_adjoint<T>(const Symbolic&, const Embedding&, const Schedule&, const T*, const T*, \
                                  In<const T*>, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax::simplicial
