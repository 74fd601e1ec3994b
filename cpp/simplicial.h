// simplicial.h: the kernels of a simplicial Symbolic, column by column in scalar code.
//
// Where supernodes would be tiny, calls of dense kernels and the bookkeeping of fronts cost more than the
// arithmetic. The functions of core.h hand over to these ones where symbolic.simplicial().
//
// The method is the same as that of fronts, with one column each. Column j of L has u rows below the
// diagonal; its front is [d x^H; x F22], its update matrix U = F22 - x x^H / d, and relative indices lead to
// the front of the parent.
#pragma once

#include "core.h"

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
};

Offset cholesky_workspace(const Symbolic& symbolic);
template <class T>
Status cholesky(const Symbolic& symbolic, const Embedding& embedding, const T* values, T* factor,
                T* workspace);

Offset solve_workspace(const Symbolic& symbolic, Index k);
template <class T>
void solve(const Symbolic& symbolic, SolvePart part, const T* factor, const T* b, Index k, T* x,
           T* workspace);

}  // namespace elimax::simplicial
