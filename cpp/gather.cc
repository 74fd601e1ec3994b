// gather.cc: values moved by an index map, and the transpose of that.
//
// Gathering reads output p from input map[p]; scattering sums output p into input map[p]. Both are
// linear over the reals (conjugation is not linear over the complex numbers), and transposes of each other
// under the pairing Re(sum s v): Re(s conj(v)) = Re(conj(s) v). Cost: one pass over the map.

#include <algorithm>

#include "numeric.h"

namespace elimax {

template <class T>
void gather(const IndexMap& map, const T* input, T* output) {
  const Index* const position = map.map.data();
  const std::size_t size = map.map.size();
  if (map.is_plain) {
    for (std::size_t p = 0; p < size; ++p) output[p] = input[position[p]];
    return;
  }
  for (std::size_t p = 0; p < size; ++p) {
    const Index q = position[p];
    output[p] = q >= 0 ? input[q] : q == zero ? T(0) : conjugate(input[~q]);
  }
}

template <class T>
void scatter(In<Index> map, const T* input, T* output, Offset size) {
  std::fill_n(output, size, T(0));
  for (std::size_t p = 0; p < map.size(); ++p) {
    const Index q = map[p];
    if (q >= 0) {
      output[q] += input[p];
    } else if (q != zero) {
      output[~q] += conjugate(input[p]);
    }
  }
}

#define INSTANTIATE(T)                                    \
  template void gather<T>(const IndexMap&, const T*, T*); \
  template void scatter<T>(In<Index>, const T*, T*, Offset);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
