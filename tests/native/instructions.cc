// instructions.cc: one call of every kernel on small matrices, to be counted by callgrind.
//
//     instructions RELAXATION... SINGLE_COLUMN...
//
// The arguments are the members of Relaxation. Each call happens inside of counted(), where callgrind
// collects and after which it writes what it has; a line of output names the call. The first line names what
// decides on the counts besides the sources: the compiler, and the instruction set of the dense kernels.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>

#include "dense.h"
#include "numeric.h"
#include "schedule.h"

using namespace elimax;

extern "C" [[gnu::noinline]] void counted(const std::function<void()>& call) { call(); }

namespace {

#ifdef __clang__
constexpr const char* compiler = "clang";
constexpr int version = __clang_major__;
#else
constexpr const char* compiler = "gcc";
constexpr int version = __GNUC__;
#endif

const char* instruction_set() {
#if defined(__x86_64__)
  if (&dense<double>() == &v2::tables.float64) return "x86-64-v2";
  return &dense<double>() == &v3::tables.float64 ? "x86-64-v3" : "x86-64-v4";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "another processor";
#endif
}

// The second differences on a grid of nx x ny x nz nodes plus the identity: its lower triangle.
struct Grid {
  std::vector<Index> ptr{0}, rows;
  std::vector<double> values;
  Index n;

  Grid(Index nx, Index ny, Index nz) : n(nx * ny * nz) {
    const double neighbors = 2.0 * ((nx > 1) + (ny > 1) + (nz > 1));
    for (Index j = 0; j < n; ++j) {
      const auto entry = [&](Index i, double value) {
        rows.push_back(i);
        values.push_back(value);
      };
      entry(j, neighbors + 1);
      if ((j + 1) % nx) entry(j + 1, -1);
      if (j / nx % ny + 1 < ny) entry(j + nx, -1);
      if (j + nx * ny < n) entry(j + nx * ny, -1);
      ptr.push_back(static_cast<Index>(rows.size()));
    }
  }
  Columns columns() const { return {n, n, ptr, rows}; }
};

void count_all(const char* name, const Grid& A, const TimeModel& model, Method method) {
  std::vector<Index> order(A.n);
  amd(A.columns(), order);
  const auto symbolic = analyze(A.columns(), order, model, method);
  Index outside;
  const auto embedding = embed(*symbolic, A.columns(), outside);

  constexpr Index many = 16;
  const auto schedule = symbolic->schedules.of(*symbolic, 1);
  Crew alone;
  const Offset entries =
      std::max({cholesky_workspace(*symbolic, *schedule), ldl_workspace(*symbolic, *schedule),
                solve_workspace(*symbolic, 1), solve_workspace(*symbolic, many),
                inverse_gradient_workspace(*symbolic, *schedule, 0)});
  std::vector<double> factor(symbolic->factor_size()), workspace(entries), inverse(A.values.size());
  std::vector<double> b(static_cast<std::size_t>(A.n) * many, 1.0), x(b.size());
  const auto solve = [&](Index k) {
    cholesky_solve<double>(*symbolic, SolvePart::whole, factor.data(), b.data(), k, x.data(),
                           workspace.data());
  };
  const auto count = [&](const char* operation, const std::function<void()>& call) {
    counted(call);
    std::printf("%s %s\n", name, operation);
  };

  count("factorization", [&] {
    cholesky<double>(*symbolic, *embedding, *schedule, alone, A.values.data(), factor.data(),
                     workspace.data());
  });
  count("solve", [&] { solve(1); });
  count("solve of 16", [&] { solve(many); });
  count("selected inverse", [&] {
    inverse_gradient<double>(*symbolic, *embedding, *schedule, alone, factor.data(), {}, inverse.data(),
                             workspace.data());
  });
  if (!(std::isfinite(x.back()) && std::isfinite(inverse.back()))) std::exit(1);
  if (method == Method::simplicial) return;  // LDL has supernodes

  factor.resize(pivoted_factor_size(*symbolic, Storage::symmetric));
  std::vector<Index> pivots(A.n);
  count("LDL", [&] {
    ldl<double>(*symbolic, *embedding, *schedule, alone, A.values.data(), factor.data(), pivots.data(),
                workspace.data());
  });
}

}  // namespace

int main(int count, char** arguments) {
  double m[11];
  if (count != 12) return 2;
  for (int i = 0; i < 11; ++i) m[i] = std::atof(arguments[i + 1]);
  const TimeModel model{{m[0], m[1], m[2], m[3], m[4], m[5]}, m[6], m[7], m[8], m[9], m[10]};
  std::printf("%s %d, %s\n", compiler, version, instruction_set());
  count_all("path", {2000, 1, 1}, model, Method::supernodal);
  count_all("path by columns", {2000, 1, 1}, model, Method::simplicial);
  count_all("square", {50, 50, 1}, model, Method::supernodal);
  count_all("cube", {10, 10, 10}, model, Method::supernodal);
  return 0;
}
