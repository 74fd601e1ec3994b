// ordering.cc
#include "core.h"
namespace elimax {
void amd(Columns lower, Out<Index> permutation) {
  for (Index k = 0; k < lower.n_cols; ++k) permutation[k] = k;
}
}  // namespace elimax
