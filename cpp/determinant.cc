// determinant.cc: sign (or phase) and logarithm of det A, and the inertia of A, from its factors.
//
// The determinant is the product of the diagonals of the factors, of the 2 x 2 blocks of D, and of the signs
// of the permutations. The product is kept as fraction * 2^exponent, in double precision whatever the scalar
// type: one logarithm in all, and an error of about eps sqrt(n). By Sylvester's law A = L D L^H has as many
// positive and negative eigenvalues as D.
//
// Source: Dongarra, Moler, Bunch, Stewart, LINPACK Users' Guide (1979), for the fraction and its exponent;
//         Bunch and Kaufman, Math. Comp. 31 (1977), for the inertia.
// Cost: O(n).

#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric.h"

namespace elimax {
namespace {

// The same kind of number in double precision.
inline double widen(double x) { return x; }
template <class R>
std::complex<double> widen(std::complex<R> x) {
  return std::complex<double>(x);
}
template <class R>
Bilinear<double> widen(Bilinear<R> x) {
  return std::complex<double>(x);
}
template <class T>
using Wide = decltype(widen(T{}));

template <class T>
class Product {
 public:
  void multiply(Wide<T> factor) {
    fraction_ *= factor;
    const double size = std::max(std::abs(std::real(fraction_)), std::abs(std::imag(fraction_)));
    if ((size > 1e-100 && size < 1e100) || size == 0 || !std::isfinite(size)) return;
    int shift;
    std::frexp(size, &shift);
    fraction_ *= std::ldexp(1.0, -shift);
    exponent_ += shift;
  }
  // The sign is 0 and the logarithm -inf for a zero, as in jnp.linalg.slogdet.
  void finish(T* sign, Real<T>* logarithm) const {
    const double size = std::abs(fraction_);
    const Wide<T> direction = fraction_ / (size == 0 ? 1 : size);
    if constexpr (std::is_same_v<T, Real<T>>)
      *sign = static_cast<T>(direction);
    else
      *sign = T(static_cast<std::complex<Real<T>>>(direction));
    *logarithm = static_cast<Real<T>>(std::log(size) + exponent_ * std::log(2.0));
  }

 private:
  Wide<T> fraction_ = 1;
  double exponent_ = 0;
};

// Whether the permutation that sends from(k) to to(k) for k = 0 .. n-1 is odd: an even cycle is. work: n.
template <class From, class To>
bool is_odd(Index n, const From& from, const To& to, Index* work) {
  for (Index k = 0; k < n; ++k) work[from(k)] = to(k);
  bool odd = false;
  for (Index start = 0; start < n; ++start)
    for (Index k = start; work[k] != none;) {
      const Index next = work[k];
      work[k] = none;
      if (next != start) odd = !odd;
      k = next;
    }
  return odd;
}

// Visits the diagonal of the panels of s: body(entry of pivot j) in order.
template <class T, class Body>
void for_diagonal(const Symbolic& symbolic, Index s, const T* panels, const Body& body) {
  const T* diagonal = panels + symbolic.panel[s];
  for (Index j = 0; j < symbolic.columns(s); ++j, diagonal += symbolic.front(s) + 1) body(*diagonal);
}

// Calls one(d) for every 1 x 1 block of D, and two(a, d, determinant) for every 2 x 2 block with the diagonal
// a, d.
template <class T, class One, class Two>
void for_blocks(Index n, const T* diagonal, const One& one, const Two& two) {
  const T* couplings = diagonal + n;
  for (Index k = 0; k < n; ++k) {
    const Wide<T> a = widen(diagonal[k]), c = widen(couplings[k]);
    if (couplings[k] == T{}) {
      one(a);
    } else {
      const Wide<T> d = widen(diagonal[++k]);
      two(a, d, diagonal_part(Wide<T>(a * d - c * conjugate(c))));
    }
  }
}

}  // namespace

template <class T>
void slogdet(const Symbolic& symbolic, const Embedding& embedding, Factor<T> factor, T* sign, Real<T>* logdet,
             Index* work) {
  Product<T> product;
  const auto multiply = [&](Wide<T> x) { product.multiply(x); };
  bool odd = false;
  for (Index s = 0; s < symbolic.supernodes(); ++s) {
    if (factor.storage == Storage::general) {
      for_diagonal(symbolic, s, factor.lower, [&](T l) { multiply(widen(l)); });
      for_diagonal(symbolic, s, factor.upper, [&](T u) { multiply(widen(conjugate(u))); });
      const Index* pivots = factor.pivots + symbolic.super[s];
      odd ^= is_odd(symbolic.columns(s), [](Index k) { return k; }, [&](Index k) { return pivots[k]; }, work);
    } else {
      for_diagonal(symbolic, s, factor.lower, [&](T l) {
        multiply(widen(l));
        multiply(widen(conjugate(l)));
      });
    }
  }
  if (factor.storage != Storage::general)
    for_blocks(symbolic.n, factor.diagonal, multiply,
               [&](Wide<T>, Wide<T>, Wide<T> determinant) { multiply(determinant); });
  if (!embedding.row_order.empty())
    odd ^= is_odd(
        symbolic.n, [&](Index k) { return embedding.row_order[k]; },
        [&](Index k) { return symbolic.permutation[k]; }, work);
  if (odd) multiply(-1);
  product.finish(sign, logdet);
}

template <class T>
void inertia(const Symbolic& symbolic, Factor<T> factor, Index* counts) {
  std::fill_n(counts, 3, 0);
  const auto count = [&](double d) { ++counts[d > 0 ? 0 : d < 0 ? 1 : 2]; };
  for_blocks(
      symbolic.n, factor.diagonal, [&](Wide<T> d) { count(std::real(d)); },
      [&](Wide<T> a, Wide<T> d, Wide<T> determinant) {
        const double larger = std::real(std::abs(a) < std::abs(d) ? d : a);  // has the sign of the trace
        const double sign = larger < 0 ? -1 : 1;
        count(sign);
        count(sign * std::real(determinant));
      });
}

#define INSTANTIATE(T)                                                                          \
  template void slogdet<T>(const Symbolic&, const Embedding&, Factor<T>, T*, Real<T>*, Index*); \
  template void inertia<T>(const Symbolic&, Factor<T>, Index*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
ELIMAX_FOR_BILINEAR(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
