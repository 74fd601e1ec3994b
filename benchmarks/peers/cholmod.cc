// cholmod.cc: CHOLMOD as a peer (Chen, Davis, Hager, Rajamanickam, Algorithm 887, TOMS 35, 2008).
//
//     cholmod supernodal|simplicial amd|metis FILE
//
// Linked against the system's libcholmod and its BLAS. The factor and the solution are reused from
// call to call, as a caller who knows the library would.
#include <suitesparse/cholmod.h>

#include "peer.h"

class Cholmod {
 public:
  Cholmod(Matrix& A, bool supernodal, bool metis) {
    cholmod_start(&common_);
    common_.supernodal = supernodal ? CHOLMOD_SUPERNODAL : CHOLMOD_SIMPLICIAL;
    common_.nmethods = 1;
    common_.method[0].ordering = metis ? CHOLMOD_METIS : CHOLMOD_AMD;
    common_.postorder = 1;
    A_.nrow = A_.ncol = A.n;
    A_.nzmax = A.values.size();
    A_.p = A.ptr.data();
    A_.i = A.rows.data();
    A_.x = A.values.data();
    A_.stype = -1;
    A_.itype = CHOLMOD_INT;
    A_.xtype = CHOLMOD_REAL;
    A_.dtype = CHOLMOD_DOUBLE;
    A_.sorted = A_.packed = 1;
  }

  std::string version() const {
    int number[3];
    cholmod_version(number);
    return "CHOLMOD " + std::to_string(number[0]) + "." + std::to_string(number[1]) + "." +
           std::to_string(number[2]);
  }
  double flops() const { return common_.fl; }
  double nonzeros() const { return common_.lnz; }

  void analyze() {
    cholmod_free_factor(&L_, &common_);
    L_ = cholmod_analyze(&A_, &common_);
    if (!L_) fail("cholmod_analyze failed");
  }
  void factor(const std::vector<double>& values) {
    A_.x = const_cast<double*>(values.data());
    cholmod_factorize(&A_, L_, &common_);
    if (common_.status != CHOLMOD_OK) fail("cholmod_factorize failed");
  }
  void solve(double* b, int k, double* x) {
    cholmod_dense B{};
    B.nrow = B.d = A_.nrow;
    B.ncol = k;
    B.nzmax = B.nrow * B.ncol;
    B.x = b;
    B.xtype = CHOLMOD_REAL;
    B.dtype = CHOLMOD_DOUBLE;
    cholmod_dense X = B, *solution = &X;
    X.x = x;
    cholmod_solve2(CHOLMOD_A, L_, &B, nullptr, &solution, nullptr, &work_, &more_work_, &common_);
  }

 private:
  cholmod_common common_{};
  cholmod_sparse A_{};
  cholmod_factor* L_ = nullptr;
  cholmod_dense *work_ = nullptr, *more_work_ = nullptr;
};

int main(int count, char** arguments) {
  if (count != 4) fail("usage: cholmod supernodal|simplicial amd|metis FILE");
  Matrix A = read_matrix(arguments[3]);
  Cholmod solver(A, std::string("supernodal") == arguments[1], std::string("metis") == arguments[2]);
  return serve(A, solver);
}
