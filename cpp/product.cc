// product.cc
