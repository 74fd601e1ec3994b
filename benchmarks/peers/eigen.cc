// eigen.cc: Eigen's simplicial Cholesky factorization as a peer, ordered by its AMD.
//
//     eigen FILE
//
// Headers only (MPL-2.0). It uses one thread, however many there are.
#include <Eigen/Sparse>

#include "peer.h"

using Sparse = Eigen::SparseMatrix<double>;

class EigenLlt {
 public:
  explicit EigenLlt(Matrix& A)
      : A_(Eigen::Map<const Sparse>(A.n, A.n, A.values.size(), A.ptr.data(), A.rows.data(),
                                    A.values.data())) {}

  std::string version() const {
    return "Eigen " + std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
           std::to_string(EIGEN_MINOR_VERSION);
  }
  double flops() const { return llt_.flops(); }
  double nonzeros() const { return llt_.nonzeros(); }

  void analyze() { llt_.analyzePattern(A_); }
  void factor(const std::vector<double>& values) {
    std::copy(values.begin(), values.end(), A_.valuePtr());
    llt_.factorize(A_);
    if (llt_.info() != Eigen::Success) fail("factorize failed");
  }
  void solve(const double* b, int k, double* x) {
    const auto n = A_.rows();
    Eigen::Map<Eigen::MatrixXd>(x, n, k) = llt_.solve(Eigen::Map<const Eigen::MatrixXd>(b, n, k));
  }

 private:
  // The column counts below the diagonal are known to derived classes only.
  struct Llt : Eigen::SimplicialLLT<Sparse, Eigen::Lower, Eigen::AMDOrdering<int>> {
    double flops() const { return (m_nonZerosPerCol.cast<double>().array() + 1).square().sum(); }
    double nonzeros() const { return (m_nonZerosPerCol.cast<double>().array() + 1).sum(); }
  };
  Sparse A_;
  Llt llt_;
};

int main(int count, char** arguments) {
  if (count != 2) fail("usage: eigen FILE");
  Matrix A = read_matrix(arguments[1]);
  EigenLlt solver(A);
  return serve(A, solver);
}
