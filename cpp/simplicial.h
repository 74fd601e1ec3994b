// simplicial.h: the kernels of a simplicial Symbolic, column by column in scalar code.
//
// Where supernodes would be tiny, calls of dense kernels and the bookkeeping of fronts cost more than the
// arithmetic. The functions of numeric.h hand over to these ones where symbolic.simplicial().
//
// The method is the same as that of fronts, with one column each. Column j of L has u rows below the
// diagonal; its front is [d x^H; x F22], its update matrix U = F22 - x x^H / d, and relative indices lead to
// the front of the parent.
#pragma once

#include "front.h"

namespace elimax::simplicial {

// Column j of an array in the layout of the factor, and the u rows below its diagonal.
struct Column {
  Index u;
  Offset start;         // of the column in the factor
  const Index* rows;    // u of them
  const Index* parent;  // where they sit in the column of the parent, 0 for its diagonal

  Column(const Symbolic& symbolic, Index j)
      : u(symbolic.below(j)),
        start(symbolic.row_ptr[j] + j),
        rows(symbolic.rows.data() + symbolic.row_ptr[j]),
        parent(symbolic.relative.data() + symbolic.row_ptr[j]) {}
  // Whether the rows, in their order, are the first ones of the parent, its diagonal among them.
  bool is_head_of_parent() const { return parent[u - 1] == u - 1; }
};

// Adds the update matrix of a child, lower triangle, to the column x of its parent and to F22, u x u.
template <class T>
void extend_add(const Column& child, const T* update, Index u, T* x, T* F22) {
  for (Index i = 0; i < child.u; ++i) x[child.parent[i]] += update[i];
  for (Index k = 1; k < child.u; ++k) {
    update += child.u;
    T* column = F22 + static_cast<Offset>(child.parent[k] - 1) * u - 1;
    for (Index i = k; i < child.u; ++i) column[child.parent[i]] += update[i];
  }
}

Offset cholesky_workspace(const Symbolic& symbolic, const Schedule& schedule);
template <class T>
Status cholesky(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                const T* values, T* factor, T* workspace);

Offset solve_workspace(const Symbolic& symbolic, Index k);
template <class T>
void solve(const Symbolic& symbolic, SolvePart part, const T* factor, const T* b, Index k, T* x,
           T* workspace);

// Derivatives in up to two directions; those in more are rare, and left to the kernels of fronts.
inline bool handles(const Symbolic& symbolic, std::size_t directions) {
  return symbolic.simplicial() && directions <= 2;
}

Offset inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                      const T* factor, In<const T*> directions, T* gradient, T* workspace);

Offset factor_derivative_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void factor_derivative(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                       const T* factor, In<const T*> directions, T* derivative, T* workspace);

Offset factor_adjoint_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void factor_adjoint(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                    const T* factor, const T* cotangent, In<const T*> directions, T* gradient, T* workspace);

// The three slots of factor_product.cc.
template <class T>
void product_y(const Symbolic& symbolic, const T* l, const T* x, Index k, T* y);
template <class T>
void product_x(const Symbolic& symbolic, const T* l, const T* y, Index k, T* x);
template <class T>
void product_l(const Symbolic& symbolic, const T* x, const T* y, Index k, T* l);

}  // namespace elimax::simplicial
