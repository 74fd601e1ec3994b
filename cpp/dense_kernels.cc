// dense_kernels.cc
