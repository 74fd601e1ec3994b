// numeric.h: the floors of the native core above core.h, numbers: factorizations, solves, inverses and their
// derivatives; triangular solves; products; index maps. The conventions are those of core.h.
#pragma once

#include "core.h"

namespace elimax {

// How stored values stand for a matrix: all entries; the lower triangle of a symmetric matrix; or of
// a Hermitian one (the imaginary part of the diagonal is ignored).
enum class Storage : std::int32_t { general = 0, symmetric = 1, hermitian = 2 };

// ---------------------------------------------------------------------------------------------
// Failure

// The codes of _results.py: 0; 1 + the failing column in the caller's numbering; or negative.
struct Status {
  Index code = 0;
  Index detail = 0;
};
inline constexpr Index status_not_finite = -1;        // detail: position in the values
inline constexpr Index status_zero_diagonal = -2;     // detail: column (triangular solve)
inline constexpr Index status_pivots_perturbed = -3;  // detail: the first such column, caller's numbering
inline constexpr Index status_unstable = -4;          // detail: 0

// ---------------------------------------------------------------------------------------------
// cholesky.cc, solve.cc: numbers over a Symbolic

// P A P^T = L L^H; factor: symbolic.factor_size(), NaN on failure. The schedule is one for the crew's
// threads.
Offset cholesky_workspace(const Symbolic& symbolic, const Schedule& schedule);
template <class T>
Status cholesky(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
                const T* values, T* factor, T* workspace);

// log det A = 2 sum log L_jj.
template <class T>
Real<T> cholesky_logdet(const Symbolic& symbolic, const T* factor);

// x = A^-1 b, y = L^-1 P b or x = P^T L^-H z, for k right-hand sides; b and x are n x k, row-major.
enum class SolvePart : std::int32_t { whole = 0, forward = 1, backward = 2 };
Offset solve_workspace(const Symbolic& symbolic, Index k);
Offset solve_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void cholesky_solve(const Symbolic& symbolic, SolvePart part, const T* factor, const T* b, Index k, T* x,
                    T* work);
template <class T>
void cholesky_solve(const Symbolic& symbolic, const Schedule& schedule, Crew& crew, SolvePart part,
                    const T* factor, const T* b, Index k, T* x, T* work);

// ---------------------------------------------------------------------------------------------
// ldl.cc, lu.cc: indefinite and general matrices
//
// The values are those of an equilibrated matrix (equilibrate.cc): no entry is much larger than 1.
//
// A supernode's c columns are eliminated in an order chosen among its own rows: the j-th pivot of supernode s
// is the local row pivots[super[s] + j], 0 .. c-1. With P_s that permutation, the panels hold
//     LDL   [L11; L21],               P_s F11 P_s^T = L11 D L11^H,  L21 = F21 P_s^T L11^-H D^-1,
//     LU    [L11; L21], [U11^H; U12^H],   P_s F11 = L11 U11,  L21 = F21 U11^-1,  U12 = L11^-1 P_s F12,
// where L11 has whatever diagonal its kernel likes (stored explicitly), and entries above the diagonals are
// zero. The rows of L21 and U12^H are those of the front, unpermuted. Storage tells which of the two it is:
// `general` is LU; `symmetric` and `hermitian` are LDL, and T is Bilinear for complex symmetric matrices.
//
// The factor as an array: LDL has factor_size() entries of L, then D as n diagonal entries and n couplings
// (coupling k joins the pivots k and k+1 of a 2 x 2 block, D(k+1, k); zero elsewhere). LU has factor_size()
// entries of L, then as many of U^H.
Offset pivoted_factor_size(const Symbolic& symbolic, Storage storage);

// A pivot that is too small for its column is replaced by a larger one: the factor is that of a matrix
// nearby, and the status says status_pivots_perturbed. status_unstable: growth made the factor inaccurate.
// Either way the factor is finite. status_not_finite: a value is NaN or infinite, the factor is NaN.
Offset ldl_workspace(const Symbolic& symbolic, const Schedule& schedule);
template <class T>
Status ldl(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
           const T* values, T* factor, Index* pivots, T* workspace);
Offset lu_workspace(const Symbolic& symbolic, const Schedule& schedule);
template <class T>
Status lu(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
          const T* values, T* factor, Index* pivots, T* workspace);

// A factorization as sweeps read it.
template <class T>
struct Factor {
  Storage storage;
  const T* lower;       // panels of L
  const T* upper;       // panels of U^H; those of L for symmetric matrices
  const T* diagonal;    // D; null for LU
  const Index* pivots;  // null where no supernode permutes its rows (Cholesky)
};
template <class T>
Factor<T> pivoted_factor(const Symbolic& symbolic, Storage storage, const T* factor, const Index* pivots);

// solve.cc, too: x = A^-1 b; or A^-H b by LU if `adjoint` (Hermitian matrices are their own adjoints, complex
// symmetric ones are left to the caller). Takes the workspace of a solve.
template <class T>
void pivoted_solve(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
                   Factor<T> factor, bool adjoint, const T* b, Index k, T* x, T* work);

// stability.cc: whether a factor is accurate enough for determinants and inverses, by a test solution.
Offset stability_workspace(const Symbolic& symbolic, const Schedule& schedule);
template <class T>
bool is_accurate(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
                 const T* values, Factor<T> factor, T* work);

// determinant.cc: sign (or phase) of det A and log|det A|, work: n; how many eigenvalues are positive,
// negative, zero.
template <class T>
void slogdet(const Symbolic& symbolic, const Embedding& embedding, Factor<T> factor, T* sign, Real<T>* logdet,
             Index* work);
template <class T>
void inertia(const Symbolic& symbolic, Factor<T> factor, Index* counts);

// refine.cc: x = A^-1 b, or A^-H b by LU if `adjoint`, by iterative refinement with residuals in twice the
// precision; errors[j] is the componentwise backward error of column j that was reached, NaN where x is not
// finite. b and x are n x k, row-major, in the caller's numbering.
template <class T>
Offset refined_solve_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void refined_solve(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
                   Columns pattern, const T* values, Factor<T> factor, bool adjoint, const T* b, Index k,
                   T* x, Real<T>* errors, T* work);

// incomplete.cc: the factors of an incomplete LU factorization on the pattern of A, which holds the diagonal;
// work: 2 n. status_pivots_perturbed: pivots were replaced. With `positive` they are to be positive.
template <class T>
Status incomplete_lu(Columns pattern, const T* values, bool modified, bool positive, T* factor, Index* work);

// equilibrate.cc: powers of two that make the largest entry of every row and column of diag(rows) A
// diag(columns) about 1. For symmetric storage both are the same, and it is the 2-norm that is about 1.
template <class T>
void equilibrate(Columns pattern, Storage storage, const T* values, Real<T>* rows, Real<T>* columns);
// scaled = values of diag(rows) A diag(columns).
template <class T>
void scale(Columns pattern, const T* values, const Real<T>* rows, const Real<T>* columns, T* scaled);

// ---------------------------------------------------------------------------------------------
// selected_inverse.cc, general_inverse.cc: log|det A| and its derivatives

// G_k of DESIGN, section 4: with f(a) = log det A(a), the gradient with respect to w of
// D^{k+1} f(a)[v_1, ..., v_k, w], on the pattern of the embedding; directions[i] are values on that
// pattern. k = 0 is the selected inverse, weighted as symmetric storage demands: the diagonal once,
// off-diagonal entries as 2 conj((A^-1)_ij).
Offset inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                      Crew& crew, const T* factor, In<const T*> directions, T* gradient, T* workspace);
// The same for LDL and LU. For LU and for complex symmetric matrices, f is the holomorphic log det A and
// G_0 is (A^-1)_ji at entry (i, j), doubled off the diagonal in symmetric storage.
Offset inverse_gradient_workspace(const Symbolic& symbolic, const Schedule& schedule, Storage storage,
                                  Index k);
template <class T>
void inverse_gradient(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                      Crew& crew, Factor<T> factor, In<const T*> directions, T* gradient, T* workspace);

// ---------------------------------------------------------------------------------------------
// factor_derivative.cc, factor_product.cc: derivatives of the Cholesky factor itself

// C_k of DESIGN, section 4: D^k L(a)[v_1, ..., v_k] for k >= 1, in the layout of the factor.
Offset factor_derivative_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void factor_derivative(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                       Crew& crew, const T* factor, In<const T*> directions, T* derivative, T* workspace);

// R_k: the gradient with respect to w of Re sum(cotangent * D^{k+1} L(a)[v_1, ..., v_k, w]), on the pattern
// of the embedding; the cotangent has the layout of the factor.
Offset factor_adjoint_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k);
template <class T>
void factor_adjoint(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                    Crew& crew, const T* factor, const T* cotangent, In<const T*> directions, T* gradient,
                    T* workspace);

// The three slots of t(l, x, y) = sum_ij (P y)_i L(l)_ij x_j, for l in the layout of the factor; x and y
// are n x k, row-major.
Offset factor_product_workspace(const Symbolic& symbolic, Index k);
template <class T>
void factor_product_y(const Symbolic& symbolic, const T* l, const T* x, Index k, T* y, T* workspace);
template <class T>
void factor_product_x(const Symbolic& symbolic, const T* l, const T* y, Index k, T* x, T* workspace);
template <class T>
void factor_product_l(const Symbolic& symbolic, const T* x, const T* y, Index k, T* l, T* workspace);

// ---------------------------------------------------------------------------------------------
// triangular.cc: solve with any sparse triangular matrix

// op(T) x = b for k right-hand sides, b and x n x k row-major. Only the triangle that `lower` names is
// read. op is the transpose (not conjugated) if `transpose`.
template <class T>
Status triangular_solve(Columns pattern, bool lower, bool transpose, bool unit_diagonal, const T* values,
                        const T* b, Index k, T* x);

// ---------------------------------------------------------------------------------------------
// product.cc, contract.cc: products with sparse matrices, each the three slots of one trilinear form

// t(v, x, y) = sum_ij y_i A(v)_ij x_j, x of shape n_cols x k and y n_rows x k, row-major.
template <class T>
void product_y(Columns pattern, Storage storage, const T* v, const T* x, Index k, T* y);
template <class T>
void product_x(Columns pattern, Storage storage, const T* v, const T* y, Index k, T* x);
template <class T>
void product_v(Columns pattern, Storage storage, const T* y, const T* x, Index k, T* v);

// t(a, b, c) = sum_ijl c_il A_ij B_jl over three general patterns (entries of A B outside the pattern
// of C are dropped). work: C.n_rows.
template <class T>
void contract_c(Columns A, Columns B, Columns C, const T* a, const T* b, T* c, Index* work);
template <class T>
void contract_a(Columns A, Columns B, Columns C, const T* c, const T* b, T* a, Index* work);
template <class T>
void contract_b(Columns A, Columns B, Columns C, const T* c, const T* a, T* b, Index* work);

// ---------------------------------------------------------------------------------------------
// gather.cc: values moved by index maps

// scatter is the transpose of gather.
template <class T>
void gather(const IndexMap& map, const T* input, T* output);
template <class T>
void scatter(In<Index> map, const T* input, T* output, Offset size);

}  // namespace elimax
