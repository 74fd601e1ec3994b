// core.h: the ground floor of the native core, integers: patterns, orderings, the static structure of a
// factorization, and where structures are kept. numeric.h has the floors above, coloring.h the colorings.
// Every declaration is on one of these pages.
//
// Conventions
// - Index counts rows and columns and positions in a matrix's values; Offset, in a factor, which is larger.
// - Parameters come in the order inputs, outputs, workspace. Kernels do not throw, print or allocate
//   inside loops over supernodes: sizes come from Symbolic, failures leave as a Status.
// - Dense blocks are column-major; X^H is the conjugate transpose (the transpose for real scalars).
// - Numeric kernels are templates, instantiated for float, double and their complex types.
// - Nothing recurses over the elimination tree: a band matrix has a tree of depth n.
#pragma once

#include <complex>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace elimax {

using Index = std::int32_t;
using Offset = std::int64_t;
inline constexpr Index none = -1;

// M(T) for the scalar types T of numeric kernels.
#define ELIMAX_FOR_SCALARS(M) M(float) M(double) M(std::complex<float>) M(std::complex<double>)

template <class T>
using In = std::span<const T>;
template <class T>
using Out = std::span<T>;

template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using type = T;
};
template <class T>
using Real = typename RealOf<T>::type;

// conj(x) and Re(x), staying in T and Real<T>.
template <class T>
T conjugate(T x) {
  if constexpr (std::is_same_v<T, Real<T>>)
    return x;
  else
    return {x.real(), -x.imag()};
}
template <class T>
Real<T> real_part(T x) {
  if constexpr (std::is_same_v<T, Real<T>>)
    return x;
  else
    return x.real();
}

// A complex number whose conjugate() is the number itself: kernels for Hermitian matrices are kernels for
// complex symmetric ones over this type.
template <class R>
struct Bilinear : std::complex<R> {
  using std::complex<R>::complex;
  constexpr Bilinear(std::complex<R> x) : std::complex<R>(x) {}
};
#define ELIMAX_FOR_BILINEAR(M) M(Bilinear<float>) M(Bilinear<double>)
template <class T>
inline constexpr bool is_bilinear = false;
template <class R>
inline constexpr bool is_bilinear<Bilinear<R>> = true;
template <class R>
struct RealOf<Bilinear<R>> {
  using type = R;
};
template <class R>
Bilinear<R> conjugate(Bilinear<R> x) {
  return x;
}
template <class R>
R real_part(Bilinear<R> x) {
  return x.real();
}
// What is left of a number on the diagonal of a matrix that equals its transpose, conjugated.
template <class T>
T diagonal_part(T x) {
  return T(real_part(x));
}
template <class R>
Bilinear<R> diagonal_part(Bilinear<R> x) {
  return x;
}

// ---------------------------------------------------------------------------------------------
// Patterns (pattern.py owns them; the core sees compressed sparse columns)

// Rows are sorted within a column and unique. A symmetric pattern holds its lower triangle.
struct Columns {
  Index n_rows;
  Index n_cols;
  In<Index> ptr;   // n_cols + 1
  In<Index> rows;  // ptr[n_cols]
};

// ---------------------------------------------------------------------------------------------
// ordering.cc: which vertex to eliminate next

// Approximate minimum degree on the graph of a symmetric pattern given by its lower triangle (the
// diagonal is ignored). permutation[k] is the k-th pivot.
void amd(Columns lower, Out<Index> permutation);

// ---------------------------------------------------------------------------------------------
// matching.cc, symmetric_matching.cc: which entries are to be pivots

// A matching of columns with rows in entries of A, as many as there can be (the structural rank, returned);
// if it is perfect, one of largest product. The magnitudes >= 0 are in the order of the entries; without them
// all are equal. The diagonal wins ties. row_of_column[j] is the row of column j, or none. For a perfect one,
// 2^row_scale[i] |a_ij| 2^column_scale[j] is 1 on chosen entries and no more on others, within 2^-16 of the
// exponent.
Index maximum_product_matching(Columns A, In<double> magnitudes, Out<Index> row_of_column,
                               Out<double> row_scale, Out<double> column_scale);

// The Dulmage-Mendelsohn decomposition by a maximum matching. The columns of the underdetermined part have
// entries in its rows only, which are fewer; the rows of the overdetermined part, in its columns only.
enum class Part : std::int32_t { square = 0, underdetermined = 1, overdetermined = 2 };
void dulmage_mendelsohn(Columns A, In<Index> row_of_column, Out<Index> row_part, Out<Index> column_part);

// The cycles of a perfect matching of a symmetric pattern, cut into pairs of neighbors: those columns whose
// weak[j] is nonzero get a partner. group[j] is the lowest column of j's pair, or j. One group of three is
// made of every cycle of odd length in which all are weak.
void symmetric_matching(In<Index> row_of_column, In<Index> weak, Out<Index> group);

// ---------------------------------------------------------------------------------------------
// etree.cc: the elimination tree and what follows from it without computing L

// parent[j] = min { i > j : L(i,j) != 0 }, or none. `upper` holds the columns of the upper triangle
// (entries with row > column are ignored).
void elimination_tree(Columns upper, Out<Index> parent);
// post[k] = k-th node of a postorder of a forest with parent[j] > j; children in the order of their
// numbers.
void postorder(In<Index> parent, Out<Index> post);
// counts[j] = nonzeros of column j of L, diagonal included, for a postordered numbering. `lower` holds
// the columns of the lower triangle (entries with row <= column are ignored).
void column_counts(Columns lower, In<Index> parent, Out<Index> counts);

// ---------------------------------------------------------------------------------------------
// supernodes.cc: which columns are eliminated together

// How fundamental supernodes are merged into relaxed ones: by the time that a front with c columns and u
// rows below them is predicted to take, in nanoseconds,
//   front + entry c (c+u) + update u^2 + flop (c u^2 + c^2 u + c^3/3) (1 + ramp / (c+u)).
// A child is merged with its parent when their merged front takes no longer than the slower of the two
// and `share` of the faster one.
struct Relaxation {
  double front;   // what a front costs in any case
  double entry;   // per entry of the panel
  double update;  // per entry of the update matrix: made, and added into the parent
  double flop;    // at full speed, which dense kernels reach as the order of the front outgrows `ramp`
  double ramp;
  double share;
};

// Supernodal: fronts of several columns, in dense kernels. Simplicial: every column is a supernode of its
// own, nothing is padded, and scalar code eliminates it. The numbers are those of a Symbolic's header.
enum class Method : std::int32_t { automatic = 0, supernodal = 1, simplicial = 2 };

// Predicted nanoseconds: of fronts; and of a single column with u rows below, column + entry u + square u^2,
// and moved_entry u + moved_square u^2 more where siblings make its update matrix move.
struct TimeModel {
  Relaxation relaxation;
  double column, entry, square, moved_entry, moved_square;
};

// The forest of relaxed supernodes in the order of their elimination, a postorder that keeps the
// stack of update matrices low; or that of single columns in the given order.
struct Supernodes {
  Method method;               // the one chosen
  double time;                 // predicted nanoseconds of a factorization
  std::vector<Index> of;       // supernode of every column
  std::vector<Index> columns;  // per supernode: its columns
  std::vector<Index> below;    // its rows below them
  std::vector<Index> parent;   // its parent, or none
};
// From a postordered tree and its column counts; a supernode's columns follow all of its descendants'.
Supernodes supernodes(In<Index> parent, In<Index> counts, const TimeModel& model, Method method);
// The time of a front by that model.
double front_time(Index columns, Index below, const Relaxation& relaxation);

// ---------------------------------------------------------------------------------------------
// schedule.cc: which thread works on which supernodes, and where update matrices lie

struct Symbolic;
struct Schedule;  // schedule.h
class Crew;       // crew.h

// Schedules for numbers of threads, made when they are first asked for.
class Schedules {
 public:
  std::shared_ptr<const Schedule> of(const Symbolic& symbolic, int threads) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<int, std::shared_ptr<const Schedule>> known_;
};

// ---------------------------------------------------------------------------------------------
// symbolic.cc: the static structure of a factorization

// Everything about P A P^T = L L^H that does not depend on values.
//
// Supernode s owns the columns super[s] .. super[s+1]-1 of the permuted matrix. Its *front* has as
// rows those columns, then rows[row_ptr[s] .. row_ptr[s+1]-1] below them (sorted). With c columns and
// u rows below, its *panel* is the dense (c+u) x c block of L, column-major with leading dimension
// c+u, stored at factor[panel[s]]; entries above the diagonal of the first c rows are zero, as are
// the padding entries that relaxation adds.
//
// relative[p] is the position of rows[p] in the front of super_parent[s] (0 .. front size - 1,
// increasing within a supernode): the only map that assembly and its reverse need.
//
// A simplicial one has single columns for supernodes, so its panels are the compressed columns of L.
struct Symbolic {
  Index n = 0;
  std::vector<Index> permutation;   // permutation[k] = caller's index of pivot k
  std::vector<Index> inverse;       // inverse[permutation[k]] = k
  std::vector<Index> parent;        // elimination tree, permuted numbering
  std::vector<Index> counts;        // nonzeros per column of L, exact
  std::vector<Index> super;         // n_supernodes + 1: first column of each supernode
  std::vector<Index> super_parent;  // parent supernode, or none; always > s
  std::vector<Offset> row_ptr;      // n_supernodes + 1
  std::vector<Index> rows;          // rows below the diagonal block, permuted numbering
  std::vector<Index> relative;      // same length as rows
  std::vector<Offset> panel;        // n_supernodes + 1: where a panel starts in the factor
  std::vector<Offset> vector;       // n_supernodes: where a front vector (solve.cc) starts in
  Offset factor_nonzeros = 0;       // nnz(L), exact: sum of counts
  double flops = 0;                 // sum of counts^2: multiplications and additions, exact
  Index max_columns = 0, max_rows = 0, max_below = 0;  // largest c, c + u and u over supernodes
  Offset max_panel = 0, vectors = 0;                   // largest c (c + u); entries for front vectors
  Method method = Method::supernodal;                  // never automatic
  double predicted_time = 0;                           // nanoseconds of a factorization, by the TimeModel
  Relaxation relaxation;                               // by which supernodes were merged
  Schedules schedules;                                 // for the threads that work on it

  bool simplicial() const { return method == Method::simplicial; }
  Index supernodes() const { return static_cast<Index>(super_parent.size()); }
  Index columns(Index s) const { return super[s + 1] - super[s]; }
  Index below(Index s) const { return static_cast<Index>(row_ptr[s + 1] - row_ptr[s]); }
  Index front(Index s) const { return columns(s) + below(s); }
  Offset factor_size() const { return panel.back(); }
};

// `lower`: symmetric pattern in the caller's numbering; `permutation`: any fill-reducing ordering of it,
// which is refined here to one of equal fill in which every supernode's columns are consecutive. An automatic
// method is the one whose predicted time is lower.
std::shared_ptr<const Symbolic> analyze(Columns lower, In<Index> permutation, const TimeModel& model,
                                        Method method);

// ---------------------------------------------------------------------------------------------
// embedding.cc: where the entries of a pattern sit in a factor

// Where the values of a symmetric pattern (lower triangle, caller's numbering, inside the filled
// pattern) sit in the panels. Entries are grouped by supernode: those of s are ptr[s] .. ptr[s+1]-1.
// source[p] >= 0 names the value; a negative one means that the value ~source[p] is to be
// conjugated, because the permutation moved it across the diagonal. target[p] is its position
// relative to the start of the panel.
struct Embedding {
  std::vector<Offset> ptr;
  std::vector<Index> source;
  std::vector<Offset> target;
  std::vector<Index> diagonal;   // diagonal[k] = position in the values of the k-th pivot's diagonal
                                 // entry, or none where the pattern has no such entry
  std::vector<Index> row_order;  // row_order[k] = caller's row that the k-th pivot eliminates; empty where
                                 // that is symbolic.permutation[k]
};
// Returns null, and the first offending value in `outside`, if the pattern is not inside L + L^T.
std::shared_ptr<const Embedding> embed(const Symbolic& symbolic, Columns lower, Index& outside);

// The same for a general pattern whose rows were matched with its columns: row_of_column[j] is the row of the
// diagonal entry of column j. LU has two arrays of panels, L and then U^H. An entry on or below a diagonal
// block belongs to the panel of L, and so does all of the diagonal block; one to the right of it, conjugated,
// to that of U^H: then source is negative, and target counts from the start of the panel of L on as if the
// panel of U^H followed it. `symbolic` is for the pattern of B + B^T, where B has rows row_of_column of A.
std::shared_ptr<const Embedding> embed_general(const Symbolic& symbolic, Columns general,
                                               In<Index> row_of_column, Index& outside);

// The exact pattern of L (permuted numbering, no padding) and where its values sit in the factor.
// Sizes: ptr n + 1; rows and position symbolic.factor_nonzeros.
void factor_pattern(const Symbolic& symbolic, Columns lower, Out<Offset> ptr, Out<Index> rows,
                    Out<Offset> position);

// ---------------------------------------------------------------------------------------------
// registry.cc: structures by content hash, for the life of the process

// The 128-bit content hash that Python computes and a compiled program carries as two attributes.
struct Hash {
  std::uint64_t high, low;
  bool operator==(const Hash&) const = default;
};

struct Pattern {
  Index n_rows;
  Index n_cols;
  std::vector<Index> ptr, rows;
  operator Columns() const { return {n_rows, n_cols, ptr, rows}; }
};
// An index map sends position p of its output to map[p] of its input; a negative map[p] conjugates
// input ~map[p]; `zero` gives 0.
inline constexpr Index zero = INT32_MIN;
struct IndexMap {
  std::vector<Index> map;
  bool is_plain;  // no position is marked as conjugated or zero
};

// Pinned structures stay until clear(); a kernel that is running keeps those it uses alive beyond it.
// S is Pattern, IndexMap, Symbolic or Embedding. find returns null for an unknown hash.
template <class S>
void pin(Hash hash, std::shared_ptr<const S> structure);
template <class S>
std::shared_ptr<const S> find(Hash hash);
void clear_structures();

// ---------------------------------------------------------------------------------------------
// digest.cc, restore.cc: structures from their content

// What `Structure` in structure.py says of a structure. The preamble: how many foundations, numbers in the
// header, and arrays there are; the size of every array; the hash of every foundation; the header.
struct Content {
  std::string_view kind;  // "pattern", "map", "symbolic", "embedding" or "lu_embedding"
  In<std::int64_t> preamble;
  std::vector<In<Index>> arrays;
};
Hash digest(const Content& content);

// Pins the structure that has this content and this hash; its foundations must be pinned.
enum class Restored : std::int32_t { done = 0, damaged = 1, out_of_memory = 2 };
Restored restore(const Content& content, Hash hash);

// ---------------------------------------------------------------------------------------------
// registry.cc, too: evidence

// How often a kernel ran, one count per matrix of a batch: for tests that a factorization is shared.
enum class Counter : std::int32_t {
  factorization = 0,
  solve = 1,
  half_solve = 2,
  inverse_gradient = 3,
  factor_derivative = 4,
  factor_adjoint = 5
};
inline constexpr int n_counters = 6;
void count(Counter counter, std::int64_t times);
std::int64_t counted(Counter counter);

}  // namespace elimax
