// etree.cc
