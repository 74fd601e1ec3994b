// analysis.cc: the time of CHOLMOD's symbolic analysis, for analysis.py.
#include <suitesparse/cholmod.h>

#include <chrono>

// Seconds of cholmod_analyze, supernodal with AMD, on a lower triangle by columns; nnz(L).
extern "C" double seconds(int n, int* ptr, int* rows, double* nonzeros) {
  cholmod_common common;
  cholmod_start(&common);
  common.supernodal = CHOLMOD_SUPERNODAL;
  common.nmethods = 1;
  common.method[0].ordering = CHOLMOD_AMD;
  common.postorder = 1;
  cholmod_sparse A{};
  A.nrow = A.ncol = n;
  A.nzmax = ptr[n];
  A.p = ptr;
  A.i = rows;
  A.stype = -1;
  A.itype = CHOLMOD_INT;
  A.xtype = CHOLMOD_PATTERN;
  A.sorted = A.packed = 1;
  const auto start = std::chrono::steady_clock::now();
  cholmod_factor* L = cholmod_analyze(&A, &common);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  *nonzeros = L ? common.lnz : -1;
  cholmod_free_factor(&L, &common);
  cholmod_finish(&common);
  return elapsed.count();
}
